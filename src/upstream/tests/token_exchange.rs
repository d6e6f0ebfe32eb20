//! Tokens of the service's own, got for the client's (RFC 8693): what is asked, what is believed, how often, and that
//! nothing else ever goes on in the client's token's place.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::harness::{Gate, Peer, Who, echo, service, settings};
use crate::authn::{ClientAuth, ClientSettings, SharedSecret, SourceState};
use crate::identity::{Name, Reason};
use crate::outbound::{Endpoint, OutboundSettings, PlainHttp};
use crate::telemetry::Clock;
use crate::upstream::Upstreams;
use crate::upstream::settings::Settings;
use crate::upstream::token_exchange::{Exchanger, NotExchanged, TokenExchangeSettings};

/// An authorization server of raw TCP that says of every token what it is told to say.
struct Authority {
    endpoint: Endpoint,
    script: Rc<Script>,
}

#[derive(Default)]
struct Script {
    heads: RefCell<Vec<String>>,
    forms: RefCell<Vec<String>>,
    answer: RefCell<(u16, String)>,
    /// While it is held, no answer goes out.
    held: Cell<bool>,
    go: Notify,
}

impl Script {
    async fn play(&self, mut peer: Peer) {
        loop {
            let head = peer.head().await;
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap()));
            let Some(length) = length else { return };
            let form = String::from_utf8(peer.bytes(length).await).unwrap();
            self.heads.borrow_mut().push(head);
            self.forms.borrow_mut().push(form);
            while self.held.get() {
                self.go.notified().await;
            }
            let (status, body) = self.answer.borrow().clone();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
            peer.send(format!("{head}Location: http://127.0.0.1:1/\r\nRetry-After: 7\r\n\r\n{body}")).await;
        }
    }
}

impl Authority {
    async fn open(status: u16, body: impl ToString) -> Self {
        let script = Rc::new(Script { answer: RefCell::new((status, body.to_string())), ..Script::default() });
        let plays = script.clone();
        let address = service(move |_, peer| {
            let script = plays.clone();
            async move { script.play(peer).await }
        })
        .await;
        let endpoint = Endpoint::parse(&format!("http://{address}/token"), PlainHttp::Loopback).unwrap();
        Self { endpoint, script }
    }

    async fn good() -> Self {
        Self::open(200, good(json!({}))).await
    }

    fn says(&self, status: u16, body: impl ToString) {
        *self.script.answer.borrow_mut() = (status, body.to_string());
    }

    fn asked(&self) -> usize {
        self.script.forms.borrow().len()
    }

    async fn until_asked(&self) {
        while self.asked() == 0 {
            tokio::task::yield_now().await;
        }
    }

    fn release(&self) {
        self.script.held.set(false);
        self.script.go.notify_waiters();
    }

    fn settings(&self) -> TokenExchangeSettings {
        TokenExchangeSettings {
            endpoint: self.endpoint.clone(),
            client: ClientSettings {
                id: "portcullis".into(),
                auth: ClientAuth::Basic(SharedSecret::new(b"s3cret".to_vec())),
            },
            audience: "https://app.example/api".into(),
            scope: Some("read write".into()),
            cache: Duration::from_secs(60),
            outbound: OutboundSettings::default(),
        }
    }

    fn exchanger(&self, clock: &Clock) -> Arc<Exchanger> {
        Exchanger::open(&Name::new("app"), &self.settings(), &Handle::current(), clock).unwrap()
    }

    /// A gate in front of an echo that wants tokens of this server's.
    async fn gate(&self, who: Who) -> Gate {
        let mut app = settings(echo().await);
        app.token_exchange = Some(self.settings());
        let gate = Gate::open(vec![app.clone()], who).await;
        *gate.upstreams.borrow_mut() = upstreams(app, None);
        gate
    }
}

fn upstreams(app: Settings, previous: Option<&Upstreams>) -> Arc<Upstreams> {
    let upstreams = Upstreams::new(vec![app], previous);
    Arc::new(upstreams.exchanging(&Handle::current(), &Clock::system(), previous).unwrap())
}

