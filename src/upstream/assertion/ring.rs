//! Which key signs, which are published, which are no longer needed: told by their age alone, so that two processes that
//! share a state directory agree.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::key::Key;

/// A key signs from this age on: services had the time to fetch it.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// A key signs up to about this age.
const SERVICE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A key is published for so long after its successor took over; no assertion lives as long.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(24);

/// The keys, oldest first. Never empty.
pub(super) struct Ring {
    keys: Vec<Arc<Key>>,
    signing: Arc<Key>,
    published: bytes::Bytes,
}

impl Ring {
    /// Arranges the keys of a state directory as of `now`: makes one when the youngest gets old, or there is none, and
    /// leaves out those that nothing needs any more. `None` when no key can be made.
    pub(super) fn arrange(mut keys: Vec<Arc<Key>>, now: Timestamp) -> Option<Self> {
        keys.sort_by_key(|key| key.created());
        if keys.last().is_none_or(|youngest| age(youngest, now) >= SERVICE - AHEAD) {
            keys.push(Arc::new(Key::generate(now)?));
        }
        // The very first key signs at once: nobody can have fetched an older set.
        let current = keys.iter().rposition(|key| age(key, now) >= AHEAD).unwrap_or(0);
        let needed = keys.iter().rposition(|key| age(key, now) >= AHEAD + AFTERWARDS).unwrap_or(0).min(current);
        keys.drain(..needed);
        let signing = keys.get(current - needed)?.clone();
        let published: Vec<_> = keys.iter().filter_map(|key| key.published()).collect();
        let published = serde_json::to_vec(&json!({ "keys": published })).ok()?.into();
        Some(Self { keys, signing, published })
    }

    pub(super) fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }

    /// The key that signs now.
    pub(super) const fn signing(&self) -> &Arc<Key> {
        &self.signing
    }

    /// The public keys as a JWK set (RFC 7517 section 5).
    pub(super) const fn published(&self) -> &bytes::Bytes {
        &self.published
    }
}

fn age(key: &Key, now: Timestamp) -> SignedDuration {
    now.duration_since(key.created())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::{SignedDuration, Timestamp};

    use super::super::key::Key;
    use super::Ring;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(10_000 + hours)
    }

    fn made(hours: &[i64]) -> Vec<Arc<Key>> {
        hours.iter().map(|hours| Arc::new(Key::generate(at(*hours)).unwrap())).collect()
    }

    /// The hours at which the published keys were made, and that of the one that signs.
    fn arranged(hours: &[i64], now: i64) -> (Vec<i64>, i64) {
        let ring = Ring::arrange(made(hours), at(now)).unwrap();
        let hour = |key: &Key| key.created().duration_since(at(0)).as_hours();
        let set: serde_json::Value = serde_json::from_slice(ring.published()).unwrap();
        assert_eq!(set.pointer("/keys").unwrap().as_array().unwrap().len(), ring.keys().len(), "all are published");
        (ring.keys().iter().map(|key| hour(key)).collect(), hour(ring.signing()))
    }

    #[test]
    fn the_first_key_signs_at_once() {
        assert_eq!(arranged(&[], 5), (vec![5], 5));
    }

    #[test]
    fn a_successor_is_published_before_it_signs() {
        assert_eq!(arranged(&[0], 718), (vec![0], 0));
        assert_eq!(arranged(&[0], 719), (vec![0, 719], 0));
        assert_eq!(arranged(&[0, 719], 719), (vec![0, 719], 0));
        assert_eq!(arranged(&[0, 719], 720), (vec![0, 719], 719));
    }

    #[test]
    fn a_predecessor_is_published_until_nothing_that_it_signed_counts() {
        assert_eq!(arranged(&[0, 719], 743), (vec![0, 719], 719));
        assert_eq!(arranged(&[0, 719], 744), (vec![719], 719));
    }

    #[test]
    fn a_gateway_that_slept_for_long_goes_on_with_the_key_that_services_may_know() {
        assert_eq!(arranged(&[0], 5_000), (vec![0, 5_000], 0));
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_and_signs_with_the_oldest() {
        assert_eq!(arranged(&[10, 20], 0), (vec![10, 20], 10));
    }
}
