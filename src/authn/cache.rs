//! A worker's memory of verified tokens, and of connections whose tokens fail.
//!
//! Keyed by the whole token with a randomly seeded hash and compared byte for byte. What an entry says is only where the
//! long way need not be walked again: time, revocation, keys, route and binding are held against it on every hit.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use foldhash::quality::RandomState;
use jiff::Timestamp;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use super::budget::Budget;
use crate::identity::TokenFacts;
use crate::request::ConnectionId;

/// What an entry costs beside its token and its claims, in bytes.
const ENTRY_BYTES: u64 = 1536;
/// How much memory parsed claims take for each byte of the text that they came in, measured, and what records say of them.
const BYTES_PER_BYTE: u64 = 6;
/// The connections whose failures are remembered.
const MOST_CONNECTIONS: usize = 16_384;

/// Bounds of a [`TokenCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCacheLimits {
    /// The most tokens.
    pub entries: usize,
    /// The most bytes, claims included.
    pub bytes: u64,
}

impl Default for TokenCacheLimits {
    fn default() -> Self {
        Self { entries: 8192, bytes: 16 << 20 }
    }
}

/// The verified tokens of one worker. It outlives reloads: an entry names the source that verified it.
#[derive(Debug)]
pub struct TokenCache {
    entries: RefCell<Cache<Box<[u8]>, Entry, Weight, RandomState>>,
    budgets: RefCell<Cache<ConnectionId, Budget>>,
}

/// Tells one source of one configuration from every other, across reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceId(pub(super) u64);

/// A verified token.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) source: SourceId,
    /// `iss` as the token itself states it, when it parses as a JWS: what its source was chosen by.
    pub(super) claimed: Option<Arc<str>>,
    pub(super) facts: Arc<TokenFacts>,
    /// The token counts from here on, clock skew allowed for.
    pub(super) from: Option<Timestamp>,
    /// The entry counts up to here: the token's end, or less.
    pub(super) until: Timestamp,
    /// The issuer's key generation under which it was verified.
    pub(super) keys: u64,
    /// The revocation generation under which it was last found unrevoked.
    pub(super) revocations: Cell<u64>,
    pub(super) hash: [u8; 32],
    /// The length of a server's answer, when the facts come from one and not from the token itself.
    pub(super) answer: usize,
}

/// What a token costs to remember, in bytes: its facts were read from a text of this length.
pub(super) const fn cost(text: usize) -> u64 {
    ENTRY_BYTES.saturating_add(BYTES_PER_BYTE.saturating_mul(text as u64))
}

#[derive(Clone, Debug)]
struct Weight {
    least: u64,
}

impl Weighter<Box<[u8]>, Entry> for Weight {
    fn weight(&self, token: &Box<[u8]>, entry: &Entry) -> u64 {
        cost(token.len().saturating_add(entry.answer)).max(self.least)
    }
}

impl TokenCache {
    /// An empty cache.
    pub fn new(limits: TokenCacheLimits) -> Self {
        // A bound on weight that also bounds the number: no entry weighs less than its share.
        let least = (limits.bytes / (limits.entries.max(1) as u64)).max(1);
        let entries = Cache::with(
            limits.entries,
            limits.bytes,
            Weight { least },
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        Self { entries: RefCell::new(entries), budgets: RefCell::new(Cache::new(MOST_CONNECTIONS)) }
    }

    pub(super) fn get<R>(&self, token: &[u8], read: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.entries.borrow().get(token).map(read)
    }

    pub(super) fn insert(&self, token: &[u8], entry: Entry) {
        self.entries.borrow_mut().insert(token.into(), entry);
    }

    /// Whether this connection may still have unknown tokens verified.
    pub(super) fn may_try(&self, connection: ConnectionId, now: Timestamp) -> bool {
        self.budgets.borrow().peek(&connection).is_none_or(|budget| budget.has_left(now))
    }

    /// Counts a token of this connection that failed.
    pub(super) fn failed(&self, connection: ConnectionId, now: Timestamp) {
        let mut budgets = self.budgets.borrow_mut();
        let mut budget = budgets.get(&connection).copied().unwrap_or_else(|| Budget::full(now));
        budget.spend(now);
        budgets.insert(connection, budget);
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether no token is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight of what is remembered, in bytes as [`TokenCacheLimits`] counts them.
    pub fn weight(&self) -> u64 {
        self.entries.borrow().weight()
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new(TokenCacheLimits::default())
    }
}
