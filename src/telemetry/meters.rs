//! The counters of one worker. Each has a single writer, so counting is a plain load and store; a scrape sums the
//! workers.

use std::array;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::Subjects;
use crate::identity::Reason;

/// A count that only rises. One thread writes it, any thread reads it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`; called by the owning worker alone.
    pub fn add(&self, amount: u64) {
        // A single writer needs no read-modify-write: nobody else stores between the two.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An amount that rises and falls. One thread writes it, any thread reads it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `amount`, which may be negative; called by the owning worker alone.
    pub fn add(&self, amount: i64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The amount now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations, counted in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; Self::BOUNDS.len() + 1],
    microseconds: Counter,
}

impl Histogram {
    /// The upper bounds of the buckets, in seconds.
    pub const BOUNDS: [f64; 12] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = Self::BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(Self::BOUNDS.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.microseconds.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many durations fell between bound `index - 1` and bound `index`.
    pub fn bucket(&self, index: usize) -> u64 {
        self.buckets.get(index).map_or(0, Counter::value)
    }

    /// The sum of all durations in seconds.
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.microseconds.value()).as_secs_f64()
    }
}

/// What one worker counts about its connections.
#[derive(Debug, Default)]
pub struct Connections {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections open now.
    pub open: Gauge,
    /// TLS handshakes finished.
    pub handshakes: Counter,
    /// TLS handshakes finished by resuming a session.
    pub resumed: Counter,
    /// Connections that ended before their first request: handshake, deadline, limit or framing.
    pub failed: Counter,
}

/// All that one worker counts.
#[derive(Debug)]
pub struct Meters {
    /// Requests that were allowed and answered by the upstream.
    pub allowed: Counter,
    refused: [Counter; Reason::ALL.len()],
    /// From the arrival of a request's head to the end of its answer.
    pub durations: Histogram,
    /// From the arrival of a request's head to the decision: what the gateway itself adds before the upstream.
    pub decisions: Histogram,
    /// Decisions that rules which are only watched would have made otherwise: to deny, to allow.
    watched: [Counter; 2],
    /// Who was decided about.
    pub subjects: Subjects,
    /// Bytes of request bodies.
    pub bytes_in: Counter,
    /// Bytes of answer bodies.
    pub bytes_out: Counter,
    /// Requests being answered now.
    pub in_flight: Gauge,
    /// Tokens that the worker's own cache knew.
    pub tokens_cached: Counter,
    /// Tokens that had to be verified or introspected.
    pub tokens_verified: Counter,
    /// Connections.
    pub connections: Connections,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            allowed: Counter::default(),
            refused: array::from_fn(|_| Counter::default()),
            durations: Histogram::default(),
            decisions: Histogram::default(),
            watched: Default::default(),
            subjects: Subjects::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            in_flight: Gauge::default(),
            tokens_cached: Counter::default(),
            tokens_verified: Counter::default(),
            connections: Connections::default(),
        }
    }
}

impl Meters {
    /// The counter of decisions that watched rules would have made otherwise; `allowed`: they would have admitted.
    pub fn watched(&self, allowed: bool) -> &Counter {
        let [deny, allow] = &self.watched;
        if allowed { allow } else { deny }
    }

    /// The counter of requests that ended for `reason`.
    pub fn refused(&self, reason: Reason) -> &Counter {
        // INVARIANT: the array has one counter for each reason, in declaration order.
        self.refused.get(reason as usize).unwrap_or(&self.allowed)
    }
}

/// Sums one counter over all workers.
pub fn total<'m>(workers: impl IntoIterator<Item = &'m Meters>, count: impl Fn(&Meters) -> u64) -> u64 {
    workers.into_iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::{Meters, Reason};

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let meters = Meters::default();
        for reason in Reason::ALL {
            meters.refused(*reason).add(1);
        }
        assert!(Reason::ALL.iter().all(|reason| meters.refused(*reason).value() == 1));
        assert_eq!(meters.allowed.value(), 0);
    }
}
