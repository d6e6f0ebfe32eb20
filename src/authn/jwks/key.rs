//! One key of an issuer, parsed once (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2).
//!
//! jsonwebtoken gives the JWK's shape and its thumbprint. The key is handed to aws-lc in parsed form, because
//! jsonwebtoken would rebuild it for every token; see `benches/tokens.rs` for what that costs.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse, ThumbprintHash};
use serde_json::Value;

use crate::authn::algorithm::{Algorithm, KeyKind};

/// RSA keys shorter than this can be broken.
const LEAST_RSA_BITS: usize = 2048;
/// RSA keys longer than this cost more than any token is worth.
const MOST_RSA_BITS: usize = 8192;
/// The longest public exponent that aws-lc accepts, in bytes.
const MOST_EXPONENT_BYTES: usize = 5;

/// A key and the algorithms that it may verify: those that the issuer allows, that fit the key's type and curve, and
/// that the key's own `alg` does not exclude.
#[derive(Debug)]
pub(crate) struct VerifyingKey {
    id: Option<Box<str>>,
    thumbprint: [u8; 32],
    verifiers: Vec<(Algorithm, Verifier)>,
}

enum Verifier {
    Public(Box<ParsedPublicKey>),
    Secret(Box<hmac::Key>),
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public(_) => "[public key]",
            Self::Secret(_) => "[secret]",
        })
    }
}

impl VerifyingKey {
    /// Reads a public key for signatures. Secret keys, private keys and keys for other uses are refused.
    pub(crate) fn from_jwk(jwk: &Value, allowed: &[Algorithm]) -> Result<Self, KeyFault> {
        // A private key that is published is known to everybody; the RSA, EC and OKP private members all include `d`.
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err(KeyFault::NotPublic);
        }
        let stated = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(Algorithm::from_name(name).ok_or(KeyFault::Algorithm)?),
            Some(_) => return Err(KeyFault::Malformed),
        };
        let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| KeyFault::Malformed)?;
        if !is_for_signatures(&jwk) {
            return Err(KeyFault::Use);
        }
        let material = Material::read(&jwk.algorithm)?;
        let mut verifiers = Vec::new();
        for algorithm in allowed.iter().copied().filter(|allowed| stated.is_none_or(|stated| stated == *allowed)) {
            if let Some(verifier) = material.verifier(algorithm)? {
                verifiers.push((algorithm, verifier));
            }
        }
        if verifiers.is_empty() {
            return Err(KeyFault::Algorithm);
        }
        let id = jwk.common.key_id.as_deref().map(Box::from);
        Ok(Self { id, thumbprint: thumbprint(&jwk)?, verifiers })
    }

    /// A secret that the configuration shares with one issuer by name. It verifies nothing under a hash that is longer
    /// than itself (RFC 7518 section 3.2).
    pub(crate) fn shared_secret(secret: &[u8], allowed: &[Algorithm]) -> Self {
        let verifier = |algorithm: &Algorithm| match algorithm.key_kind() {
            KeyKind::Secret(hash) if secret.len() >= hash.digest_algorithm().output_len() => {
                Some((*algorithm, Verifier::Secret(Box::new(hmac::Key::new(hash, secret)))))
            }
            _ => None,
        };
        Self { id: None, thumbprint: [0; 32], verifiers: allowed.iter().filter_map(verifier).collect() }
    }

    /// `kid`.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The RFC 7638 thumbprint with SHA-256.
    pub(crate) const fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Whether the key may verify this algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(known, _)| *known == algorithm)
    }

    /// Whether the signature over `message` is this key's, under exactly this algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifiers.iter().find(|(known, _)| *known == algorithm).is_some_and(|(_, verifier)| match verifier {
            Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            Verifier::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        })
    }

    /// Whether both are the same key for the same algorithms: a token that one verified, the other verifies.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let algorithms = |key: &Self| key.verifiers.iter().map(|(algorithm, _)| *algorithm).collect::<Vec<_>>();
        self.id == other.id && self.thumbprint == other.thumbprint && algorithms(self) == algorithms(other)
    }
}

/// The public numbers of a key, decoded and checked.
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Ec { curve: &'static str, point: Vec<u8> },
    Ed25519(Vec<u8>),
}

