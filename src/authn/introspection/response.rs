//! What an authorization server says about a token (RFC 7662 section 2.2), held to the same checks as a signed one.

use jiff::Timestamp;
use serde_json::Value;

use crate::authn::error::{AuthnError, BindingFault};
use crate::authn::facts::{self, Registered};
use crate::authn::settings::IntrospectionSettings;
use crate::identity::{Claims, Confirmation, TokenFacts};

/// A good answer, and how long it counts.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) facts: TokenFacts,
    pub(super) not_before: Option<Timestamp>,
    /// The end of its life: the token's, or the configured cap.
    pub(super) fresh_until: Timestamp,
}

impl IntrospectionSettings {
    /// What an answer of this server says of a token: what it may do, or why it is refused. Nothing when it is no answer.
    pub fn verdict(&self, answer: &[u8], now: Timestamp) -> Option<Result<TokenFacts, AuthnError>> {
        read(answer, self, now).map(|verdict| verdict.map(|active| active.facts))
    }
}

/// Reads an answer. `None`: it is no introspection answer at all, and says nothing about the token.
pub(super) fn read(
    json: &[u8],
    settings: &IntrospectionSettings,
    now: Timestamp,
) -> Option<Result<Active, AuthnError>> {
    verdict(Claims::parse(json).ok()?, settings, now)
}

/// The same for an answer that was parsed.
pub(super) fn verdict(
    claims: Claims,
    settings: &IntrospectionSettings,
    now: Timestamp,
) -> Option<Result<Active, AuthnError>> {
    match claims.member("active") {
        Some(Value::Bool(true)) => Some(check(claims, settings, now)),
        Some(Value::Bool(false)) => Some(Err(AuthnError::Inactive)),
        _ => None,
    }
}

fn check(claims: Claims, settings: &IntrospectionSettings, now: Timestamp) -> Result<Active, AuthnError> {
    let registered = Registered::read(&claims)?;
    check_token_type(&claims, registered.confirmation.as_ref())?;
    if registered.issuer.as_deref().is_some_and(|issuer| issuer != settings.issuer.as_str()) {
        return Err(AuthnError::Issuer);
    }
    registered.check_audience(&settings.token)?;
    registered.check_times(&settings.token, now)?;
    let cap = facts::later(now, settings.cache.positive);
    let end = registered.expires_at.map(|exp| facts::later(exp, settings.token.clock_skew));
    let fresh_until = end.map_or(cap, |end| end.min(cap));
    let expires_at = registered.expires_at.unwrap_or(cap);
    let principal = facts::principal(&registered, &settings.issuer, true)?;
    let not_before = registered.begins();
    let facts = registered.into_facts(claims, principal, expires_at, &settings.name, &settings.token.groups)?;
    Ok(Active { facts, not_before, fresh_until })
}

/// A refresh token that the server calls active is still no access token; a DPoP token of which it does not say the key
/// is no bearer token (RFC 9449 section 6.2).
fn check_token_type(claims: &Claims, bound_to: Option<&Confirmation>) -> Result<(), AuthnError> {
    match facts::text(claims, "token_type")? {
        None => Ok(()),
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => Ok(()),
        Some(kind) if kind.eq_ignore_ascii_case("dpop") => match bound_to {
            Some(Confirmation::Jwk(_) | Confirmation::Both { .. }) => Ok(()),
            Some(Confirmation::Certificate(_)) | None => Err(AuthnError::Binding(BindingFault::Confirmation)),
        },
        Some(_) => Err(AuthnError::Type),
    }
}