/// A good answer with some members replaced; `null` removes one.
fn good(changes: Value) -> Value {
    let mut answer = json!({
        "access_token": "for-the-app", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(answer.as_object_mut().unwrap().remove(name)),
            value => answer[name] = value.clone(),
        }
    }
    answer
}

const CLIENTS: &str = "Authorization: Bearer of-the-client\r\n";

#[tokio::test(flavor = "local")]
async fn the_service_gets_its_own_token_and_never_the_clients() {
    let authority = Authority::good().await;
    let gate = authority.gate(Who::default()).await;
    for _ in 0..3 {
        let seen = gate.get(CLIENTS).await;
        assert!(seen.contains("authorization: Bearer for-the-app\r\n"), "{seen}");
        assert!(!seen.contains("of-the-client"), "{seen}");
    }
    assert_eq!(authority.asked(), 1, "the same token is not exchanged twice");
    assert!(gate.get("Authorization: Bearer of-another\r\n").await.contains("for-the-app"));
    assert_eq!(authority.asked(), 2);
    let head = authority.script.heads.borrow()[0].to_lowercase();
    assert!(head.starts_with("post /token http/1.1\r\n") && head.contains("accept: application/json\r\n"), "{head}");
    assert!(authority.script.heads.borrow()[0].contains("Basic cG9ydGN1bGxpczpzM2NyZXQ="));
    let mut form: Vec<_> = authority.script.forms.borrow()[0].split('&').map(str::to_owned).collect();
    form.sort();
    assert_eq!(
        form,
        [
            "audience=https%3A%2F%2Fapp.example%2Fapi",
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
            "requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
            "scope=read%20write",
            "subject_token=of-the-client",
            "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
        ]
    );
}

#[tokio::test(flavor = "local")]
async fn whoever_brings_no_token_brings_the_service_none() {
    let authority = Authority::good().await;
    let gate = authority.gate(Who { token: None, ..Who::default() }).await;
    for pass_authorization in [false, true] {
        let gate = authority.gate(Who { token: None, pass_authorization, ..Who::default() }).await;
        assert!(!gate.get(CLIENTS).await.to_lowercase().contains("authorization"));
    }
    assert!(!gate.get("").await.to_lowercase().contains("authorization"));
    assert_eq!(authority.asked(), 0);
}

