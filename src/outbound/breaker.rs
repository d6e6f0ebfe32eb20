//! When a server may be asked: not while it said "later", and not often while it fails.

use std::time::Duration;

use tokio::time::Instant;

/// After so many failures in a row the server is left alone for a while.
const FAILURES: u32 = 5;
/// The longest that it is left alone at a time.
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is believed.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// A circuit breaker. Open, it answers for the server; after a pause it lets one call through and waits for its outcome.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Whether a call may be made now; else, when to come back.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.closed_until {
            Some(until) if until > now => Err(until - now),
            Some(_) => {
                // This call tries; the others wait for what comes of it.
                self.closed_until = Some(now + Duration::from_secs(1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The server did not answer, or not sensibly.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(FAILURES) {
            self.closed_until = Some(now + Duration::from_secs(1 << beyond.min(5)).min(MOST_PAUSE));
        }
    }

    /// The server said 429, or 503 with this `Retry-After`.
    pub(super) fn told_to_wait(&mut self, now: Instant, wait: Duration) {
        self.closed_until = Some(now + wait.clamp(Duration::from_secs(1), MOST_RETRY_AFTER));
    }

    /// Whether calls are refused now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Breaker;

    #[test]
    fn five_failures_pause_the_calls_then_one_tries() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            breaker.failed(start);
            assert!(breaker.admit(start).is_ok());
        }
        breaker.failed(start);
        assert!(breaker.is_open(start) && breaker.admit(start).is_err());
        let later = start + Duration::from_secs(1);
        assert!(breaker.admit(later).is_ok());
        assert!(breaker.admit(later).is_err(), "only one tries");
        breaker.failed(later);
        assert_eq!(breaker.admit(later), Err(Duration::from_secs(2)));
        breaker.succeeded();
        assert!(breaker.admit(later).is_ok() && breaker.admit(later).is_ok());
    }

    #[test]
    fn retry_after_is_honoured_within_bounds() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        breaker.told_to_wait(now, Duration::from_secs(7));
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(7)));
        breaker.told_to_wait(now, Duration::from_secs(1 << 40));
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(300)));
        breaker.told_to_wait(now, Duration::ZERO);
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(1)));
    }
}
