//! The keys of an issuer (RFC 7517 section 5): parsed, looked up, kept fresh.

mod fetch;
mod key;
mod source;

use serde_json::Value;

pub(crate) use key::VerifyingKey;
pub(super) use source::{Asked, KeySource};

use super::algorithm::Algorithm;
use crate::identity::Claims;

/// More keys than this is no key set but an attack on memory.
const MOST_KEYS: usize = 256;

/// The keys of one issuer that can verify tokens.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: usize,
}

/// What a key set holds for a token's header.
pub(super) enum Lookup<'k> {
    /// The one key that fits.
    Key(&'k VerifyingKey),
    /// None, or more than one: no key is guessed.
    Unknown,
    /// The key that is named may not verify the token's algorithm.
    Algorithm,
}

impl KeySet {
    /// Reads `{"keys": [..]}`. A key that cannot verify tokens is skipped and counted; a member that occurs twice, or a
    /// `keys` that is no list of objects, makes the whole set malformed.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(json: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        let document = Claims::parse(json).map_err(|_| KeySetError::Malformed)?;
        let Some(Value::Array(members)) = document.member("keys") else { return Err(KeySetError::Malformed) };
        if members.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut set = Self::default();
        for member in members {
            if !member.is_object() {
                return Err(KeySetError::Malformed);
            }
            match VerifyingKey::from_jwk(member, allowed) {
                Ok(key) => set.keys.push(key),
                Err(_) => set.skipped += 1,
            }
        }
        Ok(set)
    }

    /// The set of one shared secret.
    pub(super) fn shared_secret(secret: &[u8], allowed: &[Algorithm]) -> Self {
        Self { keys: vec![VerifyingKey::shared_secret(secret, allowed)], skipped: 0 }
    }

    /// The key for a token: the one of this `kid` that fits, or without `kid` the only one that fits. A shared secret has
    /// no `kid`, whatever the token says.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Lookup<'_> {
        let id = id.filter(|_| !algorithm.is_symmetric());
        let named = |key: &&VerifyingKey| id.is_none() || key.id() == id;
        let mut fitting = self.keys.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Lookup::Key(key),
            (None, _) if id.is_some() && self.keys.iter().any(|key| named(&key)) => Lookup::Algorithm,
            _ => Lookup::Unknown,
        }
    }

    /// Whether a key of this set is missing from `next`: then tokens that it signed must be verified anew.
    pub(super) fn loses_a_key_in(&self, next: &Self) -> bool {
        self.keys.iter().any(|key| !next.keys.iter().any(|kept| kept.is_same(key)))
    }

    /// How many keys can verify tokens.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can verify a token.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys were skipped.
    pub const fn skipped(&self) -> usize {
        self.skipped
    }
}

/// Why a document is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not `{"keys": [{..}, ..]}`.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// More than 256 keys.
    #[error("more than 256 keys")]
    TooMany,
}
