//! Every public test vector for JOSE, and what comes of it here: `tests/vectors/jose/outcomes.txt` is exact.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Compact, check_header, check_signature};
use crate::authn::algorithm::Algorithm;
use crate::authn::error::AuthnError;
use crate::authn::jwks::KeySet;
use crate::authn::settings::{Audiences, GroupsClaim, IssuerSettings, KeyOrigin, SharedSecret, TokenRules, TokenType};
use crate::identity::{Claims, Issuer, Name};
use crate::route::Binding;

const FILES: [&str; 4] =
    ["json_web_crypto_test", "json_web_encryption_test", "json_web_key_test", "json_web_signature_test"];

fn vectors(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/jose");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// An issuer that says as little as an issuer can: any algorithm that goes with its keys, a `typ` or none.
fn issuer(algorithms: Vec<Algorithm>) -> IssuerSettings {
    IssuerSettings {
        name: Name::new("corp"),
        issuer: Issuer::new("https://login.corp.example"),
        keys: KeyOrigin::Secret(SharedSecret::new(Vec::new())),
        token: TokenRules {
            audiences: Audiences::Unchecked,
            clock_skew: Duration::ZERO,
            max_bytes: usize::MAX,
            groups: GroupsClaim::default(),
            binding: Binding::IfBound,
            dpop_nonce: false,
        },
        algorithms,
        token_types: vec![TokenType::Absent, TokenType::named("JWT")],
        max_lifetime: Duration::MAX,
    }
}

/// The keys of a group, as an operator would have them: a secret for HMAC by name, everything else as a key set.
fn keys(group: &Value) -> (KeySet, Vec<Algorithm>) {
    let key = group.get("public").unwrap_or(&group["private"]);
    let key = match key["keys"].as_array().map(Vec::as_slice) {
        Some([only]) => only,
        _ => key,
    };
    let stated = key["alg"].as_str().and_then(Algorithm::from_name);
    let symmetric = |wanted| Algorithm::ALL.iter().copied().filter(move |it| it.is_symmetric() == wanted);
    let signs = key["use"].as_str().is_none_or(|usage| usage == "sig");
    let for_hmac = key["alg"].is_null() || stated.is_some_and(Algorithm::is_symmetric);
    if key["kty"] == "oct" && signs && for_hmac {
        let secret = URL_SAFE_NO_PAD.decode(key["k"].as_str().unwrap()).unwrap();
        let algorithms = stated.map_or_else(|| symmetric(true).collect(), |stated| vec![stated]);
        return (KeySet::shared_secret(&secret, &algorithms), algorithms);
    }
    let document = if key.get("keys").is_some() { key.clone() } else { json!({"keys": [key]}) };
    let algorithms: Vec<_> = symmetric(false).collect();
    (KeySet::parse(document.to_string().as_bytes(), &algorithms).unwrap(), algorithms)
}

/// What comes of a token up to and with its signature. The payloads are no claims.
fn outcome(token: &str, keys: &KeySet, issuer: &IssuerSettings) -> Result<(), AuthnError> {
    let no_claims = |_: &[u8]| Claims::parse(b"{}").ok();
    let token = Compact::parse_with(token, no_claims).ok_or(AuthnError::Malformed)?;
    let wanted = check_header(&token, issuer)?;
    check_signature(&token, &wanted, keys)
}

fn word(outcome: &Result<(), AuthnError>) -> &'static str {
    match outcome {
        Ok(()) => "accepted",
        Err(AuthnError::Malformed) => "malformed",
        Err(AuthnError::Type) => "type",
        Err(AuthnError::Critical) => "critical",
        Err(AuthnError::Algorithm) => "algorithm",
        Err(AuthnError::KeyUnknown) => "key-unknown",
        Err(AuthnError::Signature) => "signature",
        Err(other) => panic!("{other:?} before the claims were read"),
    }
}

#[test]
fn every_public_vector_has_the_outcome_that_is_listed() {
    let (mut found, mut count) = (String::new(), 0);
    for file in FILES {
        let document: Value = serde_json::from_str(&vectors(&format!("{file}.json"))).unwrap();
        for group in document["testGroups"].as_array().unwrap() {
            let (keys, algorithms) = keys(group);
            let issuer = issuer(algorithms);
            for test in group["tests"].as_array().unwrap() {
                let token = test.get("jws").unwrap_or(&test["jwe"]);
                let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
                let outcome = outcome(&token, &keys, &issuer);
                let (id, expected, comment) = (&test["tcId"], &test["result"], test["comment"].as_str().unwrap());
                let name = group["comment"].as_str().unwrap();
                let line = format!("{file} {id} {}: {}, {name} {comment}", expected.as_str().unwrap(), word(&outcome));
                // Two vectors about padding lost theirs when they were written down, and are the valid token itself.
                let twin = |other: &Value| other["result"] == "valid" && other["jws"] == test["jws"];
                let valid = group["tests"].as_array().unwrap().iter().any(twin);
                assert!(valid || outcome.is_err(), "accepted: {line}");
                writeln!(found, "{}", line.trim_end()).unwrap();
                count += 1;
            }
        }
    }
    assert_eq!(count, 401 + 26 + 83 + 139, "each vector once");
    let listed = vectors("outcomes.txt");
    for (listed, found) in listed.lines().zip(found.lines()) {
        assert_eq!(listed, found);
    }
    assert_eq!(listed.lines().count(), found.lines().count());
}
