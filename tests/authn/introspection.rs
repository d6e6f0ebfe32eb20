//! Opaque tokens: how often a server is asked, by which rule, and what counts while it does not answer.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::authn::{AuthnError, BindingFault, Identified, IntrospectionSettings, TokenCache};
use portcullis::identity::{Name, Scope};
use serde_json::{Value, json};

use crate::refusals::kind;
use crate::support::keys::merged;
use crate::support::{AUDIENCE, FakeProvider, House, NOW, Reply, SigningKey, Still, at, issuer, key, server};

pub(crate) const INTROSPECT: &str = "/introspect";

/// A good answer with some members replaced; `null` removes one.
pub(crate) fn active(changes: Value) -> Reply {
    let good = json!({
        "active": true, "sub": "p-4", "aud": AUDIENCE, "iss": "https://as.partners.example", "token_type": "Bearer",
        "client_id": "shop", "scope": "read", "exp": NOW + 3600, "iat": NOW - 10,
    });
    Reply::json(&merged(good, changes))
}

pub(crate) fn inactive() -> Reply {
    Reply::json(&json!({"active": false}))
}

async fn begin(reply: Reply, change: impl FnOnce(&mut IntrospectionSettings)) -> (Still, FakeProvider, House) {
    let (still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers(INTROSPECT, reply);
    let mut settings = server(&provider.url(INTROSPECT));
    change(&mut settings);
    (still, provider, House::new(Vec::new(), vec![settings]))
}

fn refused(outcome: Result<Identified, AuthnError>) -> &'static str {
    outcome.map_or_else(|error| kind(&error), |_| "accepted")
}

