//! HTTP/2 connections that are being made to one endpoint, and the requests that wait for them.

use std::cell::Cell;

use tokio::sync::Notify;

/// The dials of one pool.
#[derive(Default)]
pub(super) struct Dials {
    under_way: Cell<usize>,
    /// Requests that wait for one of them without having begun one.
    waiting: Cell<usize>,
    done: Notify,
}

/// A dial that is under way; whoever waits looks again when this is dropped, well or not.
pub(super) struct UnderWay<'a>(&'a Dials);

/// A request that waits.
struct Waiting<'a>(&'a Cell<usize>);

impl Dials {
    /// Whether the dials that are under way will carry one more request, at so many streams a connection.
    pub(super) fn suffice(&self, streams: usize) -> bool {
        let places = self.under_way.get().saturating_mul(streams);
        self.under_way.get() + self.waiting.get() < places
    }

    /// Begins another.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.under_way.set(self.under_way.get() + 1);
        UnderWay(self)
    }

    /// Waits until one of them is done.
    pub(super) async fn next(&self) {
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        self.done.notified().await;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
        self.0.done.notify_waiters();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
