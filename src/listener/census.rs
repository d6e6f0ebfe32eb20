//! How many connections a worker has open, so that it can refuse, and knows when it is drained.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::telemetry::Meters;

/// The open connections of one worker, upgraded ones included.
#[derive(Clone)]
pub(super) struct Census(Arc<Count>);

struct Count {
    meters: Arc<Meters>,
    open: AtomicUsize,
    changed: Notify,
}

/// Proof that a connection is counted; it leaves the count when this is dropped. `Send`, because an upgraded connection
/// takes it along.
pub(super) struct Present(Arc<Count>);

impl Census {
    pub(super) fn new(meters: Arc<Meters>) -> Self {
        Self(Arc::new(Count { meters, open: AtomicUsize::new(0), changed: Notify::new() }))
    }

    pub(super) fn enter(&self) -> Present {
        self.0.meters.connections.accepted.add(1);
        self.0.meters.connections.open.add(1);
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Present(self.0.clone())
    }

    pub(super) fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Waits until nothing is open.
    pub(super) async fn empty(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.open() == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.meters.connections.open.add(-1);
        if self.0.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}
