//! A signed token against its issuer: header, key, signature, claims, in this order (RFC 8725, RFC 9068 section 4).
//!
//! `jku`, `x5u`, `jwk` and `x5c` of a token's header are never read: a token does not say whom to believe.

mod compact;

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use compact::Compact;

use super::algorithm::Algorithm;
use super::error::AuthnError;
use super::facts::{self, Registered};
use super::jwks::{KeySet, Lookup};
use super::settings::{IssuerSettings, TokenType};
use crate::identity::{Claims, TokenFacts};

/// A verified token and when it begins to count.
pub(super) struct Verified {
    pub(super) facts: TokenFacts,
    pub(super) not_before: Option<Timestamp>,
}

/// What the header asks for, once its own checks have passed.
pub(super) struct Wanted<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<&'t str>,
}

/// Reads the header against the issuer's rules. Nothing is verified yet.
pub(super) fn check_header<'t>(token: &'t Compact<'_>, issuer: &IssuerSettings) -> Result<Wanted<'t>, AuthnError> {
    token.check_extensions()?;
    check_type(token, issuer)?;
    Ok(Wanted { algorithm: check_algorithm(token, issuer)?, key_id: token.key_id()? })
}

/// RFC 8725 section 3.1: `alg` must be one that the issuer may use.
pub(super) fn check_algorithm(token: &Compact<'_>, issuer: &IssuerSettings) -> Result<Algorithm, AuthnError> {
    let algorithm = token.algorithm().and_then(Algorithm::from_name);
    algorithm.filter(|algorithm| issuer.algorithms.contains(algorithm)).ok_or(AuthnError::Algorithm)
}

/// Verifies the signature with the key that the header names. [`AuthnError::KeyUnknown`] is worth a fresh key set.
pub(super) fn check_signature(token: &Compact<'_>, wanted: &Wanted<'_>, keys: &KeySet) -> Result<(), AuthnError> {
    match keys.find(wanted.key_id, wanted.algorithm) {
        Lookup::Key(key) if key.verifies(wanted.algorithm, token.signed, &token.signature) => Ok(()),
        Lookup::Key(_) => Err(AuthnError::Signature),
        Lookup::Algorithm => Err(AuthnError::Algorithm),
        Lookup::Unknown => Err(AuthnError::KeyUnknown),
    }
}

/// Reads the claims of a token whose signature was verified.
pub(super) fn check_claims(claims: Claims, issuer: &IssuerSettings, now: Timestamp) -> Result<Verified, AuthnError> {
    let registered = Registered::read(&claims)?;
    check_issuer(&registered, issuer)?;
    let expires_at = registered.expires_at.ok_or(AuthnError::Claim("exp"))?;
    registered.check_audience(&issuer.token)?;
    registered.check_times(&issuer.token, now)?;
    check_lifetime(&registered, expires_at, issuer, now)?;
    let principal = facts::principal(&registered, &issuer.issuer, false)?;
    let not_before = registered.begins();
    let facts = registered.into_facts(claims, principal, expires_at, &issuer.name, &issuer.token.groups)?;
    Ok(Verified { facts, not_before })
}

/// `iss` must be the issuer's, byte for byte.
pub(super) fn check_issuer(registered: &Registered, issuer: &IssuerSettings) -> Result<(), AuthnError> {
    let same = registered.issuer.as_deref() == Some(issuer.issuer.as_str());
    if same { Ok(()) } else { Err(AuthnError::Issuer) }
}

/// From its beginning, or where it states none from now, a token must not live longer than its issuer may let it.
pub(super) fn check_lifetime(
    registered: &Registered,
    expires_at: Timestamp,
    issuer: &IssuerSettings,
    now: Timestamp,
) -> Result<(), AuthnError> {
    let begins = registered.issued_at.or(registered.not_before).unwrap_or(now);
    let too_long = expires_at.duration_since(begins) > facts::signed(issuer.max_lifetime);
    if too_long { Err(AuthnError::Lifetime) } else { Ok(()) }
}

/// RFC 8725 section 3.11. Where a `typ` is accepted that other tokens bear too, the claims that only those tokens have
/// give them away.
pub(super) fn check_type(token: &Compact<'_>, issuer: &IssuerSettings) -> Result<(), AuthnError> {
    let found = match token.header.member("typ") {
        None => TokenType::Absent,
        Some(Value::String(text)) => TokenType::named(text),
        Some(_) => return Err(AuthnError::Type),
    };
    let accepted = issuer.token_types.contains(&found);
    let own_type = found == TokenType::named("at+jwt");
    if !accepted || is_other_token(&token.claims) || (!own_type && looks_like_id_token(&token.claims)) {
        return Err(AuthnError::Type);
    }
    Ok(())
}

/// Security event and logout tokens have `events` (RFC 8417 section 2.2); DPoP proofs have `htm` (RFC 9449 section 4.2);
/// answers about tokens have `token_introspection` (RFC 9701 section 5); Keycloak and Cognito name the kind of a token in a claim.
fn is_other_token(claims: &Claims) -> bool {
    let says = |name: &str, kinds: &[&str]| {
        let kind = claims.member(name).and_then(Value::as_str);
        kind.is_some_and(|kind| kinds.iter().any(|other| kind.eq_ignore_ascii_case(other)))
    };
    claims.member("events").is_some()
        || claims.member("htm").is_some()
        || claims.member("token_introspection").is_some()
        || says("typ", &["ID", "Refresh", "Offline", "Logout"])
        || says("token_use", &["id"])
}

/// Claims of OpenID Connect Core section 2 that bind an ID token to its login.
fn looks_like_id_token(claims: &Claims) -> bool {
    ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.member(name).is_some())
}

#[cfg(test)]
mod tests;
