//! Proof that the sender of a request holds the key that its token is bound to (RFC 9449 section 4.3).
//!
//! A proof is looked at only for a token that was verified and is bound to a key, so that only clients of a known
//! issuer can make this side verify, and remember, anything.

mod memory;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use jiff::Timestamp;
use serde_json::Value;

pub use memory::ProofMemory;
use memory::{MOST_AHEAD, Proof};

use super::algorithm::Algorithm;
use super::error::{AuthnError, DpopFault};
use super::facts;
use super::jwks::VerifyingKey;
use super::jwt::Compact;
use super::revocations::sha256;
use crate::request::Received;

/// The algorithms that a proof may be signed with; challenges name them.
pub const DPOP_ALGORITHMS: &[Algorithm] = &[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
    Algorithm::Rs256,
];

/// How old a proof may be.
const MOST_AGE: Duration = Duration::from_secs(60);
/// The longest proof, in bytes.
const MOST_BYTES: usize = 4096;
/// The longest `jti`, in bytes.
const MOST_IDENTIFIER: usize = 256;

/// What a proof must be about.
pub(super) struct Wanted<'r> {
    /// The thumbprint that the token is bound to.
    pub(super) key: &'r [u8; 32],
    pub(super) token: &'r str,
    pub(super) request: &'r Received,
    pub(super) clock_skew: Duration,
    /// Whether the proof must carry a nonce of ours.
    pub(super) nonce: bool,
}

/// Verifies a proof, and remembers it so that it counts once.
pub(super) fn verify(proof: &str, wanted: &Wanted<'_>, memory: &ProofMemory, now: Timestamp) -> Result<(), AuthnError> {
    let compact = Compact::parse(proof).filter(|_| proof.len() <= MOST_BYTES).ok_or(DpopFault::Malformed)?;
    check_signature(&compact, wanted.key)?;
    check_request(&compact, wanted.request)?;
    let issued = facts::instant(&compact.claims, "iat").ok().flatten().ok_or(DpopFault::Time)?;
    let (age, ahead) = (now.duration_since(issued), facts::signed(wanted.clock_skew.min(MOST_AHEAD)));
    if age > facts::signed(MOST_AGE + wanted.clock_skew) || -age > ahead {
        return Err(AuthnError::Dpop(DpopFault::Time));
    }
    if text(&compact, "ath") != Some(&URL_SAFE_NO_PAD.encode(sha256(wanted.token.as_bytes()))) {
        return Err(AuthnError::Dpop(DpopFault::Token));
    }
    let has_nonce = match compact.claims.member("nonce") {
        None if !wanted.nonce => false,
        Some(Value::String(nonce)) if memory.gave_out(nonce, now) => true,
        _ => return Err(memory.wants_nonce(now)),
    };
    let identifier = text(&compact, "jti").filter(|jti| !jti.is_empty() && jti.len() <= MOST_IDENTIFIER);
    let identifier = identifier.ok_or(DpopFault::Identifier)?;
    let life = MOST_AGE + wanted.clock_skew;
    memory.remember(&Proof { key: wanted.key, identifier, issued, life, has_nonce }, now)
}

fn check_signature(proof: &Compact<'_>, bound: &[u8; 32]) -> Result<(), AuthnError> {
    let kind = proof.header.member("typ").and_then(Value::as_str);
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("dpop+jwt")) {
        return Err(AuthnError::Dpop(DpopFault::Type));
    }
    proof.check_extensions().map_err(|_| DpopFault::Malformed)?;
    let algorithm = proof.algorithm().and_then(Algorithm::from_name);
    let algorithm = algorithm.filter(|it| DPOP_ALGORITHMS.contains(it)).ok_or(DpopFault::Algorithm)?;
    let jwk = proof.header.member("jwk").ok_or(DpopFault::Key)?;
    let key = VerifyingKey::from_jwk(jwk, &[algorithm]).map_err(|_| DpopFault::Key)?;
    if key.thumbprint() != bound {
        return Err(AuthnError::Dpop(DpopFault::OtherKey));
    }
    if key.verifies(algorithm, proof.signed, &proof.signature) { Ok(()) } else { Err(DpopFault::Signature.into()) }
}

fn check_request(proof: &Compact<'_>, request: &Received) -> Result<(), AuthnError> {
    if text(proof, "htm") != Some(request.method().as_str()) {
        return Err(AuthnError::Dpop(DpopFault::Method));
    }
    let address = text(proof, "htu").and_then(|text| text.parse::<Uri>().ok()).ok_or(DpopFault::Address)?;
    if is_address_of(&address, request) { Ok(()) } else { Err(DpopFault::Address.into()) }
}

/// `htu` is the address without query and fragment (RFC 9449 section 4.2). Behind somebody else's TLS the client spoke
/// https although this side does not, so there both schemes count.
fn is_address_of(stated: &Uri, request: &Received) -> bool {
    let encrypted = request.connection().tls.is_some();
    let default_port = match stated.scheme_str() {
        Some("https") => 443,
        Some("http") if !encrypted => 80,
        _ => return false,
    };
    let host = stated.host().is_some_and(|host| host.eq_ignore_ascii_case(request.host().as_str()));
    let port = stated.port_u16().unwrap_or(default_port) == request.port().unwrap_or(default_port);
    let user = stated.authority().is_some_and(|authority| authority.as_str().contains('@'));
    host && port && !user && stated.path() == request.asked_path().as_str()
}

fn text<'c>(proof: &'c Compact<'_>, claim: &str) -> Option<&'c str> {
    proof.claims.member(claim)?.as_str()
}

impl From<DpopFault> for AuthnError {
    fn from(fault: DpopFault) -> Self {
        Self::Dpop(fault)
    }
}
