//! An inspection says of a token what a request with it would meet, and never shows the token.

use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use portcullis::authn::{Ask, AuthnError, BindingFault, Inspection, Outcome};
use portcullis::identity::Name;
use portcullis::route::Binding;
use serde_json::{Value, json};

use crate::hostile::{every_row, house};
use crate::support::{FakeProvider, House, Reply, at, encode, issuer, issuer_at, key, merged, server};

async fn inspected(house: &House, source: &str, token: &str, ask: Ask) -> Inspection {
    house.authenticator.inspect(token, &[Name::new(source)], None, ask, at(0)).await
}

fn outcome<'i>(seen: &'i Inspection, check: &str) -> &'i Outcome {
    &seen.checks.iter().find(|seen| seen.name == check).unwrap().outcome
}

#[tokio::test]
async fn every_hostile_token_is_refused_for_the_reason_that_a_request_meets() {
    let mut house = house();
    for (name, _, token) in every_row() {
        house.reconnect();
        let met = house.bearer("corp", &token).await.unwrap_err();
        let seen = inspected(&house, "corp", &token, Ask::TheSource).await;
        let depends_on_the_connection =
            matches!(met, AuthnError::Binding(fault) if fault != BindingFault::Confirmation);
        if depends_on_the_connection {
            assert_eq!((seen.refusal(), outcome(&seen, "binding")), (None, &Outcome::Open), "{name}");
        } else {
            assert_eq!(seen.refusal(), Some(&met), "{name}");
        }
        let shown = format!("{seen:?}");
        let leaks = token.split('.').filter(|part| part.len() > 40).any(|part| shown.contains(part));
        assert!(!leaks, "{name}: a part of the token is shown");
        assert!(seen.checks.iter().all(|check| !check.found.chars().any(char::is_control)), "{name}");
    }
}

#[tokio::test]
async fn a_good_token_passes_every_check() {
    let seen = inspected(&house(), "corp", &key("ES256").token(json!({})), Ask::TheSource).await;
    assert_eq!(seen.source, Some(Name::new("corp")));
    assert!(seen.checks.iter().all(|check| check.outcome == Outcome::Passed), "{seen:#?}");
    let checks: Vec<_> = seen.checks.iter().map(|check| check.name).collect();
    let wanted = [
        "form",
        "source",
        "size",
        "extensions",
        "type",
        "algorithm",
        "key id",
        "signature",
        "claims",
        "issuer",
        "end",
        "audience",
        "time",
        "lifetime",
        "subject",
        "facts",
        "binding",
    ];
    assert_eq!(checks, wanted);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let token = key("ES256").token(json!({"aud": "wiki", "exp": 1, "sub": null}));
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, encode(&[1; 64]));
    let seen = inspected(&house(), "corp", &forged, Ask::TheSource).await;
    for (check, error) in [
        ("signature", AuthnError::Signature),
        ("audience", AuthnError::Audience),
        ("time", AuthnError::Expired),
        ("subject", AuthnError::Claim("sub")),
    ] {
        assert_eq!(outcome(&seen, check), &Outcome::Failed(error));
    }
    assert_eq!(seen.refusal(), Some(&AuthnError::Signature));
}

#[tokio::test]
async fn a_binding_that_is_required_is_missed() {
    let token = key("ES256").token(json!({}));
    let house = house();
    for (binding, expected) in [
        (Binding::Required, Outcome::Failed(AuthnError::Binding(BindingFault::Unbound))),
        (Binding::IfBound, Outcome::Passed),
        (Binding::Off, Outcome::Passed),
    ] {
        let route = [Name::new("corp")];
        let seen = house.authenticator.inspect(&token, &route, Some(binding), Ask::TheSource, at(0)).await;
        assert_eq!(outcome(&seen, "binding"), &expected);
    }
}

#[tokio::test]
async fn offline_nobody_is_asked_and_what_only_they_know_stays_open() {
    let provider = FakeProvider::start().await;
    let house = House::new(vec![issuer_at(&provider.url("/jwks"))], vec![server(&provider.url("/introspect"))]);
    let signed = inspected(&house, "corp", &key("ES256").token(json!({})), Ask::Nobody).await;
    assert_eq!((signed.refusal(), outcome(&signed, "signature")), (None, &Outcome::Open));
    let opaque = inspected(&house, "partners", "opaque", Ask::Nobody).await;
    assert_eq!((opaque.refusal(), outcome(&opaque, "answer")), (None, &Outcome::Open));
    assert_eq!(provider.count("/introspect"), 0);
}

