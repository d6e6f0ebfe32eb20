//! What was revoked here, by an operator: it counts at once, for every worker, cached tokens included. With a state
//! directory it outlives the process, and reaches others that share the directory.

mod journal;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::journal::Journal;
use super::facts::later;
use crate::identity::{Issuer, Principal, TokenFacts};
use crate::state::StateDirectory;

/// The most revocations that are kept; one more is an error for whoever asks, never a silent loss of an older one.
const MOST: usize = 100_000;

/// What can be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// One token, by [`Revocations::hash`] of its text.
    Token([u8; 32]),
    /// One token, by its issuer and `jti`.
    Id {
        /// `iss`.
        issuer: Issuer,
        /// `jti`.
        id: Arc<str>,
    },
    /// Every token of somebody that was issued before now, or does not say when. A new sign-in counts again.
    Principal(Principal),
}

/// The process-wide set of revocations.
#[derive(Debug, Default)]
pub struct Revocations {
    generation: AtomicU64,
    entries: RwLock<HashMap<Revocation, Entry>>,
    subscribers: Mutex<Vec<Sender<Revoked>>>,
    journal: Option<Mutex<Journal>>,
}

/// One revocation, in a form that another process understands, or a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// SHA-256 of a token, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    at: Timestamp,
    until: Timestamp,
}

impl Revoked {
    fn new(what: &Revocation, entry: Entry) -> Self {
        let Entry { at, until } = entry;
        let mut revoked = Self { token: None, issuer: None, id: None, subject: None, at, until };
        match what {
            Revocation::Token(hash) => revoked.token = Some(hex(hash)),
            Revocation::Id { issuer, id } => {
                (revoked.issuer, revoked.id) = (Some(issuer.to_string()), Some(id.to_string()));
            }
            Revocation::Principal(Principal { issuer, subject }) => {
                (revoked.issuer, revoked.subject) = (Some(issuer.to_string()), Some(subject.to_string()));
            }
        }
        revoked
    }

    fn what(&self) -> Option<Revocation> {
        let issuer = self.issuer.as_deref().map(Issuer::new);
        match (&self.token, issuer, &self.id, &self.subject) {
            (Some(token), None, None, None) => Some(Revocation::Token(unhex(token)?)),
            (None, Some(issuer), Some(id), None) => Some(Revocation::Id { issuer, id: id.as_str().into() }),
            (None, Some(issuer), None, Some(subject)) => {
                Some(Revocation::Principal(Principal { issuer, subject: subject.as_str().into() }))
            }
            _ => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Timestamp,
    until: Timestamp,
}

impl Revocations {
    /// The revocations that a state directory keeps.
    ///
    /// # Errors
    /// When the directory or its file cannot be used, or the file is damaged: what was revoked must not count again.
    pub fn kept_in(state: StateDirectory, now: Timestamp) -> io::Result<Self> {
        let (journal, kept) = Journal::open(state, now)?;
        let generation = AtomicU64::new(u64::from(!kept.is_empty()));
        let (entries, journal) = (RwLock::new(kept.into_iter().collect()), Some(Mutex::new(journal)));
        Ok(Self { generation, entries, journal, ..Self::default() })
    }

    /// Whether they outlive this process.
    pub const fn are_kept(&self) -> bool {
        self.journal.is_some()
    }

    /// Revokes from `now` until `until`; after that the token itself must have expired.
    ///
    /// # Errors
    /// [`RevokeError`]. What could not be kept counts in this process all the same.
    pub fn revoke(&self, what: Revocation, now: Timestamp, until: Timestamp) -> Result<(), RevokeError> {
        let news = self.insert(what, Entry { at: now, until }, now)?;
        let (Some(revoked), Some(journal)) = (news, &self.journal) else { return Ok(()) };
        let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(&revoked).map_err(RevokeError::NotKept)
    }

    /// Takes over what other processes revoked that share the state directory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn follow(&self, now: Timestamp) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let news = journal.lock().unwrap_or_else(PoisonError::into_inner).follow()?;
        for (what, entry) in news.into_iter().filter(|(_, entry)| entry.until > now) {
            self.insert(what, entry, now).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn insert(&self, what: Revocation, entry: Entry, now: Timestamp) -> Result<Option<Revoked>, RevokeError> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST {
            entries.retain(|_, entry| entry.until > now);
        }
        if entries.len() >= MOST && !entries.contains_key(&what) {
            return Err(RevokeError::Full);
        }
        let before = entries.get(&what).copied();
        let entry = Entry {
            at: before.map_or(entry.at, |before| before.at.max(entry.at)),
            until: before.map_or(entry.until, |before| before.until.max(entry.until)),
        };
        if before == Some(entry) {
            return Ok(None);
        }
        let revoked = Revoked::new(&what, entry);
        entries.insert(what, entry);
        // Inside the lock: who reads the new generation finds the new entry.
        self.generation.fetch_add(1, Ordering::Release);
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|subscriber| subscriber.send(revoked.clone()).is_ok());
        Ok(Some(revoked))
    }

    /// Takes over what another process revoked.
    ///
    /// # Errors
    /// [`RevokeError`]; what names nothing is one, too.
    pub fn restore(&self, revoked: &Revoked) -> Result<(), RevokeError> {
        self.revoke(revoked.what().ok_or(RevokeError::Nothing)?, revoked.at, revoked.until)
    }

    /// Every revocation that is kept.
    pub fn all(&self) -> Vec<Revoked> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|(what, entry)| Revoked::new(what, *entry)).collect()
    }

    /// Hears of every revocation from here on that changes anything.
    pub fn subscribe(&self) -> Receiver<Revoked> {
        let (subscriber, news) = channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
        news
    }

    /// Grows with every revocation: what was looked up under this number need not be looked up again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a verified token was revoked. `skew` is how far the issuer's clock may be ahead of ours: what it issued before
    /// somebody's tokens were revoked may say that it was issued after.
    pub fn contains(&self, hash: &[u8; 32], facts: &TokenFacts, skew: Duration) -> bool {
        if self.generation() == 0 {
            return false;
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let by_id = || {
            let id = facts.id.clone()?;
            entries.get(&Revocation::Id { issuer: facts.principal.issuer.clone(), id })
        };
        let by_principal = || {
            let entry = entries.get(&Revocation::Principal(facts.principal.clone()))?;
            facts.issued_at.is_none_or(|issued| issued <= later(entry.at, skew)).then_some(entry)
        };
        entries.get(&Revocation::Token(*hash)).or_else(by_id).or_else(by_principal).is_some()
    }

    /// How many revocations are kept.
    pub fn len(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names a token without keeping it. Of a signed token only what the signature covers counts: ECDSA signatures can
    /// be respelt, and the respelt token must be revoked with the first.
    pub fn hash(token: &str) -> [u8; 32] {
        let signed = token.rsplit_once('.').filter(|(signed, _)| signed.matches('.').count() == 1);
        sha256(signed.map_or(token, |(signed, _)| signed).as_bytes())
    }
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

/// A revocation does not hold as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Nothing was revoked.
    #[error("100000 revocations are in force; no more can be kept")]
    Full,
    /// What another process said names nothing that can be revoked.
    #[error("it names nothing that can be revoked")]
    Nothing,
    /// It counts until this process ends.
    #[error("revoked in this process alone, for it cannot be written to the state directory: {0}")]
    NotKept(io::Error),
}

#[cfg(test)]
mod tests;
