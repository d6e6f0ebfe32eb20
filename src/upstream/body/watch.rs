//! The deadlines of one body. A timer is armed only while nothing moves, and set back only when it fires, so that a
//! body that flows costs a look at the clock and no more.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::lease::Lease;
use crate::upstream::error::{Deadline, StreamError};

/// A timer that was set before and may ring for nothing.
pub(in crate::upstream) type Timer = Pin<Box<Sleep>>;

/// What can cut a body.
pub(in crate::upstream) struct Watch {
    lease: Rc<Lease>,
    idle: Duration,
    total: Option<Instant>,
    waiting_since: Option<Instant>,
    timer: Option<Timer>,
}

impl Watch {
    pub(in crate::upstream) const fn new(lease: Rc<Lease>, idle: Duration, total: Option<Instant>) -> Self {
        Self { lease, idle, total, waiting_since: None, timer: None }
    }

    /// With a timer that another watch has used: to set one costs more than to look at it for nothing.
    pub(in crate::upstream) fn with(mut self, timer: Option<Timer>) -> Self {
        self.timer = timer;
        self
    }

    /// Gives up the timer, for the next watch.
    pub(in crate::upstream) fn take_timer(&mut self) -> Option<Timer> {
        self.timer.take()
    }

    /// A piece has come: may it pass?
    pub(in crate::upstream) fn moved(&mut self) -> Result<Instant, StreamError> {
        self.waiting_since = None;
        let now = Instant::now();
        match self.past(now) {
            Some(cut) => Err(cut),
            None => Ok(now),
        }
    }

    /// Since when nothing has come.
    pub(in crate::upstream) const fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Counts the waiting from `at`, when that is later.
    pub(in crate::upstream) fn moved_at(&mut self, at: Instant) {
        self.waiting_since = self.waiting_since.max(Some(at));
    }

    /// Another wait begins, with another patience.
    pub(in crate::upstream) const fn begin_again(&mut self, idle: Duration) {
        self.idle = idle;
        self.waiting_since = None;
    }

    /// Nothing has come: ready when that has lasted too long.
    pub(in crate::upstream) fn waits(&mut self, context: &mut Context<'_>) -> Poll<StreamError> {
        let mut now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        loop {
            if let Some(cut) = self.past(now) {
                return Poll::Ready(cut);
            }
            if now.duration_since(since) >= self.idle {
                return Poll::Ready(StreamError::Timeout(Deadline::Idle));
            }
            self.lease.wake_when_ended(context);
            let next = [since.checked_add(self.idle), self.total, self.lease.deadline()].into_iter().flatten().min();
            let Some(next) = next else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            // A timer that is set too early fires, finds nothing due, and is set anew: rarer than setting it each time.
            if timer.is_elapsed() || timer.deadline() > next {
                timer.as_mut().reset(next);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            now = Instant::now();
        }
    }

    fn past(&self, now: Instant) -> Option<StreamError> {
        if let Some(reason) = self.lease.ended(now) {
            return Some(StreamError::LeaseEnded(reason));
        }
        self.total.filter(|end| now >= *end).map(|_| StreamError::Timeout(Deadline::Total))
    }
}