#[tokio::test]
async fn the_source_is_asked_once_as_the_gateway_would() {
    let provider = FakeProvider::start().await;
    provider.answers("/jwks", Reply::keys(&[key("ES256").jwk()]));
    provider.answers("/introspect", Reply::json(&json!({"active": false})));
    let house = House::new(vec![issuer_at(&provider.url("/jwks"))], vec![server(&provider.url("/introspect"))]);
    let signed = inspected(&house, "corp", &key("ES256").token(json!({})), Ask::TheSource).await;
    assert_eq!(outcome(&signed, "signature"), &Outcome::Passed);
    assert_eq!(provider.count("/jwks"), 1);
    let opaque = inspected(&house, "partners", "opaque", Ask::TheSource).await;
    assert_eq!(opaque.refusal(), Some(&AuthnError::Inactive));
    assert_eq!(provider.count("/introspect"), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_no_refusal_of_the_token() {
    let provider = FakeProvider::start().await;
    let house = House::new(vec![issuer_at(&provider.url("/nowhere"))], Vec::new());
    let seen = inspected(&house, "corp", &key("ES256").token(json!({})), Ask::TheSource).await;
    assert!(matches!(seen.refusal(), Some(AuthnError::IssuerUnavailable { .. })), "{seen:?}");
    assert!(seen.checks.iter().any(|check| check.found.ends_with("the last fetch failed: jwks-status")), "{seen:?}");
    assert_eq!(outcome(&seen, "audience"), &Outcome::Passed);
}

#[tokio::test]
async fn what_is_shown_is_short_and_has_no_control_characters() {
    let token = key("ES256").token(json!({"aud": format!("\u{1b}[2J{}", "x".repeat(1000))}));
    let seen = inspected(&House::new(vec![issuer(&[])], Vec::new()), "corp", &token, Ask::TheSource).await;
    let audience = &seen.checks.iter().find(|check| check.name == "audience").unwrap().found;
    assert!(audience.starts_with("aud is `\\u{1b}[2Jxxx") && audience.len() < 300, "{audience}");
}

/// A gate that needs nothing but itself.
const GATE: &str = r#"
[[listener]]
name    = "edge"
address = "127.0.0.1:0"
tls     = "off"

[issuer.corp]
url       = "https://login.corp.example"
jwks      = "keys.json"
audiences = ["payments-api"]

[upstream.payments]
endpoints = ["http://127.0.0.1:9"]
"#;
const POLICY: &str = r#"
[[route]]
name     = "payments"
host     = "*.corp.example"
path     = "/{rest...}"
methods  = ["GET"]
tokens   = ["corp"]
upstream = "payments"

[[allow]]
name    = "staff"
routes  = ["payments"]
subject = { issuer = "corp" }
"#;

/// `portcullis token inspect`, with nobody to ask.
fn command(arguments: &[&str], stdin: &str) -> (bool, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let keys = json!({"keys": [key("ES256").jwk()]}).to_string();
    std::fs::write(directory.path().join("keys.json"), keys).unwrap();
    std::fs::write(directory.path().join("portcullis.toml"), GATE).unwrap();
    std::fs::create_dir(directory.path().join("policies")).unwrap();
    std::fs::write(directory.path().join("policies/payments.toml"), POLICY).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["token", "inspect", "--offline", "--config"])
        .arg(directory.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It reads no more than a token can have, and then goes.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_tells_a_program_every_check_and_nobody_the_token() {
    let now = Timestamp::now().as_second();
    let token = |changes: Value| key("ES256").token(merged(json!({"iat": now, "nbf": now, "exp": now + 600}), changes));
    for (changes, refused) in [
        (json!({}), Value::Null),
        (json!({"aud": "wiki"}), json!("token-audience")),
        (json!({"sub": 7}), json!("token-claim")),
    ] {
        let token = token(changes);
        for stdin in [token.clone(), format!("Bearer {token}\n"), format!("  DPoP {token}\r\n")] {
            let (well, out, err) = command(&["--output", "json"], &stdin);
            let seen: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(
                (&seen["refused"], &seen["source"], well),
                (&refused, &json!("corp"), refused.is_null()),
                "{err}"
            );
            assert!(seen["routes"].as_array().is_some_and(|routes| !routes.is_empty()));
            let failed = |check: &&Value| check["outcome"] == "failed";
            let first = seen["checks"].as_array().unwrap().iter().find(failed).map(|check| check["reason"].clone());
            assert_eq!(first.unwrap_or_default(), refused);
            assert!(token.split('.').all(|part| !out.contains(part) && !err.contains(part)));
        }
    }
}

#[test]
fn the_command_tells_a_person_in_colour_what_is_wrong() {
    let (well, out, _) = command(&["--color", "always"], &key("ES256").token(json!({"exp": 1})));
    assert!(!well);
    assert!(out.contains("\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m  time        expired: now is "), "{out:?}");
    assert!(out.trim_end().ends_with("token-expired; see docs/reasons.md"), "{out:?}");
    let (_, plain, _) = command(&["--color", "never"], "opaque");
    assert!(!plain.contains('\u{1b}') && plain.contains("FAIL  form        the token is malformed: "), "{plain:?}");
}

#[test]
fn the_command_says_what_it_cannot_do() {
    let huge = "x".repeat(70_000);
    for (arguments, stdin, complaint) in [
        (&[][..], "", "no token came"),
        (&[], "\r\n", "no token came"),
        (&[], huge.as_str(), "that is no token"),
        (&["--route", "nowhere"], "opaque", "there is no route `nowhere`"),
    ] {
        let (well, out, err) = command(arguments, stdin);
        assert!(!well && out.is_empty() && err.contains(complaint), "{err}");
    }
}
