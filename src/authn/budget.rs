//! How many failed tokens a connection may send before unknown tokens on it are no longer verified: a verification costs
//! this side up to a millisecond, and the other side nothing.

use jiff::Timestamp;

/// Failures at once.
const BURST: i64 = 32;
/// One failure is forgiven in this time, in milliseconds.
const REFILL: i64 = 1000;

/// A bucket of failures, refilled by time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// When the bucket is full again, in milliseconds since 1970; each failure moves it on.
    full_at: i64,
}

impl Budget {
    pub(super) fn full(now: Timestamp) -> Self {
        Self { full_at: now.as_millisecond() }
    }

    pub(super) fn has_left(self, now: Timestamp) -> bool {
        self.full_at.saturating_sub(now.as_millisecond()) <= (BURST - 1) * REFILL
    }

    pub(super) fn spend(&mut self, now: Timestamp) {
        self.full_at = self.full_at.max(now.as_millisecond()).saturating_add(REFILL);
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::Budget;

    #[test]
    fn a_burst_is_spent_and_time_refills_it() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut budget = Budget::full(now);
        for _ in 0..32 {
            assert!(budget.has_left(now));
            budget.spend(now);
        }
        assert!(!budget.has_left(now));
        assert!(budget.has_left(now + SignedDuration::from_secs(1)));
        budget.spend(now + SignedDuration::from_secs(1));
        assert!(!budget.has_left(now + SignedDuration::from_secs(1)));
    }
}
