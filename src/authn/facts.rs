//! From claims to [`TokenFacts`]: every registered claim has its type or the token fails (RFC 7519 section 4.1,
//! RFC 8693 section 4, RFC 9068 section 2.2, RFC 9470 section 6). Shared by JWT and introspected tokens.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::binding;
use super::error::{AuthnError, BindingFault};
use super::settings::{Audiences, GroupsClaim, GroupsForm, TokenRules};
use crate::identity::{
    Audience, ClaimForm, Claims, Confirmation, Issuer, Name, Principal, Rendered, Scope, TokenFacts,
};

/// The claims of one token, with every registered one read in its type.
pub(super) struct Registered {
    pub(super) issuer: Option<Arc<str>>,
    pub(super) subject: Option<Arc<str>>,
    pub(super) audiences: Vec<Audience>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) issued_at: Option<Timestamp>,
    pub(super) client_id: Option<Arc<str>>,
    pub(super) confirmation: Option<Confirmation>,
}

impl Registered {
    /// Reads the claims that decide whether a token is valid at all.
    pub(super) fn read(claims: &Claims) -> Result<Self, AuthnError> {
        let client_id = text(claims, "client_id")?;
        let azp = text(claims, "azp")?;
        Ok(Self {
            issuer: text(claims, "iss")?,
            subject: text(claims, "sub")?,
            audiences: list(claims, "aud")?.into_iter().map(Audience::new).collect(),
            expires_at: instant(claims, "exp")?,
            not_before: instant(claims, "nbf")?,
            issued_at: instant(claims, "iat")?,
            client_id: client_id.or(azp),
            confirmation: binding::confirmation(claims)
                .map_err(|()| AuthnError::Binding(BindingFault::Confirmation))?,
        })
    }

    /// RFC 7519 section 4.1.3: one of ours must be named.
    pub(super) fn check_audience(&self, rules: &TokenRules) -> Result<(), AuthnError> {
        let ours = match &rules.audiences {
            Audiences::OneOf(accepted) => self.audiences.iter().any(|audience| accepted.contains(audience)),
            Audiences::Unchecked => true,
        };
        if ours { Ok(()) } else { Err(AuthnError::Audience) }
    }

    /// `exp`, `nbf` and `iat` against the clock.
    pub(super) fn check_times(&self, rules: &TokenRules, now: Timestamp) -> Result<(), AuthnError> {
        let skew = signed(rules.clock_skew);
        if self.expires_at.is_some_and(|exp| now.duration_since(exp) >= skew) {
            return Err(AuthnError::Expired);
        }
        if self.begins().is_some_and(|begin| begin.duration_since(now) > skew) {
            return Err(AuthnError::NotYetValid);
        }
        Ok(())
    }

    /// What the token counts from, clock skew aside: a clock that was set back asks it again.
    pub(super) fn begins(&self) -> Option<Timestamp> {
        self.not_before.max(self.issued_at)
    }

    /// Builds the facts once every check has passed.
    pub(super) fn into_facts(
        self,
        claims: Claims,
        principal: Principal,
        expires_at: Timestamp,
        source: &Name,
        groups: &GroupsClaim,
    ) -> Result<TokenFacts, AuthnError> {
        let scopes = if claims.member("scope").is_some() { scopes(&claims, "scope")? } else { scopes(&claims, "scp")? };
        let (groups, groups_claim) = read_groups(&claims, groups);
        Ok(TokenFacts {
            source: source.clone(),
            principal,
            client_id: self.client_id,
            audiences: self.audiences,
            scopes,
            groups,
            groups_claim,
            acr: text(&claims, "acr")?,
            amr: list_only(&claims, "amr")?,
            auth_time: instant(&claims, "auth_time")?,
            issued_at: self.issued_at,
            expires_at,
            id: text(&claims, "jti")?,
            confirmation: self.confirmation,
            claims,
            recorded: Rendered::default(),
        })
    }
}

