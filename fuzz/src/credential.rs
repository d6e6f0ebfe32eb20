//! Credentials and keys, before anything is verified.

use std::str::from_utf8;

use http::HeaderValue;
use portcullis::authn::{Algorithm, KeySet};
use portcullis::credential::Credential;

/// An `Authorization` that is a credential is one scheme, one space, one token of token characters: the bytes after it.
pub fn authorization(input: &[u8]) -> bool {
    let (value, proof) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (input.get(..at).unwrap_or_default(), input.get(at + 1..)),
        None => (input, None),
    };
    let fields = (HeaderValue::from_bytes(value), proof.map(HeaderValue::from_bytes).transpose());
    let (Ok(field), Ok(proof_field)) = fields else { return false };
    let Ok(credential) = Credential::parse(&field, proof_field.as_ref()) else { return false };
    let token = credential.token().expose();
    assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
    assert!(from_utf8(value).is_ok_and(|value| value.split_once(' ').is_some_and(|(_, rest)| rest == token)));
    assert!(!format!("{credential:?}").contains(token) || token.len() < 12, "a token in debug output");
    match credential {
        Credential::Bearer(_) => assert!(value.to_ascii_lowercase().starts_with(b"bearer ") && proof.is_none()),
        Credential::Dpop { proof: kept, .. } => {
            assert!(value.to_ascii_lowercase().starts_with(b"dpop "));
            assert_eq!(Some(kept.expose().as_bytes()), proof);
        }
    }
    true
}

/// A key set never holds more keys than the document, and none without an algorithm that is allowed.
pub fn jwks(input: &[u8]) -> bool {
    let all: Vec<Algorithm> = ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]
        .iter()
        .filter_map(|name| Algorithm::from_name(name))
        .collect();
    let Ok(keys) = KeySet::parse(input, &all) else { return false };
    let stated: serde_json::Value = serde_json::from_slice(input).unwrap_or_default();
    assert_eq!(stated["keys"].as_array().map(Vec::len), Some(keys.len() + keys.skipped()));
    assert!(KeySet::parse(input, &[]).is_ok_and(|none| none.is_empty()), "a key without an algorithm");
    true
}