#[tokio::test]
async fn ten_thousand_waiters_make_one_call() {
    let (_still, provider, house) = begin(active(json!({})).held(), |_| {}).await;
    let waiters = join_all((0..10_000).map(|_| house.stranger("partners", "opaque-1")));
    let (outcomes, ()) = tokio::join!(waiters, async {
        provider.until(INTROSPECT, 1).await;
        provider.release();
    });
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(provider.count(INTROSPECT), 1);
    assert!(house.stranger("partners", "opaque-1").await.is_ok());
    assert_eq!(provider.count(INTROSPECT), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_neither_ends_the_call_nor_repeats_it() {
    let (_still, provider, house) = begin(active(json!({})).held(), |_| {}).await;
    let mut gone = Box::pin(house.stranger("partners", "opaque-1"));
    assert!(futures_util::poll!(&mut gone).is_pending());
    provider.until(INTROSPECT, 1).await;
    drop(gone);
    let (outcome, ()) = tokio::join!(house.stranger("partners", "opaque-1"), async { provider.release() });
    assert!(outcome.is_ok());
    assert_eq!(provider.count(INTROSPECT), 1);
}

#[tokio::test]
async fn the_facts_are_what_the_server_says() {
    let (_still, provider, house) = begin(active(json!({"groups": ["shops"], "jti": "o-1"})), |_| {}).await;
    let identified = house.bearer("partners", "opaque-1").await.unwrap();
    let facts = identified.token().unwrap();
    assert_eq!((facts.source.as_str(), &*facts.principal.subject), ("partners", "p-4"));
    assert_eq!(facts.principal.issuer.as_str(), "https://as.partners.example");
    assert_eq!((facts.client_id.as_deref(), facts.id.as_deref()), (Some("shop"), Some("o-1")));
    assert_eq!((facts.scopes.as_slice(), facts.expires_at), ([Scope::new("read")].as_slice(), at(3600)));
    // Without `sub` the token stands for its client; without `iss` and `exp` for its server and for the time of the cap.
    provider.answers(INTROSPECT, active(json!({"sub": null, "iss": null, "exp": null})));
    let identified = house.bearer("partners", "opaque-2").await.unwrap();
    let facts = identified.token().unwrap();
    assert_eq!((&*facts.principal.subject, facts.expires_at), ("shop", at(60)));
    assert_eq!(facts.principal.issuer.as_str(), "https://as.partners.example");
}

#[tokio::test]
async fn a_good_answer_counts_for_the_cap_and_not_beyond_the_tokens_own_end() {
    // The cap is 60 s, the skew 30 s.
    for (exp, last) in [(NOW + 3600, 59), (NOW + 5, 34), (NOW - 20, 9)] {
        let (_still, provider, house) = begin(active(json!({"exp": exp})), |_| {}).await;
        assert!(house.bearer("partners", "opaque-1").await.is_ok());
        provider.answers(INTROSPECT, inactive());
        house.clock.set(at(last));
        assert!(house.bearer("partners", "opaque-1").await.is_ok());
        assert!(house.stranger("partners", "opaque-1").await.is_ok());
        assert_eq!(provider.count(INTROSPECT), 1);
        house.clock.set(at(last + 1));
        assert_eq!(refused(house.bearer("partners", "opaque-1").await), "inactive");
        assert_eq!(provider.count(INTROSPECT), 2);
    }
}

#[tokio::test]
async fn a_bad_answer_is_remembered_for_a_while() {
    let (_still, provider, house) = begin(inactive(), |_| {}).await;
    for _ in 0..50 {
        assert_eq!(refused(house.stranger("partners", "opaque-1").await), "inactive");
    }
    assert_eq!(provider.count(INTROSPECT), 1);
    provider.answers(INTROSPECT, active(json!({})));
    house.clock.set(at(9));
    assert_eq!(refused(house.stranger("partners", "opaque-1").await), "inactive");
    house.clock.set(at(10));
    assert!(house.stranger("partners", "opaque-1").await.is_ok());
    assert_eq!(provider.count(INTROSPECT), 2);
}

#[tokio::test]
async fn garbage_drives_no_good_answer_out() {
    let (_still, provider, house) = begin(active(json!({})), |settings| settings.cache.max_entries = 8).await;
    assert!(house.stranger("partners", "opaque-good").await.is_ok());
    provider.answers(INTROSPECT, inactive());
    for number in 0..500 {
        assert_eq!(refused(house.stranger("partners", &format!("opaque-{number}")).await), "inactive");
    }
    assert!(house.stranger("partners", "opaque-good").await.is_ok());
    let asked = provider.asked(INTROSPECT);
    assert_eq!(asked.iter().filter(|asked| asked.body.contains("opaque-good")).count(), 1);
}

#[tokio::test]
async fn every_check_of_a_route_runs_again_on_a_hit() {
    let (_still, _provider, house) = begin(active(json!({})), |_| {}).await;
    assert!(house.bearer("partners", "opaque-1").await.is_ok());
    assert_eq!(refused(house.bearer("none", "opaque-1").await), "source");
    let request = http::Request::get("/partners").header("host", "required.example");
    let request = request.header("authorization", "Bearer opaque-1").body(()).unwrap();
    assert_eq!(house.send(request).await.unwrap_err(), AuthnError::Binding(BindingFault::Unbound));
}

#[tokio::test]
async fn a_server_that_is_down_means_503_unless_a_grace_is_stated() {
    let down = |provider: &FakeProvider| provider.answers(INTROSPECT, Reply::status(500));
    for (grace, until) in [(0, 60), (300, 360), (7200, 3600)] {
        let stale = move |settings: &mut IntrospectionSettings| {
            settings.cache.stale_if_error = Duration::from_secs(grace);
        };
        let (still, provider, house) = begin(active(json!({})), stale).await;
        assert!(house.bearer("partners", "opaque-1").await.is_ok());
        down(&provider);
        assert_eq!(refused(house.stranger("partners", "opaque-2").await), "introspection-unavailable");
        house.clock.set(at(until - 1));
        assert!(house.bearer("partners", "opaque-1").await.is_ok(), "grace {grace}");
        house.clock.set(at(until));
        still.passes(60).await;
        assert_eq!(refused(house.bearer("partners", "opaque-1").await), "introspection-unavailable", "grace {grace}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    let (still, provider, house) = begin(Reply::status(429).header("retry-after", "7"), |_| {}).await;
    let unavailable = async |token: &str| match house.stranger("partners", token).await {
        Err(AuthnError::IntrospectionUnavailable { server, retry_after }) => {
            assert_eq!(server.as_str(), "partners");
            retry_after
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(unavailable("opaque-1").await, Duration::from_secs(7));
    provider.answers(INTROSPECT, active(json!({})));
    still.passes(6).await;
    assert_eq!(unavailable("opaque-2").await, Duration::from_secs(1));
    assert_eq!(provider.count(INTROSPECT), 1);
    still.passes(1).await;
    assert!(house.stranger("partners", "opaque-2").await.is_ok());
    assert_eq!(provider.count(INTROSPECT), 2);
}

#[tokio::test]
async fn a_server_that_is_busy_says_so_in_two_ways() {
    let (still, provider, house) = begin(Reply::status(503).header("retry-after", "20"), |_| {}).await;
    assert_eq!(refused(house.stranger("partners", "opaque-1").await), "introspection-unavailable");
    provider.answers(INTROSPECT, active(json!({})));
    still.passes(19).await;
    assert_eq!(refused(house.stranger("partners", "opaque-1").await), "introspection-unavailable");
    assert_eq!(provider.count(INTROSPECT), 1);
    still.passes(1).await;
    assert!(house.stranger("partners", "opaque-1").await.is_ok());
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_a_while() {
    let (still, provider, house) = begin(Reply::status(500), |_| {}).await;
    for number in 0..20 {
        let token = format!("opaque-{number}");
        assert_eq!(refused(house.stranger("partners", &token).await), "introspection-unavailable");
    }
    assert_eq!(provider.count(INTROSPECT), 5);
    provider.answers(INTROSPECT, active(json!({})));
    still.passes(1).await;
    assert!(house.stranger("partners", "opaque-1").await.is_ok());
}

#[tokio::test]
async fn nobody_who_cannot_be_reached_vouches_for_anything() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let house = House::new(Vec::new(), vec![server(&format!("http://{address}/introspect"))]);
    assert_eq!(refused(house.bearer("partners", "opaque-1").await), "introspection-unavailable");
}

#[tokio::test]
async fn a_token_goes_to_one_verifier_and_never_to_a_second() {
    let _still = Still::begin();
    let (one, two, open) = (FakeProvider::start().await, FakeProvider::start().await, FakeProvider::start().await);
    let named = |name: &str, provider: &FakeProvider, prefix: Option<&str>| IntrospectionSettings {
        name: Name::new(name),
        prefix: prefix.map(Box::from),
        ..server(&provider.url(INTROSPECT))
    };
    let servers = vec![named("one", &one, Some("one_")), named("two", &two, Some("two_")), named("open", &open, None)];
    for provider in [&one, &two, &open] {
        provider.answers(INTROSPECT, inactive());
    }
    let house = House::new(vec![issuer(&[key("ES256").jwk()])], servers);
    let forged = SigningKey::ec("ec", "ES256").token(json!({}));
    let foreign = key("ES256").token(json!({"iss": "https://elsewhere.example"}));
    let ours = key("ES256").token(json!({}));
    let asked = || [&one, &two, &open].map(|provider| provider.count(INTROSPECT));
    for (name, route, token, expected, calls) in [
        ("a prefix decides", "one+two", "one_x", "inactive", [1, 0, 0]),
        ("a prefix of a server that does not count here", "one", "two_x", "source", [0, 0, 0]),
        ("a prefix goes before the open server", "one+open", "one_y", "inactive", [1, 0, 0]),
        ("and is not tried there where it does not count", "open", "one_z", "source", [0, 0, 0]),
        ("no prefix, and no open server", "one+two", "three_x", "source", [0, 0, 0]),
        ("no prefix, and an open server", "one+open", "three_x", "inactive", [0, 0, 1]),
        ("a bad signature is the issuer's to judge", "corp+open", &forged, "signature", [0, 0, 0]),
        ("a signed token of somebody else is opaque here", "corp+open", &foreign, "inactive", [0, 0, 1]),
        ("a token of an issuer that does not count here is shown to nobody", "open", &ours, "source", [0, 0, 0]),
        ("dots make no signed token", "corp+open", "a.b.c", "inactive", [0, 0, 1]),
        ("a route without sources asks nobody", "none", "three_y", "source", [0, 0, 0]),
    ] {
        let before = asked();
        assert_eq!(refused(house.stranger(route, token).await), expected, "{name}");
        let after = asked();
        assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), calls, "{name}");
    }
}

#[tokio::test]
async fn what_one_server_says_of_a_token_says_nothing_at_another() {
    let _still = Still::begin();
    let provider = FakeProvider::start().await;
    provider.answers("/one", active(json!({})));
    provider.answers("/two", inactive());
    let named = |name: &str, path: &str| IntrospectionSettings { name: Name::new(name), ..server(&provider.url(path)) };
    let mut house = House::new(Vec::new(), vec![named("one", "/one"), named("two", "/two")]);
    assert!(house.bearer("one", "opaque-1").await.is_ok());
    assert_eq!(refused(house.bearer("two", "opaque-1").await), "inactive");
    assert!(house.bearer("one", "opaque-1").await.is_ok());
    assert_eq!((provider.count("/one"), provider.count("/two")), (1, 1));
    // The same server asked as another client is another server.
    let mut other = named("one", "/one");
    other.client.id = "other".into();
    house.reload(Vec::new(), vec![other]);
    house.tokens = TokenCache::default();
    assert!(house.bearer("one", "opaque-1").await.is_ok());
    assert_eq!(provider.count("/one"), 2);
}
