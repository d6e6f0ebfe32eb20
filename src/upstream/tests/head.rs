//! The head of a request as the service receives it, byte for byte.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::harness::{Gate, Who, echo, service, settings, token};
use crate::upstream::settings::{HostHeader, IdentityHeaders, IdentityValue, Separator};

fn identity(fields: &[(&'static str, IdentityValue)]) -> IdentityHeaders {
    let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())).collect();
    IdentityHeaders { fields, separator: Separator::Comma }
}

/// The lines of the head that the service saw, lower case, sorted; without the request's id.
fn lines(answer: &str) -> Vec<String> {
    let head = answer.split_once("connection 0\n").unwrap().1;
    let mut lines: Vec<_> = head.lines().filter(|line| !line.is_empty()).map(str::to_lowercase).collect();
    lines.retain(|line| !line.starts_with("x-request-id: "));
    lines.sort();
    lines
}

#[tokio::test(flavor = "local")]
async fn the_service_sees_the_verbatim_target_and_our_word_on_where_it_came_from() {
    let gate = Gate::open(vec![settings(echo().await)], Who::default()).await;
    let request =
        "GET /a%20b/;x=1?q=%41&&z HTTP/1.1\r\nHost: app.example:8443\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    let answer = gate.talk(request, |_| false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("GET /a%20b/;x=1?q=%41&&z HTTP/1.1\r\n"), "{answer}");
    assert_eq!(
        lines(&answer),
        [
            "accept: */*",
            "get /a%20b/;x=1?q=%41&&z http/1.1",
            "host: app.example:8443",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: app.example:8443",
            "x-forwarded-port: 8443",
            "x-forwarded-proto: http",
        ]
    );
}

/// CVE-2026-33495, CVE-2026-35051, CVE-2026-54764, CVE-2026-57210: nothing that a client says of where it comes from
/// reaches the service, in whatever spelling.
#[tokio::test(flavor = "local")]
async fn what_a_client_says_of_its_origin_is_replaced() {
    let gate = Gate::open(vec![settings(echo().await)], Who::default()).await;
    let hostile = "X-Forwarded-For: 10.0.0.1\r\nx_forwarded_for: 10.0.0.1\r\nX-Forwarded_Proto: https\r\n\
                   X-Forwarded-Prefix: /admin\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Server: evil\r\n\
                   X.Forwarded.For: 10.0.0.1\r\nForwarded: for=\"junk;for=10.0.0.1\"\r\nX-Real-IP: 10.0.0.1\r\n\
                   X_Real_IP: 10.0.0.1\r\nX-Forwarded-Client-Cert: Hash=1\r\nClient-Cert: :AA==:\r\n\
                   Client_Cert: :AA==:\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n\
                   X-Envoy-Original-Path: /admin\r\nX-Portcullis-User: root\r\nX-Request-Id: mine\r\n\
                   X-HTTP-Method-Override: DELETE\r\nProxy-Authorization: Basic eA==\r\nProxy-Foo: 1\r\n";
    let answer = gate.get(hostile).await;
    assert_eq!(
        lines(&answer),
        [
            "get /a?b http/1.1",
            "host: app.example",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: app.example",
            "x-forwarded-port: 80",
            "x-forwarded-proto: http",
        ]
    );
    assert!(!answer.contains("mine"), "{answer}");
}

/// GHSA-w9mr-28mw-j8hg, CVE-2024-45410, CVE-2026-29054: `Connection` removes the client's field and never ours.
#[tokio::test(flavor = "local")]
async fn connection_cannot_remove_what_the_gateway_sets() {
    let mut settings = settings(echo().await);
    settings.identity = identity(&[("x-auth-user", IdentityValue::User)]);
    let gate = Gate::open(vec![settings], Who::default()).await;
    let names = "X-Auth-User, x-forwarded-for, X-REQUEST-ID, x-forwarded-proto, Host, x-secret";
    let request = format!(
        "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close, {names}\r\nX-Secret: 1\r\nX-Auth-User: a\r\n\r\n"
    );
    let answer = gate.talk(&request, |_| false).await;
    let lines = lines(&answer);
    for ours in ["x-auth-user: u-17", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "host: app.example"] {
        assert!(lines.iter().any(|line| line == ours), "{ours} {lines:?}");
    }
    assert!(answer.to_lowercase().contains("x-request-id: "), "{answer}");
    assert!(!answer.contains("x-secret"), "{answer}");
}