#[tokio::test(flavor = "local")]
async fn what_is_no_good_answer_is_a_refusal_and_the_service_hears_nothing() {
    let refused = |word: &str| format!("NotExchanged {{ upstream: \"app\", error: Refused(\"{word}\") }}");
    let later = |seconds: u64| format!("NotExchanged {{ upstream: \"app\", error: Unavailable({seconds}s) }}");
    let broken = |changes: Value| (200, good(changes).to_string(), later(1));
    let twice = good(json!({})).to_string().replacen('{', r#"{"access_token":"x","#, 1);
    let cases = [
        broken(json!({"access_token": null})),
        broken(json!({"access_token": ""})),
        broken(json!({"access_token": 1})),
        broken(json!({"access_token": "two words"})),
        broken(json!({"access_token": "a\r\nX-Auth-User: root"})),
        broken(json!({"access_token": "a,Bearer b"})),
        broken(json!({"access_token": "é"})),
        broken(json!({"access_token": "x".repeat(8193)})),
        broken(json!({"issued_token_type": null})),
        broken(json!({"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"})),
        broken(json!({"issued_token_type": "urn:ietf:params:oauth:token-type:id_token"})),
        broken(json!({"issued_token_type": "urn:ietf:params:oauth:token-type:saml2"})),
        broken(json!({"token_type": null})),
        broken(json!({"token_type": "N_A"})),
        broken(json!({"token_type": "DPoP"})),
        broken(json!({"token_type": ["Bearer"]})),
        broken(json!({"expires_in": 0})),
        broken(json!({"expires_in": -1})),
        broken(json!({"expires_in": "600"})),
        broken(json!({"expires_in": 1e300})),
        (200, twice, later(1)),
        (200, format!("[{}]", good(json!({}))), later(1)),
        (200, String::new(), later(1)),
        (200, "x".repeat(2 << 20), later(1)),
        (201, good(json!({})).to_string(), later(1)),
        (307, good(json!({})).to_string(), later(1)),
        (400, good(json!({})).to_string(), later(1)),
        (400, json!({"error": "invalid_client"}).to_string(), later(1)),
        (400, json!({"error": "unauthorized_client"}).to_string(), later(1)),
        (400, json!({"error": ["invalid_grant"]}).to_string(), later(1)),
        (400, json!({"error": "invalid_request", "x": 1}).to_string(), refused("invalid_request")),
        (400, json!({"error": "invalid_target"}).to_string(), refused("invalid_target")),
        (400, json!({"error": "invalid_grant"}).to_string(), refused("invalid_grant")),
        (401, json!({"error": "invalid_target"}).to_string(), later(1)),
        (403, json!({"error": "invalid_target"}).to_string(), later(1)),
        (429, good(json!({})).to_string(), later(7)),
        (500, good(json!({})).to_string(), later(1)),
        (503, good(json!({})).to_string(), later(7)),
    ];
    for (status, body, expected) in cases {
        let authority = Authority::open(status, &body).await;
        let mut gate = authority.gate(Who::default()).await;
        let answer = gate.get(CLIENTS).await;
        assert!(answer.starts_with("HTTP/1.1 418") && !answer.contains("connection 0"), "{status} {body}: {answer}");
        assert_eq!(gate.refusal().await, expected, "{status} {body}");
        assert_eq!(authority.asked(), 1);
    }
    for kind in ["bearer", "BEARER"] {
        let changes = json!({"token_type": kind, "issued_token_type": "urn:ietf:params:oauth:token-type:jwt"});
        let authority = Authority::open(200, good(changes)).await;
        assert!(authority.gate(Who::default()).await.get(CLIENTS).await.contains("Bearer for-the-app"));
    }
}

#[tokio::test(flavor = "local")]
async fn nobody_who_cannot_be_reached_is_passed_by() {
    let mut app = settings(echo().await);
    let authority = Authority::good().await;
    app.token_exchange = Some(authority.settings());
    // Nobody opened an exchanger for it: a fault of ours is no way through either.
    let mut gate = Gate::open(vec![app], Who::default()).await;
    assert!(gate.get(CLIENTS).await.starts_with("HTTP/1.1 418"));
    assert!(gate.refusal().await.starts_with("NotExchanged"));
    assert_eq!(authority.asked(), 0);
}

#[tokio::test(flavor = "local")]
async fn a_thousand_waiters_and_one_who_hangs_up_make_one_call() {
    let authority = Authority::good().await;
    authority.script.held.set(true);
    let exchanger = authority.exchanger(&Clock::system());
    let mut gone = Box::pin(exchanger.authorization("of-the-client", Timestamp::MAX));
    assert!(futures_util::poll!(&mut gone).is_pending());
    authority.until_asked().await;
    drop(gone);
    let waiters = join_all((0..1000).map(|_| exchanger.authorization("of-the-client", Timestamp::MAX)));
    let (outcomes, ()) = tokio::join!(waiters, async { authority.release() });
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap() == "Bearer for-the-app"));
    assert_eq!(authority.asked(), 1);
    assert_eq!(exchanger.status().state, SourceState::Fresh);
}

