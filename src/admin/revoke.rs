//! `POST /revoke`: takes away what was granted, at once and in every worker.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Reply;
use crate::authn::{Revocation, Revocations};
use crate::identity::{Issuer, Principal, Secret};

/// How long a revocation is kept when nothing is said: longer than tokens live.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// What is to be revoked. Exactly one of `token`, `jti` and `sub`; the latter two with the `issuer`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeOrder {
    /// A token, as clients send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The issuer, as `iss` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The token's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Somebody, all of whose tokens end that were issued until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// For how many seconds: until every such token has expired by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// Carries the order out.
pub(super) fn revoke(body: &[u8], revocations: &Revocations, now: Timestamp) -> Reply {
    let refused = |message: &str| Reply { done: false, message: message.into() };
    // The parser's own words could quote the token.
    let Ok(order) = serde_json::from_slice::<RevokeOrder>(body) else {
        return refused("the order is not JSON with `token`, or `issuer` and `jti` or `sub`");
    };
    let kept = order.seconds.map_or(KEPT, Duration::from_secs);
    let Some(what) = order.what() else {
        return refused("name one: `token`, or `issuer` and `jti`, or `issuer` and `sub`");
    };
    let Ok(until) = now.checked_add(kept) else { return refused("`seconds` reaches beyond all calendars") };
    match revocations.revoke(what, now, until) {
        Ok(()) if revocations.are_kept() => Reply { done: true, message: format!("revoked; kept until {until}") },
        Ok(()) => {
            let message =
                format!("revoked; kept until {until}, or until this process ends: there is no state directory");
            Reply { done: true, message }
        }
        Err(error) => Reply { done: false, message: error.to_string() },
    }
}

impl RevokeOrder {
    fn what(self) -> Option<Revocation> {
        let issuer = self.issuer.map(Issuer::new);
        match (self.token.map(Secret::new), issuer, self.jti, self.sub) {
            (Some(token), None, None, None) => Some(Revocation::Token(Revocations::hash(token.expose()))),
            (None, Some(issuer), Some(id), None) => Some(Revocation::Id { issuer, id: id.into() }),
            (None, Some(issuer), None, Some(subject)) => {
                Some(Revocation::Principal(Principal { issuer, subject: subject.into() }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::revoke;
    use crate::authn::Revocations;

    #[test]
    fn an_order_names_one_thing_and_nothing_of_a_token_comes_back() {
        let revocations = Revocations::default();
        for (order, done) in [
            (r#"{"token":"canary"}"#, true),
            (r#"{"issuer":"https://a","jti":"1"}"#, true),
            (r#"{"issuer":"https://a","sub":"u","seconds":60}"#, true),
            (r#"{"token":"canary","issuer":"https://a"}"#, false),
            (r#"{"issuer":"https://a"}"#, false),
            (r#"{"jti":"1"}"#, false),
            (r#"{"tokn":"canary"}"#, false),
            (r#"{"token":"canary","seconds":18446744073709551615}"#, false),
            ("canary", false),
        ] {
            let reply = revoke(order.as_bytes(), &revocations, Timestamp::UNIX_EPOCH);
            assert_eq!(reply.done, done, "{order}");
            assert!(!reply.message.contains("canary"), "{}", reply.message);
        }
        assert_eq!(revocations.len(), 3);
    }
}