/// CVE-2025-64484, CVE-2026-39858, CVE-2026-54763, CVE-2026-52845, CVE-2026-33433: no spelling of an identity header
/// passes, not even of another upstream's.
#[tokio::test(flavor = "local")]
async fn identity_headers_of_a_client_are_gone_in_every_spelling() {
    let mut first = settings(echo().await);
    first.identity = identity(&[("x-auth-user", IdentityValue::User)]);
    let mut second = settings("127.0.0.1:9".parse().unwrap());
    second.name = crate::identity::Name::new("other");
    second.identity = identity(&[("x-other-user", IdentityValue::User)]);
    let gate = Gate::open(vec![first, second], Who::default()).await;
    let answer = gate
        .get(
            "x-auth-user: root\r\nX_Auth_User: root\r\nX-AUTH-USER: root\r\nX-Auth_User: root\r\nX.Auth.User: root\r\n\
             X_OTHER_USER: root\r\nX-Other-User: root\r\n",
        )
        .await;
    assert!(!answer.contains("root"), "{answer}");
    assert_eq!(lines(&answer).iter().filter(|line| line.contains("user")).collect::<Vec<_>>(), ["x-auth-user: u-17"]);
}

/// The client's own type of content passes, and nothing beside it for readers that fold the spelling.
#[tokio::test(flavor = "local")]
async fn what_a_body_is_has_one_spelling() {
    let gate = Gate::open(vec![settings(echo().await)], Who::default()).await;
    let answer = gate
        .get(
            "Content-Type: text/plain\r\nContent_Type: forged\r\ncontent.type: forged\r\n\
             Content_Encoding: forged\r\nContent-Encoding: br\r\n",
        )
        .await;
    let kept: Vec<_> = lines(&answer).into_iter().filter(|line| line.starts_with("content")).collect();
    assert_eq!(kept, ["content-encoding: br", "content-type: text/plain"]);
    assert!(!answer.contains("forged"), "{answer}");
}

/// What only the gateway says to clients, and what would lead them around it, is not the service's to say.
#[tokio::test(flavor = "local")]
async fn a_service_does_not_speak_as_the_gateway() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        peer.send(
            "HTTP/1.1 200 OK\r\nX-Portcullis-Reason: forged\r\nX_Portcullis_Id: forged\r\nAlt-Svc: forged\r\n\
             Proxy-Authenticate: forged\r\nX-Own: kept\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    let answer = gate.get("").await.to_lowercase();
    assert!(!answer.contains("forged") && answer.contains("x-own: kept"), "{answer}");
}

/// A field that a rule sets or removes is not the client's under another spelling either.
#[tokio::test(flavor = "local")]
async fn what_rules_set_or_remove_is_gone_in_every_spelling() {
    let mut settings = settings(echo().await);
    settings.request_headers.set = vec![("x-tenant".parse().unwrap(), "ours".parse().unwrap())];
    settings.request_headers.remove = vec!["x-debug".parse().unwrap()];
    let gate = Gate::open(vec![settings], Who::default()).await;
    let answer = gate.get("X-Tenant: forged\r\nX_Tenant: forged\r\nX.Tenant: forged\r\nx_debug: forged\r\n").await;
    assert!(!answer.contains("forged") && answer.contains("x-tenant: ours"), "{answer}");
}

/// CVE-2026-30851: when there is nothing to say, the client's own word is still gone.
#[tokio::test(flavor = "local")]
async fn an_anonymous_request_carries_no_identity_at_all() {
    let mut settings = settings(echo().await);
    settings.identity = identity(&[("x-auth-user", IdentityValue::User), ("x-auth-groups", IdentityValue::Groups)]);
    let gate = Gate::open(vec![settings], Who { token: None, ..Who::default() }).await;
    let answer = gate.get("X-Auth-User: root\r\nX-Auth-Groups: admin\r\n").await;
    assert!(!answer.contains("x-auth"), "{answer}");
}

#[tokio::test(flavor = "local")]
async fn identity_is_written_from_the_token() {
    let mut settings = settings(echo().await);
    settings.identity = identity(&[
        ("x-user", IdentityValue::User),
        ("x-issuer", IdentityValue::Issuer),
        ("x-groups", IdentityValue::Groups),
        ("x-email", IdentityValue::Email),
        ("x-tenant", IdentityValue::Claim(crate::identity::ClaimPath::parse("tenant.id").unwrap())),
        ("x-roles", IdentityValue::Claim(crate::identity::ClaimPath::parse("roles").unwrap())),
        ("x-absent", IdentityValue::Claim(crate::identity::ClaimPath::parse("absent").unwrap())),
    ]);
    let mut facts = token("u 17", json!({ "email": "a@b.c", "tenant": { "id": 7 }, "roles": ["r1", true] }));
    facts.groups = vec!["Domain Admins".into(), "ops".into()];
    let gate = Gate::open(vec![settings], Who { token: Some(Arc::new(facts)), ..Who::default() }).await;
    let answer = gate.get("X-Absent: forged\r\n").await;
    let lines = lines(&answer);
    for expected in [
        "x-user: u 17",
        "x-issuer: https://login.example",
        "x-groups: domain admins,ops",
        "x-email: a@b.c",
        "x-tenant: 7",
        "x-roles: r1,true",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} {lines:?}");
    }
    assert!(!answer.contains("forged"), "{answer}");
}

