//! One key that assertions are signed with: ECDSA on P-256 (ES256, RFC 7518 section 3.4).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A key and its place in the order of keys.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    id: Box<str>,
    created: Timestamp,
    header: Box<str>,
}

/// A key as the state directory keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredKey {
    created: Timestamp,
    /// PKCS #8, in base64url.
    key: Zeroizing<String>,
}

impl Key {
    /// A new key.
    pub(super) fn generate(now: Timestamp) -> Option<Self> {
        Self::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?, now)
    }

    /// The key of an earlier run.
    pub(super) fn restore(stored: &StoredKey) -> Option<Self> {
        let document = Zeroizing::new(BASE64.decode(stored.key.as_bytes()).ok()?);
        Self::new(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document).ok()?, stored.created)
    }

    fn new(pair: EcdsaKeyPair, created: Timestamp) -> Option<Self> {
        let (x, y) = point(&pair)?;
        // RFC 7638 section 3.2: the members in this order, without white space.
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, jwk.as_bytes());
        let id = BASE64.encode(digest.as_ref());
        let header = BASE64.encode(format!(r#"{{"alg":"ES256","kid":"{id}","typ":"JWT"}}"#));
        Some(Self { pair, id: id.into(), created, header: header.into() })
    }

    pub(super) fn store(&self) -> Option<StoredKey> {
        let document = self.pair.to_pkcs8v1().ok()?;
        Some(StoredKey { created: self.created, key: Zeroizing::new(BASE64.encode(document.as_ref())) })
    }

    /// When it was made.
    pub(super) const fn created(&self) -> Timestamp {
        self.created
    }

    /// `kid`: the RFC 7638 thumbprint.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a JWK (RFC 7517).
    pub(super) fn published(&self) -> Option<Value> {
        let (x, y) = point(&self.pair)?;
        Some(json!({ "kty": "EC", "use": "sig", "alg": "ES256", "kid": self.id, "crv": "P-256", "x": x, "y": y }))
    }

    /// A JWS in compact serialization (RFC 7515 section 7.1).
    pub(super) fn sign(&self, claims: &[u8]) -> Option<String> {
        let mut token = format!("{}.{}", self.header, BASE64.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?;
        token.push('.');
        BASE64.encode_string(signature.as_ref(), &mut token);
        Some(token)
    }
}

/// The coordinates out of the uncompressed point (SEC 1 section 2.3.3), in base64url.
fn point(pair: &EcdsaKeyPair) -> Option<(String, String)> {
    let (4, point) = pair.public_key().as_ref().split_first().map(|(form, point)| (*form, point))? else {
        return None;
    };
    let (x, y) = point.split_at_checked(32)?;
    Some((BASE64.encode(x), BASE64.encode(y)))
}
