//! Which proofs were used, and which nonces were given out: for the whole process, across reloads.
//!
//! What another process accepted is not known here. A proof that may have been shown to one counts only with a nonce
//! of this process, which no other has given out; see [`ProofMemory::since`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::authn::error::{AuthnError, DpopFault};
use crate::authn::facts::later;
use crate::authn::revocations::sha256;

/// The most proofs that are remembered. One more is refused: forgetting one would let it count twice.
const MOST_PROOFS: usize = 1 << 20;
/// Expired proofs are swept when the memory has grown by this since the last time.
const SWEEP_EVERY: usize = 1 << 12;
/// How long a full memory is not swept again.
const REST: Duration = Duration::from_secs(1);
/// How long one nonce is given out, in seconds; it counts for as long again.
const NONCE_PERIOD: i64 = 120;

/// How far ahead of ours the clock may be by which a proof says when it was issued, whatever the configuration says: then
/// one process knows what another can have taken.
pub(super) const MOST_AHEAD: Duration = Duration::from_secs(60);

/// The proofs that were used and still would count.
pub struct ProofMemory {
    used: Mutex<Used>,
    /// Without randomness there is none, and no nonce counts.
    nonces: Option<hmac::Key>,
}

struct Used {
    /// By the thumbprint of the key, then by the hash of `jti`: until when the proof would count.
    by_key: HashMap<[u8; 32], HashMap<[u8; 32], Timestamp>>,
    count: usize,
    sweep_at: usize,
    /// While the memory is full it is swept once a second, not for each proof.
    rests_until: Option<Instant>,
    /// Since when no other process takes proofs.
    alone_since: Timestamp,
    /// From when on this one takes none.
    leaves_at: Timestamp,
}

/// A proof in which everything is right, but for its being the first of its kind.
pub(super) struct Proof<'p> {
    /// The thumbprint of its key.
    pub(super) key: &'p [u8; 32],
    /// `jti`.
    pub(super) identifier: &'p str,
    /// `iat`.
    pub(super) issued: Timestamp,
    /// How long it counts from `issued` on.
    pub(super) life: Duration,
    /// Whether it carries a nonce of this process.
    pub(super) has_nonce: bool,
}

impl ProofMemory {
    /// The memory of a process beside which no other takes proofs from `alone_since` on.
    ///
    /// Before `alone_since` nobody took a proof that was issued more than [`MOST_AHEAD`] after it. So whatever was issued
    /// later is new here, and the rest counts only with a nonce of ours.
    pub fn since(alone_since: Timestamp) -> Self {
        let used = Used {
            by_key: HashMap::new(),
            count: 0,
            sweep_at: SWEEP_EVERY,
            rests_until: None,
            alone_since,
            leaves_at: Timestamp::MAX,
        };
        let nonces = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok();
        Self { used: Mutex::new(used), nonces }
    }

    /// Another process takes over: from `at` on no proof counts here. Gives the moment from which on that process is
    /// alone, the ones before this one included.
    pub fn leave(&self, at: Timestamp) -> Timestamp {
        let mut used = self.used();
        used.leaves_at = used.leaves_at.min(at);
        used.alone_since.max(used.leaves_at)
    }

    /// The processes before this one take no proofs from `since` on.
    pub fn is_alone(&self, since: Timestamp) {
        self.used().alone_since = since;
    }

    /// Remembers a proof until it would no longer count anyway.
    pub(super) fn remember(&self, proof: &Proof<'_>, now: Timestamp) -> Result<(), AuthnError> {
        let mut used = self.used();
        if now >= used.leaves_at {
            return Err(DpopFault::Leaving.into());
        }
        if !proof.has_nonce && proof.issued <= later(used.alone_since, MOST_AHEAD) {
            return Err(self.wants_nonce(now));
        }
        if used.count >= used.sweep_at {
            used.sweep(now, Instant::now());
        }
        // One key may hold as many as it leaves free for all others: nobody alone can use the memory up.
        let free = MOST_PROOFS.saturating_sub(used.count);
        let of_key = used.by_key.entry(*proof.key).or_default();
        if of_key.len() >= free {
            return Err(DpopFault::MemoryFull.into());
        }
        // Kept past its end, a proof is refused by its age instead.
        match of_key.insert(sha256(proof.identifier.as_bytes()), later(proof.issued, proof.life)) {
            None => {
                used.count += 1;
                Ok(())
            }
            Some(_) => Err(AuthnError::DpopReplayed),
        }
    }

    /// The refusal of a proof that needs a nonce, with one. It says when it was made and that we made it, so none is kept.
    pub(super) fn wants_nonce(&self, now: Timestamp) -> AuthnError {
        let nonce = self.nonces.as_ref().map(|key| nonce_of(key, period(now))).unwrap_or_default();
        AuthnError::DpopNonce { nonce: nonce.into() }
    }

    /// Whether we gave out this nonce, in this period or the one before.
    pub(super) fn gave_out(&self, nonce: &str, now: Timestamp) -> bool {
        let Some(key) = &self.nonces else { return false };
        [period(now), period(now) - 1].into_iter().any(|period| {
            constant_time::verify_slices_are_equal(nonce_of(key, period).as_bytes(), nonce.as_bytes()).is_ok()
        })
    }

    /// A panic while the lock was held leaves at worst a proof that is counted and not kept.
    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// Lets go of what no longer counts.
    fn sweep(&mut self, now: Timestamp, at: Instant) {
        if self.rests_until.is_some_and(|end| at < end) {
            return;
        }
        self.by_key.retain(|_, proofs| {
            proofs.retain(|_, until| *until >= now);
            !proofs.is_empty()
        });
        self.count = self.by_key.values().map(HashMap::len).sum();
        self.sweep_at = (self.count + SWEEP_EVERY).min(MOST_PROOFS);
        self.rests_until = (self.count >= MOST_PROOFS).then(|| at + REST);
    }
}

fn period(now: Timestamp) -> i64 {
    now.as_second().div_euclid(NONCE_PERIOD)
}

fn nonce_of(key: &hmac::Key, period: i64) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(key, &period.to_be_bytes()).as_ref())
}

#[cfg(test)]
mod tests;