impl Material {
    fn read(parameters: &AlgorithmParameters) -> Result<Self, KeyFault> {
        match parameters {
            AlgorithmParameters::RSA(rsa) => {
                let (modulus, exponent) = (decode(&rsa.n)?, decode(&rsa.e)?);
                check_rsa(&modulus, &exponent)?;
                Ok(Self::Rsa { modulus, exponent })
            }
            AlgorithmParameters::EllipticCurve(ec) => {
                let (curve, coordinate) = match ec.curve {
                    EllipticCurve::P256 => ("P-256", 32),
                    EllipticCurve::P384 => ("P-384", 48),
                    EllipticCurve::P521 => ("P-521", 66),
                    _ => return Err(KeyFault::Malformed),
                };
                let (x, y) = (decode(&ec.x)?, decode(&ec.y)?);
                if x.len() != coordinate || y.len() != coordinate {
                    return Err(KeyFault::Malformed);
                }
                Ok(Self::Ec { curve, point: [&[4], x.as_slice(), y.as_slice()].concat() })
            }
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                let x = decode(&okp.x)?;
                if x.len() == 32 { Ok(Self::Ed25519(x)) } else { Err(KeyFault::Malformed) }
            }
            AlgorithmParameters::OctetKey(_) => Err(KeyFault::NotPublic),
            _ => Err(KeyFault::Kind),
        }
    }

    /// The parsed key for one algorithm; nothing when the algorithm needs another type or curve.
    fn verifier(&self, algorithm: Algorithm) -> Result<Option<Verifier>, KeyFault> {
        let parsed = match (self, algorithm.key_kind()) {
            (Self::Rsa { modulus, exponent }, KeyKind::Rsa(parameters)) => {
                RsaPublicKeyComponents { n: modulus, e: exponent }.to_parsed_public_key(parameters)
            }
            (Self::Ec { curve, point }, KeyKind::Ec { curve: wanted, verification }) if *curve == wanted => {
                ParsedPublicKey::new(verification, point)
            }
            (Self::Ed25519(x), KeyKind::Ed25519) => ParsedPublicKey::new(&ED25519, x),
            _ => return Ok(None),
        };
        parsed.map(|key| Some(Verifier::Public(Box::new(key)))).map_err(|_| KeyFault::Malformed)
    }
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyFault> {
    let leading = modulus.first().copied().unwrap_or_default();
    let bits = (modulus.len() * 8).saturating_sub(leading.leading_zeros() as usize);
    if leading == 0 || exponent.first().is_none_or(|first| *first == 0) || exponent.len() > MOST_EXPONENT_BYTES {
        return Err(KeyFault::Malformed);
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !odd(modulus) || !odd(exponent) || exponent == [1] {
        return Err(KeyFault::Malformed);
    }
    if is_from_a_weak_generator(modulus) {
        return Err(KeyFault::Weak);
    }
    if (LEAST_RSA_BITS..=MOST_RSA_BITS).contains(&bits) { Ok(()) } else { Err(KeyFault::Size) }
}

/// CVE-2017-15361: the primes of one maker's chips are powers of 65537 modulo many small primes, so their product is one,
/// too; and such keys can be factored. Of other keys one in some hundred million looks like that.
fn is_from_a_weak_generator(modulus: &[u8]) -> bool {
    let is_prime = |number: &u32| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
    (3..168).filter(is_prime).all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65537 % prime) % prime));
        powers.take(prime as usize).any(|power| power == rest)
    })
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let usage = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    usage.is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

fn thumbprint(jwk: &Jwk) -> Result<[u8; 32], KeyFault> {
    let text = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyFault::Malformed)?;
    decode(&text)?.try_into().map_err(|_| KeyFault::Malformed)
}

fn decode(text: &str) -> Result<Vec<u8>, KeyFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyFault::Malformed)
}

/// Why a key cannot verify tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFault {
    /// Members are missing, of the wrong type, not strictly encoded, or not a point of the curve.
    #[error("malformed")]
    Malformed,
    /// A private or a secret key.
    #[error("not a public key")]
    NotPublic,
    /// A key type or curve that is not supported.
    #[error("a key type or curve that is not supported")]
    Kind,
    /// Meant for something else than signatures.
    #[error("not meant for signatures")]
    Use,
    /// Fits none of the algorithms that the issuer may use.
    #[error("fits none of the issuer's algorithms")]
    Algorithm,
    /// RSA whose primes can be found (CVE-2017-15361).
    #[error("an RSA key of a generator whose keys can be factored")]
    Weak,
    /// RSA of less than 2048 or more than 8192 bits.
    #[error("an RSA key of less than 2048 or more than 8192 bits")]
    Size,
}