/// An address that the issuer does not vouch for is somebody else's until they prove it.
#[tokio::test(flavor = "local")]
async fn an_address_that_was_not_verified_is_not_passed() {
    let cases =
        [(json!(true), true), (json!(false), false), (json!("true"), false), (json!(1), false), (json!(null), false)];
    for (verified, passes) in cases {
        let mut settings = settings(echo().await);
        settings.identity = identity(&[("x-email", IdentityValue::Email)]);
        let facts = token("u", json!({ "email": "a@b.c", "email_verified": verified }));
        let gate = Gate::open(vec![settings], Who { token: Some(Arc::new(facts)), ..Who::default() }).await;
        let answer = gate.get("X-Email: forged@b.c\r\n").await;
        assert_eq!(answer.contains("a@b.c"), passes, "{verified} {answer}");
        assert!(!answer.contains("forged"), "{answer}");
    }
}

#[tokio::test(flavor = "local")]
async fn an_identity_that_has_two_readings_is_a_refusal() {
    let cases: [(IdentityValue, &str, &[&str]); 7] = [
        (IdentityValue::User, "zo\u{eb}", &[]),
        (IdentityValue::User, "a\r\nX-Admin: 1", &[]),
        (IdentityValue::User, " padded", &[]),
        (IdentityValue::User, "", &[]),
        (IdentityValue::Groups, "u", &["a,b"]),
        (IdentityValue::Groups, "u", &["fine", ""]),
        (IdentityValue::Groups, "u", &["fine", "tab\tbed"]),
    ];
    for (value, sub, groups) in cases {
        let mut settings = settings(echo().await);
        settings.identity = identity(&[("x-auth", value)]);
        let mut facts = token(sub, json!({}));
        facts.groups = groups.iter().map(|group| (*group).into()).collect();
        let mut gate = Gate::open(vec![settings], Who { token: Some(Arc::new(facts)), ..Who::default() }).await;
        gate.get("").await;
        let refusal = gate.refusal().await;
        assert!(refusal.contains("IdentityNotEncodable") && refusal.contains("x-auth"), "{sub:?} {groups:?} {refusal}");
    }
}

/// CVE-2026-41181: a credential of ours stays with us.
#[tokio::test(flavor = "local")]
async fn the_credential_stays_here_unless_the_route_passes_it() {
    for pass in [false, true] {
        let who = Who { pass_authorization: pass, ..Who::default() };
        let gate = Gate::open(vec![settings(echo().await)], who).await;
        let answer = gate.get("Authorization: Bearer canary\r\nDPoP: canary\r\n").await;
        assert_eq!(answer.matches("canary").count(), if pass { 2 } else { 0 }, "{answer}");
    }
}

#[tokio::test(flavor = "local")]
async fn rules_apply_before_the_gateway_sets_its_own() {
    let mut settings = settings(echo().await);
    settings.host = HostHeader::Upstream;
    settings.request_headers.remove = vec![HeaderName::from_static("x-debug")];
    settings.request_headers.set = vec![(HeaderName::from_static("x-env"), HeaderValue::from_static("prod"))];
    settings.response_headers.remove = vec![HeaderName::from_static("content-length")];
    let address = settings.endpoints[0].url.clone();
    let gate = Gate::open(vec![settings], Who::default()).await;
    let answer = gate.get("X-Debug: 1\r\nX-Env: test\r\n").await;
    let host = address.replace("http://", "host: ");
    assert!(answer.contains(&host) && answer.contains("x-env: prod") && !answer.contains("x-debug"), "{answer}");
    assert!(answer.contains("x-forwarded-host: app.example"), "{answer}");
}

#[tokio::test(flavor = "local")]
async fn te_is_forwarded_for_trailers_alone() {
    let gate = Gate::open(vec![settings(echo().await)], Who::default()).await;
    let answer = gate.get("TE: gzip, trailers\r\n").await;
    assert!(lines(&answer).contains(&"te: trailers".to_owned()), "{answer}");
    let gate = Gate::open(vec![settings(echo().await)], Who::default()).await;
    let answer = gate.get("TE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\nKeep-Alive: 5\r\n").await;
    for gone in ["te: ", "upgrade: ", "http2-settings", "keep-alive: "] {
        assert!(!lines(&answer).iter().any(|line| line.starts_with(gone)), "{gone} {answer}");
    }
}
