//! Which proofs were used, and which nonces were given out: for the whole process, across reloads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::authn::error::{AuthnError, DpopFault};

/// The most proofs that are remembered. One more is refused: forgetting one would let it count twice.
const MOST_PROOFS: usize = 1 << 20;
/// Expired proofs are swept when the memory has grown by this since the last time.
const SWEEP_EVERY: usize = 1 << 12;
/// How long a full memory is not swept again.
const REST: Duration = Duration::from_secs(1);
/// How long one nonce is given out, in seconds; it counts for as long again.
const NONCE_PERIOD: i64 = 120;

/// The proofs that were used and still would count.
pub(in crate::authn) struct ProofMemory {
    used: Mutex<Used>,
    /// Without randomness there is none, and no nonce counts.
    nonces: Option<hmac::Key>,
}

#[derive(Default)]
struct Used {
    until: HashMap<[u8; 32], Timestamp>,
    sweep_at: usize,
    /// While the memory is full it is swept once a second, not for each proof.
    rests_until: Option<Instant>,
}

impl ProofMemory {
    /// Remembers a proof until it would no longer count anyway.
    pub(super) fn remember(
        &self,
        key: &[u8; 32],
        identifier: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), AuthnError> {
        // The key has a fixed length, so no two pairs have the same bytes.
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(key);
        context.update(identifier.as_bytes());
        let mut name = [0; 32];
        name.copy_from_slice(context.finish().as_ref());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.until.len() >= used.sweep_at.max(SWEEP_EVERY) {
            used.sweep(now, Instant::now());
        }
        if used.until.len() >= MOST_PROOFS {
            return Err(DpopFault::MemoryFull.into());
        }
        // Kept past its end, a proof is refused by its age instead.
        match used.until.insert(name, until) {
            None => Ok(()),
            Some(_) => Err(AuthnError::DpopReplayed),
        }
    }

    /// The nonce of this moment. It says when it was made and that we made it, so none is kept.
    pub(super) fn nonce(&self, now: Timestamp) -> String {
        self.nonces.as_ref().map(|key| nonce_of(key, period(now))).unwrap_or_default()
    }

    /// Whether we gave out this nonce, in this period or the one before.
    pub(super) fn gave_out(&self, nonce: &str, now: Timestamp) -> bool {
        let Some(key) = &self.nonces else { return false };
        [period(now), period(now) - 1].into_iter().any(|period| {
            constant_time::verify_slices_are_equal(nonce_of(key, period).as_bytes(), nonce.as_bytes()).is_ok()
        })
    }
}

impl Used {
    /// Lets go of what no longer counts.
    fn sweep(&mut self, now: Timestamp, at: Instant) {
        if self.rests_until.is_some_and(|end| at < end) {
            return;
        }
        self.until.retain(|_, until| *until >= now);
        self.sweep_at = (self.until.len() + SWEEP_EVERY).min(MOST_PROOFS);
        self.rests_until = (self.until.len() >= MOST_PROOFS).then(|| at + REST);
    }
}

fn period(now: Timestamp) -> i64 {
    now.as_second().div_euclid(NONCE_PERIOD)
}

fn nonce_of(key: &hmac::Key, period: i64) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(key, &period.to_be_bytes()).as_ref())
}

impl Default for ProofMemory {
    fn default() -> Self {
        let nonces = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok();
        Self { used: Mutex::default(), nonces }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{MOST_PROOFS, ProofMemory};
    use crate::authn::error::{AuthnError, DpopFault};

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    #[test]
    fn a_proof_counts_once_for_each_key() {
        let memory = ProofMemory::default();
        assert_eq!(memory.remember(&[1; 32], "a", at(0), at(60)), Ok(()));
        assert_eq!(memory.remember(&[1; 32], "a", at(30), at(60)), Err(AuthnError::DpopReplayed));
        assert_eq!(memory.remember(&[2; 32], "a", at(0), at(60)), Ok(()));
        assert_eq!(memory.remember(&[1; 32], "b", at(0), at(60)), Ok(()));
    }

    #[test]
    fn what_can_no_longer_count_is_swept() {
        let memory = ProofMemory::default();
        for number in 0..10_000 {
            let now = at(number / 10);
            memory.remember(&[1; 32], &number.to_string(), now, now + SignedDuration::from_secs(60)).unwrap();
        }
        assert!(memory.used.lock().unwrap().until.len() < 5_500);
    }

    #[test]
    fn a_full_memory_refuses_until_the_proofs_in_it_no_longer_count() {
        let memory = ProofMemory::default();
        {
            let mut used = memory.used.lock().unwrap();
            for number in 0..MOST_PROOFS {
                let mut name = [0; 32];
                name.first_chunk_mut().map(|first: &mut [u8; 8]| *first = number.to_le_bytes()).unwrap();
                used.until.insert(name, at(60));
            }
        }
        let full = || Err(AuthnError::from(DpopFault::MemoryFull));
        assert_eq!(memory.remember(&[1; 32], "one", at(0), at(120)), full());
        assert_eq!(memory.remember(&[1; 32], "one", at(90), at(120)), full(), "it is not swept for each proof");
        memory.used.lock().unwrap().rests_until = None;
        assert_eq!(memory.remember(&[1; 32], "one", at(90), at(120)), Ok(()));
        assert_eq!(memory.used.lock().unwrap().until.len(), 1);
        assert_eq!(memory.remember(&[1; 32], "one", at(90), at(120)), Err(AuthnError::DpopReplayed));
    }

    #[test]
    fn a_nonce_counts_for_two_periods_and_only_ours_does() {
        let (memory, other) = (ProofMemory::default(), ProofMemory::default());
        let nonce = memory.nonce(at(0));
        assert!(memory.gave_out(&nonce, at(0)) && memory.gave_out(&nonce, at(120)));
        assert!(!memory.gave_out(&nonce, at(240)));
        assert!(!other.gave_out(&nonce, at(0)) && !memory.gave_out("", at(0)));
    }
}