/// Who a token is about. A token without `sub` stands for its client where `client_may_stand_in`.
pub(super) fn principal(
    registered: &Registered,
    issuer: &Issuer,
    client_may_stand_in: bool,
) -> Result<Principal, AuthnError> {
    let client = registered.client_id.as_ref().filter(|_| client_may_stand_in);
    let subject = registered.subject.as_ref().or(client).filter(|subject| !subject.is_empty());
    let subject = subject.ok_or(AuthnError::Claim("sub"))?;
    Ok(Principal { issuer: issuer.clone(), subject: subject.clone() })
}

/// A string claim.
pub(super) fn text(claims: &Claims, name: &'static str) -> Result<Option<Arc<str>>, AuthnError> {
    match claims.member(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) => Err(AuthnError::Claim(name)),
    }
}

/// A NumericDate (RFC 7519 section 2): a JSON number of seconds, from 1970 to 9999. Anything else is an error, never
/// "absent": `"exp": "1700000000"` and `"exp": 1e300` must not live for ever.
pub(super) fn instant(claims: &Claims, name: &'static str) -> Result<Option<Timestamp>, AuthnError> {
    let Some(value) = claims.member(name) else { return Ok(None) };
    let whole = value.as_i64().map(SignedDuration::from_secs);
    let parts = || value.as_f64().and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
    let since_epoch = whole.or_else(parts).filter(|duration| !duration.is_negative());
    let instant = since_epoch.and_then(|duration| Timestamp::from_duration(duration).ok());
    instant.map(Some).ok_or(AuthnError::Claim(name))
}

/// A string, or a list of strings with at least one.
fn list(claims: &Claims, name: &'static str) -> Result<Vec<Arc<str>>, AuthnError> {
    match claims.member(name) {
        Some(Value::String(text)) => Ok(vec![text.as_str().into()]),
        Some(Value::Array(items)) if items.is_empty() => Err(AuthnError::Claim(name)),
        _ => list_only(claims, name),
    }
}

/// A list of strings.
fn list_only(claims: &Claims, name: &'static str) -> Result<Vec<Arc<str>>, AuthnError> {
    match claims.member(name) {
        None => Ok(Vec::new()),
        Some(value) => strings(value).ok_or(AuthnError::Claim(name)),
    }
}

/// Scopes: one string, cut at spaces (RFC 8693 section 4.2), or a list.
fn scopes(claims: &Claims, name: &'static str) -> Result<Vec<Scope>, AuthnError> {
    match claims.member(name) {
        Some(Value::String(text)) => Ok(text.split(' ').filter(|scope| !scope.is_empty()).map(Scope::new).collect()),
        _ => Ok(list_only(claims, name)?.into_iter().map(Scope::new).collect()),
    }
}

fn read_groups(claims: &Claims, claim: &GroupsClaim) -> (Vec<Arc<str>>, ClaimForm) {
    let Some(value) = claims.at(&claim.path) else { return (Vec::new(), ClaimForm::Absent) };
    let groups = match (claim.form, value) {
        (GroupsForm::List, value) => strings(value),
        (GroupsForm::String, Value::String(text)) => Some(vec![text.as_str().into()]),
        (GroupsForm::Separated(mark), Value::String(text)) => {
            Some(text.split(mark).filter(|group| !group.is_empty()).map(Arc::from).collect())
        }
        _ => None,
    };
    groups.map_or((Vec::new(), ClaimForm::Other), |groups| (groups, ClaimForm::Stated))
}

fn strings(value: &Value) -> Option<Vec<Arc<str>>> {
    value.as_array()?.iter().map(|item| item.as_str().map(Arc::from)).collect()
}

/// A configured span as jiff counts; what does not fit is for ever.
pub(super) fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Saturates at the ends of time.
pub(super) fn later(instant: Timestamp, by: std::time::Duration) -> Timestamp {
    instant.checked_add(signed(by)).unwrap_or(Timestamp::MAX)
}

/// Saturates at the ends of time.
pub(super) fn earlier(instant: Timestamp, by: std::time::Duration) -> Timestamp {
    instant.checked_sub(signed(by)).unwrap_or(Timestamp::MIN)
}
