//! The wall clock, handed in so that tests can set it and pure code never reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Tells the wall-clock time. Durations are measured with [`std::time::Instant`] instead, which never steps.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until [`Clock::set`] moves it.
    pub fn fixed(at: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at.as_microsecond()))))
    }

    /// Moves a fixed clock and all of its clones; the system's clock stays as it is.
    pub fn set(&self, at: Timestamp) {
        if let Some(fixed) = &self.0 {
            fixed.store(at.as_microsecond(), Ordering::Relaxed);
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(fixed) => Timestamp::from_microsecond(fixed.load(Ordering::Relaxed)).unwrap_or(Timestamp::MAX),
        }
    }
}
