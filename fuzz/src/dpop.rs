//! A DPoP proof beside a token that is bound to its key.

use std::net::{IpAddr, Ipv4Addr};
use std::str::from_utf8;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use portcullis::authn::{AuthnError, TokenCache};
use portcullis::credential::extract;
use portcullis::route::Resolved;
use serde_json::Value;

use super::request::received;
use super::token::{AUDIENCE, House, ISSUER, NOW, SECRET, SKEW, house};

/// The key of the client whose token this is, and its thumbprint.
const SEED: [u8; 32] = [7; 32];
const THUMBPRINT: &str = "--6IM5l0OosLj9yWskISYhUA3n_3CURQkmrYMSha_ck";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn json(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or(Value::Null)
}

/// Who proves to hold a key signed this request, for this token, now, and never before.
///
/// Two lines are a header and claims, which are signed properly; one line is a proof as it is.
pub fn proof(input: &[u8]) -> bool {
    let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(&SEED) else { return false };
    let proof = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => {
            let (header, claims) = (input.get(..at).unwrap_or_default(), input.get(at + 1..).unwrap_or_default());
            let signed = format!("{}.{}", encode(header), encode(claims));
            format!("{signed}.{}", encode(pair.sign(signed.as_bytes())))
        }
        None => from_utf8(input).unwrap_or_default().to_owned(),
    };
    let token = token();
    let house = house();
    assert!(house.is_some(), "the house does not stand");
    let Some(house) = house else { return false };
    if sent(&house, &token, &proof) != Some(Ok(())) {
        return false;
    }
    assert_eq!(sent(&house, &token, &proof), Some(Err(AuthnError::DpopReplayed)), "a proof counts twice");
    let parts: Vec<&str> = proof.split('.').collect();
    assert_eq!(parts.len(), 3);
    let [head, claims, signature] = parts.as_slice() else { return false };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
    assert!(key.verify(format!("{head}.{claims}").as_bytes(), &signature).is_ok(), "nobody signed this");
    let (head, claims) = (json(head), json(claims));
    assert!(head["typ"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("dpop+jwt")));
    assert!(matches!(head["alg"].as_str(), Some("EdDSA" | "Ed25519")));
    assert_eq!((&head["crit"], &head["jwk"]["d"], &claims["htm"]), (&Value::Null, &Value::Null, &"GET".into()));
    let address = claims["htu"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(address.starts_with("http") && address.contains("://payments.corp.example") && address.contains("/v1"));
    let age = claims["iat"].as_f64().map(|issued| NOW as f64 - issued);
    assert!(age.is_some_and(|age| age < (60 + SKEW + 1) as f64 && age > -(SKEW + 1) as f64));
    assert_eq!(claims["ath"], encode(digest::digest(&digest::SHA256, token.as_bytes())));
    assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
    true
}

/// A token that is bound to the client's key.
fn token() -> String {
    let claims = format!(
        r#"{{"iss":"{ISSUER}","sub":"u-17","aud":"{AUDIENCE}","exp":{},"cnf":{{"jkt":"{THUMBPRINT}"}}}}"#,
        NOW + 600
    );
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"at+jwt"}"#), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", encode(tag))
}

/// What comes of a request with this proof; nothing when it is refused before authentication.
fn sent(house: &House, token: &str, proof: &str) -> Option<Result<(), AuthnError>> {
    let head = format!("GET /v1\nHost: payments.corp.example\nAuthorization: DPoP {token}\nDPoP: {proof}");
    let request = received(head.as_bytes(), IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let Resolved::Route(routed) = house.routes.resolve(request).ok()? else { return None };
    let (presented, now) = (extract(routed).ok()?, Timestamp::from_second(NOW).ok()?);
    let tokens = TokenCache::default();
    Some(house.runtime.block_on(house.authenticator.identify(presented, &tokens, now)).map(drop))
}
