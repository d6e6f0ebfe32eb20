//! The vocabulary: what parses has one meaning, and says the same again.

use std::str::from_utf8;

use portcullis::identity::{ClaimPath, Claims, Name, PeerFacts, SpiffeId};
use serde_json::Value;

/// Claims that parse are what a lenient parser reads, too, and hold no member twice.
pub fn claims(input: &[u8]) -> bool {
    let Ok(claims) = Claims::parse(input) else { return false };
    let lenient: Result<Value, _> = serde_json::from_slice(input);
    assert!(
        lenient.is_ok_and(|value| value.as_object() == Some(claims.as_map())),
        "the strict parser accepts more, or other"
    );
    if claims.as_map().values().any(holds_fraction) {
        return true; // a long fraction may lose its last bit on the way
    }
    let again = serde_json::to_vec(claims.as_map()).map(|text| Claims::parse(&text));
    assert!(again.is_ok_and(|again| again.as_ref() == Ok(&claims)), "written out, the claims read differently");
    true
}

fn holds_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(entries) => entries.iter().any(holds_fraction),
        Value::Object(members) => members.values().any(holds_fraction),
        _ => false,
    }
}

/// A claim path that parses has steps, none empty, and its text means the same path.
pub fn claim_path(input: &[u8]) -> bool {
    let Some(path) = from_utf8(input).ok().and_then(ClaimPath::parse) else { return false };
    assert!(path.steps().count() > 0 && path.steps().all(|step| !step.is_empty()));
    assert_eq!(ClaimPath::parse(&path.to_string()), Some(path));
    true
}

/// A SPIFFE ID that parses is kept verbatim, splits into trust domain and path, and holds nothing that needs escaping.
pub fn spiffe_id(input: &[u8]) -> bool {
    let Ok(text) = from_utf8(input) else { return false };
    let Ok(id) = SpiffeId::parse(text) else { return false };
    assert_eq!(id.as_str(), text);
    assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
    assert!(
        !text.bytes().any(|byte| matches!(byte, b'%' | b'?' | b'#' | b'@' | b'*' | b' ') || !byte.is_ascii_graphic())
    );
    assert!(id.path().split('/').skip(1).all(|segment| !matches!(segment, "" | "." | "..")));
    true
}

/// A certificate that parses names at most one SPIFFE ID, and then no other URI.
pub fn certificate(input: &[u8]) -> bool {
    let Some(facts) = PeerFacts::parse(input, Name::new("corp")) else { return false };
    assert!(facts.spiffe_id.is_none() || facts.uris.len() == 1, "a SPIFFE ID beside another URI");
    let spiffe = facts.uris.iter().filter(|uri| uri.to_ascii_lowercase().starts_with("spiffe:")).count();
    assert_eq!(spiffe, usize::from(facts.spiffe_id.is_some()), "a SPIFFE URI that was overlooked");
    true
}
