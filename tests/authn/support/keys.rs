//! Signing keys of every kind, and tokens signed with them, well-formed or not.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::house::{AUDIENCE, ISSUER, NOW};

/// A key that signs tokens.
pub(crate) struct SigningKey {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(&'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(&'static RsaKeyPair),
    Secret(Vec<u8>),
}

impl SigningKey {
    pub(crate) fn ec(kid: &'static str, algorithm: &'static str) -> Self {
        let (curve, signing): (_, &'static EcdsaSigningAlgorithm) = match algorithm {
            "ES256" => ("P-256", &lc::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ("P-384", &lc::ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => ("P-521", &lc::ECDSA_P521_SHA512_FIXED_SIGNING),
            other => panic!("{other} is no ECDSA algorithm"),
        };
        Self { kid, algorithm, pair: Pair::Ec(curve, EcdsaKeyPair::generate(signing).unwrap()) }
    }

    pub(crate) fn ed(kid: &'static str) -> Self {
        Self { kid, algorithm: "EdDSA", pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    /// Every RSA key of a process is the same one, since making one takes long.
    pub(crate) fn rsa(kid: &'static str, algorithm: &'static str) -> Self {
        static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Self { kid, algorithm, pair: Pair::Rsa(&PAIR) }
    }

    pub(crate) fn secret(kid: &'static str, algorithm: &'static str, secret: &[u8]) -> Self {
        Self { kid, algorithm, pair: Pair::Secret(secret.to_vec()) }
    }

    /// The key as an issuer publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm);
        jwk
    }

    /// The public members alone, as a DPoP proof carries them.
    pub(crate) fn bare_jwk(&self) -> Value {
        match &self.pair {
            Pair::Ec(curve, pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let components: lc::RsaPublicKeyComponents<Vec<u8>> = public.into();
                json!({"kty": "RSA", "n": encode(&components.n), "e": encode(&components.e)})
            }
            Pair::Secret(secret) => json!({"kty": "oct", "k": encode(secret)}),
        }
    }

    /// Signs whatever bytes it is given.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding: &'static dyn lc::RsaEncoding = match self.algorithm {
                    "RS256" => &lc::RSA_PKCS1_SHA256,
                    "RS384" => &lc::RSA_PKCS1_SHA384,
                    "RS512" => &lc::RSA_PKCS1_SHA512,
                    "PS256" => &lc::RSA_PSS_SHA256,
                    "PS384" => &lc::RSA_PSS_SHA384,
                    "PS512" => &lc::RSA_PSS_SHA512,
                    other => panic!("{other} is no RSA algorithm"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Secret(secret) => {
                let hash = match self.algorithm {
                    "HS256" => aws_lc_rs::hmac::HMAC_SHA256,
                    "HS384" => aws_lc_rs::hmac::HMAC_SHA384,
                    _ => aws_lc_rs::hmac::HMAC_SHA512,
                };
                aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(hash, secret), message).as_ref().to_vec()
            }
        }
    }

    /// Signs a token of exactly these texts.
    pub(crate) fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = self.sign_bytes(message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }

    /// Signs a token.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    /// A good access token with some claims replaced; `null` removes one.
    pub(crate) fn token(&self, changes: Value) -> String {
        self.sign(&header(self, json!({})), &claims(changes))
    }
}

/// The header of a good access token with some members replaced; `null` removes one.
pub(crate) fn header(key: &SigningKey, changes: Value) -> Value {
    merged(json!({"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}), changes)
}

/// The claims of a good access token with some replaced; `null` removes one.
pub(crate) fn claims(changes: Value) -> Value {
    let good = json!({
        "iss": ISSUER, "sub": "u-17", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW - 60, "nbf": NOW - 60,
        "jti": "t-1", "client_id": "cli", "scope": "read write", "groups": ["finance", "staff"],
    });
    merged(good, changes)
}

pub(crate) fn merged(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(base.as_object_mut().unwrap().remove(name)),
            value => base[name] = value.clone(),
        }
    }
    base
}

/// base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of each kind, made once a process.
pub(crate) fn key(algorithm: &str) -> &'static SigningKey {
    static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
        vec![SigningKey::ec("ec", "ES256"), SigningKey::ec("ec384", "ES384"), SigningKey::ec("ec521", "ES512")]
    });
    static ED: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ed("ed"));
    static RSA: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
        let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
        all.map(|algorithm| SigningKey::rsa(algorithm, algorithm)).into()
    });
    match algorithm {
        "EdDSA" => &ED,
        name if name.starts_with("ES") => KEYS.iter().find(|key| key.algorithm == name).unwrap(),
        name => RSA.iter().find(|key| key.algorithm == name).unwrap(),
    }
}
