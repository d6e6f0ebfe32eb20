use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{AssertionSettings, Assertions, Signer, Speaker};
use crate::identity::{Confirmation, Name, Scope, TokenFacts};
use crate::state::StateDirectory;
use crate::upstream::tests::harness;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn settings(state: &Path) -> AssertionSettings {
    AssertionSettings {
        issuer: "https://gate.example".into(),
        state: StateDirectory::new(state.into()),
        listener: Name::new("inside"),
        lifetime: Duration::from_secs(300),
    }
}

fn signer(state: &Path) -> Arc<Signer> {
    Signer::open(&settings(state), now).unwrap()
}

fn refused(state: &Path) -> String {
    Signer::open(&settings(state), now).unwrap_err().to_string()
}

fn state() -> (tempfile::TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("deep/state");
    (place, state)
}

fn alice() -> TokenFacts {
    TokenFacts {
        scopes: vec![Scope::new("read"), Scope::new("write")],
        groups: vec!["staff".into(), "sre".into()],
        expires_at: now() + SignedDuration::from_hours(1),
        confirmation: Some(Confirmation::Jwk([7; 32])),
        ..harness::token("alice", json!({}))
    }
}

fn about(assertions: &Assertions, signer: &Arc<Signer>, token: &Arc<TokenFacts>, at: Timestamp) -> HeaderValue {
    ask(assertions, signer, Some(token), &"payments".into(), at).unwrap().unwrap()
}

fn ask(
    assertions: &Assertions,
    signer: &Arc<Signer>,
    token: Option<&Arc<TokenFacts>>,
    audience: &Arc<str>,
    at: Timestamp,
) -> Result<Option<HeaderValue>, ()> {
    Speaker { assertions, signer: Some(signer), token, peer: None, at }.assertion(audience)
}

fn part(value: &HeaderValue, index: usize) -> Value {
    let text = value.to_str().unwrap().split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn key_ids(signer: &Signer) -> Vec<Value> {
    let set: Value = serde_json::from_slice(&signer.published()).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
}

#[tokio::test]
async fn it_says_who_asks_and_nothing_for_longer_than_the_token_counts() {
    let (_place, state) = state();
    let signer = signer(&state);
    let said = about(&Assertions::default(), &signer, &Arc::new(alice()), now());
    assert!(said.is_sensitive());
    assert_eq!(part(&said, 0), json!({ "alg": "ES256", "kid": key_ids(&signer)[0], "typ": "JWT" }));
    let expected = json!({
        "iss": "https://gate.example", "aud": "payments", "sub": "alice", "sub_issuer": "https://login.example",
        "iat": 1_800_000_000, "exp": 1_800_000_300, "scope": "read write", "groups": ["staff", "sre"],
        "cnf": { "jkt": URL_SAFE_NO_PAD.encode([7; 32]) },
    });
    assert_eq!(part(&said, 1), expected);

    let brief = TokenFacts { expires_at: now() + SignedDuration::from_secs(20), ..alice() };
    let said = about(&Assertions::default(), &signer, &Arc::new(brief), now());
    assert_eq!(part(&said, 1)["exp"], 1_800_000_020);
}

#[tokio::test]
async fn one_is_used_for_half_of_its_life_and_never_for_somebody_else() {
    let (_place, state) = state();
    let (signer, assertions) = (signer(&state), Assertions::default());
    let audience: Arc<str> = "payments".into();
    let token = Arc::new(alice());
    let said = |token: &Arc<TokenFacts>, audience: &Arc<str>, seconds| {
        let at = now() + SignedDuration::from_secs(seconds);
        ask(&assertions, &signer, Some(token), audience, at).unwrap().unwrap()
    };
    let first = said(&token, &audience, 0);
    assert_eq!(said(&token, &audience, 149), first);
    assert_eq!(part(&said(&token, &audience, 151), 1)["iat"], 1_800_000_151);
    assert_eq!(part(&said(&token, &"wiki".into(), 0), 1)["aud"], "wiki");
    let bob = Arc::new(harness::token("bob", json!({})));
    assert_eq!(part(&said(&bob, &audience, 0), 1)["sub"], "bob");
    assert_eq!(ask(&assertions, &signer, None, &audience, now()), Ok(None), "nobody is nobody");
}

#[tokio::test]
async fn one_that_no_header_can_hold_is_an_error() {
    let (_place, state) = state();
    let crowd = TokenFacts { groups: (0..2_000).map(|number| format!("group-{number}").into()).collect(), ..alice() };
    let audience: Arc<str> = "payments".into();
    let said = ask(&Assertions::default(), &signer(&state), Some(&Arc::new(crowd)), &audience, now());
    assert_eq!(said, Err(()));
}

#[tokio::test]
async fn the_key_survives_a_restart_and_nobody_else_can_read_it() {
    let (_place, state) = state();
    let first = key_ids(&signer(&state));
    assert_eq!(key_ids(&signer(&state)), first);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("assertion-keys.json"))), (0o700, 0o600));
}

#[tokio::test]
async fn a_state_that_others_can_reach_or_that_is_damaged_is_refused_and_left_as_it_is() {
    let (_place, state) = state();
    signer(&state);
    let file = state.join("assertion-keys.json");
    let text = fs::read(&file).unwrap();

    fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
    assert!(refused(&state).contains("chmod 700"));
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();

    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    assert!(refused(&state).contains("chmod 600"));
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();

    fs::write(&file, "{").unwrap();
    assert!(refused(&state).contains("damaged"));
    assert_eq!(fs::read(&file).unwrap(), b"{");
    fs::write(&file, text).unwrap();
    signer(&state);
}
