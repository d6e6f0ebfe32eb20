//! What an authorization server answers to an exchange (RFC 8693 section 2.2), read strictly: what goes to a service in
//! `Authorization` is one bearer token and nothing else.

use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;

use crate::credential::Credential;
use crate::identity::Claims;

/// The longest token, in bytes: services cap their heads.
const MOST_BYTES: usize = 8 * 1024;

/// The types of token that a service can take for an access token (section 3).
const TYPES: [&str; 2] = ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];

/// The errors that speak of the token, and not of us (section 2.2.2, RFC 6749 section 5.2).
const REFUSALS: [&str; 5] = ["invalid_request", "invalid_grant", "invalid_target", "invalid_scope", "access_denied"];

/// A token that was issued for a service.
pub struct ExchangedToken {
    pub(super) authorization: HeaderValue,
    pub(super) lasts: Option<Duration>,
}

impl ExchangedToken {
    /// Reads a good answer. Nothing when it is none.
    pub fn read(json: &[u8]) -> Option<Self> {
        let said = Claims::parse(json).ok()?;
        let text = |name| said.member(name).and_then(Value::as_str);
        let is_known = text("issued_token_type").is_some_and(|kind| TYPES.contains(&kind));
        // A token that is bound to a key of ours does not exist, and `N_A` is no access token.
        let is_bearer = text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        let token = text("access_token").filter(|token| is_known && is_bearer && token.len() <= MOST_BYTES)?;
        let lasts = match said.member("expires_in") {
            None => None,
            Some(seconds) => Some(Duration::from_secs(seconds.as_u64().filter(|seconds| *seconds > 0)?)),
        };
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Credential::parse(&authorization, None).ok()?;
        Some(Self { authorization, lasts })
    }

    /// The value of `Authorization` for the service.
    pub const fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// For how long it counts, if the server says so.
    pub const fn lasts(&self) -> Option<Duration> {
        self.lasts
    }
}

/// The word of an answer that refuses the token.
pub(super) fn refusal(json: &[u8]) -> Option<&'static str> {
    let said = Claims::parse(json).ok()?;
    let error = said.member("error").and_then(Value::as_str)?;
    REFUSALS.iter().copied().find(|known| *known == error)
}
