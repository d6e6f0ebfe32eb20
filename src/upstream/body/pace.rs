//! How slowly a request's body may come. Gaps have deadlines of their own; this is for a client that never stops and never
//! comes to an end either, one byte at a time.
//!
//! Time is counted only while we wait for the client, so that a service that takes its time uses up nobody's. A client may
//! fall behind by [`MOST`]: what it has in hand is used up by waiting, and earned again by bytes. What came fast once does
//! not pay for hours of dripping.

use std::time::Duration;

/// How far a body may fall behind.
pub(in crate::upstream) const MOST: Duration = Duration::from_secs(30);

/// The pace of one body.
pub(in crate::upstream) struct Pace {
    /// Bytes a second.
    rate: u64,
    /// The longest gap, whatever is in hand.
    idle: Duration,
    in_hand: Duration,
}

impl Pace {
    /// A body that brings `rate` bytes a second on average, with no gap longer than `idle`.
    pub(in crate::upstream) const fn new(rate: u64, idle: Duration) -> Self {
        Self { rate, idle, in_hand: MOST }
    }

    /// So many bytes came after we waited so long.
    pub(in crate::upstream) fn came(&mut self, bytes: u64, waited: Duration) {
        let earned = bytes.saturating_mul(1_000_000_000).checked_div(self.rate);
        let earned = earned.map_or(MOST, Duration::from_nanos);
        self.in_hand = self.in_hand.saturating_sub(waited).saturating_add(earned).min(MOST);
    }

    /// How long the next wait may be.
    pub(in crate::upstream) fn patience(&self) -> Duration {
        self.idle.min(self.in_hand)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MOST, Pace};

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE: Duration = Duration::from_secs(60);

    #[test]
    fn who_keeps_the_pace_may_go_on_for_ever_and_who_drips_may_not() {
        let mut steady = Pace::new(240, IDLE);
        (0..10_000).for_each(|_| steady.came(240, SECOND));
        assert_eq!(steady.patience(), MOST);
        let mut dripping = Pace::new(240, IDLE);
        (0..6).for_each(|_| dripping.came(1, 5 * SECOND));
        assert!(dripping.patience() < SECOND / 10, "{:?}", dripping.patience());
    }

    #[test]
    fn what_came_fast_once_pays_for_no_more_than_the_most() {
        let mut body = Pace::new(240, IDLE);
        body.came(1 << 40, Duration::ZERO);
        assert_eq!(body.patience(), MOST);
        body.came(0, 29 * SECOND);
        assert_eq!(body.patience(), SECOND, "an empty piece earns nothing");
        body.came(120, SECOND);
        assert_eq!(body.patience(), SECOND / 2);
    }

    #[test]
    fn a_gap_has_its_own_deadline_and_no_rate_has_none() {
        assert_eq!(Pace::new(240, SECOND).patience(), SECOND);
        let mut free = Pace::new(0, IDLE);
        free.came(1, IDLE);
        assert_eq!(free.patience(), MOST);
    }
}