#[tokio::test(flavor = "local")]
async fn a_token_counts_to_its_end_the_clients_or_the_cap_whichever_is_first() {
    let start = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000);
    let after = |seconds: i64| start + SignedDuration::from_secs(seconds);
    for (expires_in, clients_end, last) in [
        (json!(600), 3600, 59),
        (Value::Null, 3600, 59),
        (json!(20), 3600, 19),
        (json!(u64::MAX), 3600, 59),
        (json!(600), 10, 9),
    ] {
        let authority = Authority::open(200, good(json!({"expires_in": expires_in}))).await;
        let clock = Clock::fixed(start);
        let exchanger = authority.exchanger(&clock);
        let ask = async || exchanger.authorization("of-the-client", after(clients_end)).await.unwrap();
        assert_eq!(ask().await, "Bearer for-the-app");
        authority.says(200, good(json!({"access_token": "the-next"})));
        clock.set(after(last));
        assert_eq!(ask().await, "Bearer for-the-app", "{expires_in}");
        clock.set(after(last + 1));
        assert_eq!(ask().await, "Bearer the-next", "{expires_in}");
        assert_eq!(authority.asked(), 2);
    }
}

#[tokio::test(flavor = "local")]
async fn a_refusal_is_remembered_for_its_token_alone_and_the_server_is_well() {
    let authority = Authority::open(400, json!({"error": "invalid_grant"})).await;
    let exchanger = authority.exchanger(&Clock::system());
    for _ in 0..20 {
        let outcome = exchanger.authorization("revoked", Timestamp::MAX).await;
        assert_eq!(outcome, Err(NotExchanged::Refused("invalid_grant")));
    }
    assert_eq!(authority.asked(), 1);
    authority.says(200, good(json!({})));
    assert!(exchanger.authorization("of-the-client", Timestamp::MAX).await.is_ok());
    assert_eq!(exchanger.authorization("revoked", Timestamp::MAX).await, Err(NotExchanged::Refused("invalid_grant")));
    assert_eq!((authority.asked(), exchanger.status().last_error), (2, None));
}

#[tokio::test(flavor = "local")]
async fn what_fails_is_left_alone_for_a_while() {
    let authority = Authority::open(500, "").await;
    let exchanger = authority.exchanger(&Clock::system());
    for number in 0..20 {
        let outcome = exchanger.authorization(&number.to_string(), Timestamp::MAX).await;
        assert!(matches!(outcome, Err(NotExchanged::Unavailable(_))));
    }
    assert_eq!(authority.asked(), 5);
    assert_eq!((exchanger.status().state, exchanger.status().last_error), (SourceState::Down, Some("status")));
}

#[tokio::test(flavor = "local")]
async fn a_grant_that_ends_while_its_token_is_exchanged_ends_the_request() {
    let authority = Authority::good().await;
    authority.script.held.set(true);
    let mut gate = authority.gate(Who::default()).await;
    let (answer, ()) = tokio::join!(gate.get(CLIENTS), async {
        authority.until_asked().await;
        gate.leases.borrow()[0].end_for(Reason::TokenRevoked);
    });
    assert!(answer.starts_with("HTTP/1.1 418") && !answer.contains("for-the-app"), "{answer}");
    assert_eq!(gate.refusal().await, "LeaseEnded(TokenRevoked)");
    authority.release();
}

#[tokio::test(flavor = "local")]
async fn a_reload_keeps_what_was_issued_only_where_nothing_changed() {
    let authority = Authority::good().await;
    let gate = authority.gate(Who::default()).await;
    assert!(gate.get(CLIENTS).await.contains("for-the-app"));
    let mut app = settings(echo().await);
    app.token_exchange = Some(authority.settings());
    let before = gate.upstreams.borrow().clone();
    *gate.upstreams.borrow_mut() = upstreams(app.clone(), Some(&before));
    assert!(gate.get(CLIENTS).await.contains("for-the-app"));
    assert_eq!(authority.asked(), 1, "another endpoint is the same audience");
    let mut other = authority.settings();
    other.audience = "another".into();
    app.token_exchange = Some(other);
    let before = gate.upstreams.borrow().clone();
    *gate.upstreams.borrow_mut() = upstreams(app, Some(&before));
    authority.says(200, good(json!({"access_token": "for-another"})));
    assert!(gate.get(CLIENTS).await.contains("for-another"));
    assert_eq!(authority.asked(), 2);
}
