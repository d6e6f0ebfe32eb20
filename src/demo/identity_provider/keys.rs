//! The provider's signing keys and the set that it publishes (RFC 7515, RFC 7517, RFC 7518).

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// With what a token is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// ECDSA on P-256.
    #[default]
    Es256,
    /// RSASSA-PKCS1-v1_5, 2048 bits.
    Rs256,
}

impl Signing {
    /// The JWS name (RFC 7518 section 3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// One key for each algorithm.
pub(super) struct Keys {
    ecdsa: EcdsaKeyPair,
    /// Made when it is first needed: that takes a tenth of a second.
    rsa: OnceLock<Option<RsaKeyPair>>,
}

impl Keys {
    /// Fresh keys. `None` when the system gives no random numbers.
    pub(super) fn generate() -> Option<Self> {
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        Some(Self { ecdsa, rsa: OnceLock::new() })
    }

    /// The `kid` of the key for `signing`.
    pub(super) fn id(&self, signing: Signing) -> String {
        match signing {
            Signing::Es256 => fingerprint(self.ecdsa.public_key().as_ref()),
            Signing::Rs256 => self.rsa().map(|key| fingerprint(key.public_key().as_ref())).unwrap_or_default(),
        }
    }

    fn rsa(&self) -> Option<&RsaKeyPair> {
        self.rsa.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).ok()).as_ref()
    }

    /// A JWS in compact serialization (RFC 7515 section 7.1). The header stands as it is given.
    pub(super) fn sign(&self, signing: Signing, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
        let part = |object: &Map<String, Value>| BASE64.encode(Value::Object(object.clone()).to_string());
        let mut token = format!("{}.{}", part(header), part(claims));
        let signature = self.signature(signing, token.as_bytes());
        token.push('.');
        token.push_str(&BASE64.encode(signature));
        token
    }

    fn signature(&self, signing: Signing, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match signing {
            Signing::Es256 => self.ecdsa.sign(&random, input).map(|made| made.as_ref().to_vec()).unwrap_or_default(),
            Signing::Rs256 => self.rsa_signature(&random, input).unwrap_or_default(),
        }
    }

    fn rsa_signature(&self, random: &SystemRandom, input: &[u8]) -> Option<Vec<u8>> {
        let key = self.rsa()?;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, random, input, &mut signature).ok()?;
        Some(signature)
    }

    /// The public halves as JWKs.
    pub(super) fn published(&self) -> Vec<Value> {
        let mut keys = Vec::new();
        // An uncompressed point: 4, x, y (SEC 1 section 2.3.3).
        if let Some((&4, point)) = self.ecdsa.public_key().as_ref().split_first()
            && let Some((x, y)) = point.split_at_checked(32)
        {
            keys.push(json!({
                "kty": "EC", "use": "sig", "alg": "ES256", "kid": self.id(Signing::Es256),
                "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y),
            }));
        }
        if let Some(rsa) = self.rsa()
            && let Ok((_, key)) = RSAPublicKey::from_der(rsa.public_key().as_ref())
        {
            // DER puts a zero before a number whose first bit is set; JWK does not.
            let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
            keys.push(json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id(Signing::Rs256),
                "n": BASE64.encode(modulus), "e": BASE64.encode(key.exponent),
            }));
        }
        keys
    }
}

fn fingerprint(public: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public);
    BASE64.encode(digest.as_ref().get(..12).unwrap_or_default())
}
