//! Who the provider knows: people, clients, and the tokens that it has given out.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::SignedDuration;
use serde_json::{Map, Value};

use crate::identity::Secret;

/// Tokens that are remembered; beyond that the oldest is forgotten, and introspects as inactive.
const REMEMBERED: usize = 10_000;

/// Somebody who can ask for a token.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) groups: &'static [&'static str],
    pub(super) scopes: &'static [&'static str],
    pub(super) acr: &'static str,
    pub(super) amr: &'static [&'static str],
    /// How long ago they signed in.
    pub(super) signed_in: SignedDuration,
    pub(super) account_status: &'static str,
}

const PAYMENTS: &[&str] = &["payments:read", "payments:write"];

/// The people of the demo.
pub(super) const PEOPLE: [Person; 4] = [
    Person {
        name: "alice",
        groups: &["staff", "finance"],
        scopes: PAYMENTS,
        acr: "mfa",
        amr: &["pwd", "hwk"],
        signed_in: SignedDuration::from_mins(10),
        account_status: "open",
    },
    Person {
        name: "bob",
        groups: &["contractors"],
        scopes: PAYMENTS,
        acr: "mfa",
        amr: &["pwd", "otp"],
        signed_in: SignedDuration::from_mins(10),
        account_status: "open",
    },
    Person {
        name: "carol",
        groups: &["staff", "finance"],
        scopes: PAYMENTS,
        acr: "pwd",
        amr: &["pwd"],
        signed_in: SignedDuration::from_hours(72),
        account_status: "open",
    },
    Person {
        name: "frank",
        groups: &["staff", "finance"],
        scopes: PAYMENTS,
        acr: "mfa",
        amr: &["pwd", "hwk"],
        signed_in: SignedDuration::from_mins(10),
        account_status: "frozen",
    },
];

/// A registered client.
pub(super) struct Client {
    pub(super) id: &'static str,
    /// Public clients have none.
    pub(super) secret: Option<Secret<String>>,
    /// The one thing it may do, beside revoking its own tokens.
    pub(super) purpose: ClientPurpose,
    pub(super) scopes: &'static [&'static str],
}

/// What a client is registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientPurpose {
    /// Tokens for itself, as JWT (RFC 6749 section 4.4, RFC 9068).
    Jwt,
    /// Tokens for itself, opaque.
    Opaque,
    /// Tokens for the people of the demo, without a password. Only a demo does this.
    People,
    /// Asking about tokens (RFC 7662).
    Introspection,
    /// Changing the keys.
    Operation,
}

/// The client that gets tokens for people.
pub const PEOPLE_CLIENT: &str = "demo-cli";

/// The clients of the demo, with fresh secrets. `None` when the system gives no random numbers.
pub(super) fn clients() -> Option<Vec<Client>> {
    let confidential =
        |id, purpose, scopes| Some(Client { id, secret: Some(Secret::new(random_text()?)), purpose, scopes });
    Some(vec![
        Client { id: PEOPLE_CLIENT, secret: None, purpose: ClientPurpose::People, scopes: PAYMENTS },
        confidential("settlement", ClientPurpose::Jwt, &["payments:settle"])?,
        confidential("acme", ClientPurpose::Opaque, &["payments:read"])?,
        confidential("portcullis", ClientPurpose::Introspection, &[])?,
        confidential("operator", ClientPurpose::Operation, &[])?,
    ])
}

/// 256 random bits as text.
pub(super) fn random_text() -> Option<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(BASE64.encode(bytes))
}

/// Whether two secrets are the same, in a time that tells nothing about either.
pub(super) fn same_secret(left: &str, right: &str) -> bool {
    let (left, right) = (digest(&SHA256, left.as_bytes()), digest(&SHA256, right.as_bytes()));
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_ref(), right.as_ref()).is_ok()
}

/// The tokens that were given out, by their digest: the tokens themselves are not kept.
#[derive(Default)]
pub(super) struct Issued {
    tokens: HashMap<[u8; 32], Entry>,
    order: VecDeque<[u8; 32]>,
}

struct Entry {
    claims: Map<String, Value>,
    revoked: bool,
}

impl Issued {
    pub(super) fn remember(&mut self, token: &str, claims: Map<String, Value>) {
        while self.order.len() >= REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.tokens.remove(&oldest);
            }
        }
        let key = key(token);
        if self.tokens.insert(key, Entry { claims, revoked: false }).is_none() {
            self.order.push_back(key);
        }
    }

    /// The claims of a token that was given out, has not been revoked, and is valid at `now` (seconds since 1970).
    pub(super) fn active(&self, token: &str, now: i64) -> Option<&Map<String, Value>> {
        let entry = self.tokens.get(&key(token))?;
        let time = |name| entry.claims.get(name).and_then(Value::as_i64);
        let current = time("exp").is_some_and(|end| now < end) && time("nbf").is_none_or(|start| start <= now);
        (current && !entry.revoked).then_some(&entry.claims)
    }

    /// To which client a token was given.
    pub(super) fn client(&self, token: &str) -> Option<&str> {
        self.tokens.get(&key(token))?.claims.get("client_id")?.as_str()
    }

    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(entry) = self.tokens.get_mut(&key(token)) {
            entry.revoked = true;
        }
    }
}

fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Issued, REMEMBERED, same_secret};

    #[test]
    fn a_token_is_active_until_it_ends_or_is_revoked() {
        let mut issued = Issued::default();
        let claims = |value: serde_json::Value| value.as_object().unwrap().clone();
        issued.remember("a", claims(json!({ "exp": 100, "client_id": "c" })));
        issued.remember("b", claims(json!({ "exp": 100, "nbf": 50 })));
        issued.remember("c", claims(json!({})));
        assert!(issued.active("a", 99).is_some() && issued.active("a", 100).is_none());
        assert!(issued.active("b", 49).is_none() && issued.active("b", 50).is_some());
        assert!(issued.active("c", 0).is_none() && issued.active("unknown", 0).is_none());
        assert_eq!(issued.client("a"), Some("c"));
        issued.revoke("a");
        assert!(issued.active("a", 0).is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_inactive() {
        let mut issued = Issued::default();
        let claims = json!({ "exp": 100 }).as_object().unwrap().clone();
        for number in 0..=REMEMBERED {
            issued.remember(&number.to_string(), claims.clone());
        }
        assert_eq!(issued.tokens.len(), REMEMBERED);
        assert!(issued.active("0", 0).is_none() && issued.active("1", 0).is_some());
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "ab") && !same_secret("abc", "abcd") && !same_secret("", "a"));
    }
}
