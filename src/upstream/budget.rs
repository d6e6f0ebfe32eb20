//! How often the whole process may try again: a fifth of what it forwards, with a small reserve, so that retries can
//! never double the load of a service that is failing.

use std::sync::atomic::{AtomicI64, Ordering};

/// What one retry costs, in forwarded requests.
const COST: i64 = 5;
/// The reserve: this many retries in a burst.
const RESERVE: i64 = 100 * COST;

/// The balance of the process, in forwarded requests.
#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicI64::new(RESERVE))
    }
}

impl Budget {
    /// A request was forwarded.
    pub(super) fn earn(&self) {
        if self.0.load(Ordering::Relaxed) < RESERVE {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pays for one retry, or says that there is nothing left.
    pub(super) fn spend(&self) -> bool {
        let pay = |balance: i64| balance.checked_sub(COST).filter(|left| *left >= 0);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}
