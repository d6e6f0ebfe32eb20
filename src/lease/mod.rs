//! What an open exchange rests on: it is closed when its grant ends.
//!
//! A decision is made for a moment; a stream, an upload or a WebSocket outlives it. Such an exchange holds a [`Lease`]
//! over its grant. Its bodies and its tunnel ask the lease each time they move or wait, and end when it has ended: an
//! HTTP/1.1 connection is closed, an HTTP/2 stream is reset, a WebSocket gets a close frame. The lease ends at the
//! grant's expiry, or earlier when [`Leases::renew`] decides again and is told that the grant no longer holds.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::identity::Reason;

/// An exchange this young is answered whole even when its grant expires meanwhile: what was decided an instant before
/// the expiry is an ordinary request, not a stream. A grant that is taken away by [`Leases::renew`] ends at once.
pub const LEAST: Duration = Duration::from_secs(10);

/// How an exchange that outlived its decision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why it was cut; `None` when one of its two sides closed it.
    pub reason: Option<Reason>,
    /// Bytes that went to the service behind.
    pub to_upstream: u64,
    /// Bytes that went to the client.
    pub to_client: u64,
}

/// One exchange's hold on its grant. Shared by the request's body, the answer's body and the tunnel.
#[derive(Debug)]
pub struct Lease {
    deadline: Option<Instant>,
    ended: Cell<Option<Reason>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Lease {
    /// A lease that ends at `expires_at` (wall clock, as of `now`), but not in its first ten seconds; without an expiry
    /// it lasts until it is ended.
    pub fn until(expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        let left = expires_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default().max(LEAST));
        let deadline = left.and_then(|left| Instant::now().checked_add(left));
        Self { deadline, ended: Cell::new(None), waiting: RefCell::default() }
    }

    /// When it ends by itself.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Why it has ended, as of `now`; `None` while it holds.
    pub fn ended(&self, now: Instant) -> Option<Reason> {
        self.ended.get().or_else(|| self.deadline.filter(|end| now >= *end).map(|_| Reason::TokenExpired))
    }

    /// Ends it now and wakes whoever waits on it. The first reason stays.
    pub fn end(&self, reason: Reason) {
        if self.ended.get().is_none() {
            self.ended.set(Some(reason));
        }
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Has `context`'s task woken when the lease is ended early. The expiry is the caller's to time: a body has a timer
    /// of its own anyway.
    pub fn wake_when_ended(&self, context: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
    }

    /// Waits for the end.
    pub async fn over(&self) -> Reason {
        let mut timer: Option<Pin<Box<Sleep>>> = self.deadline.map(|end| Box::pin(sleep_until(end)));
        poll_fn(|context| {
            if let Some(reason) = self.ended(Instant::now()) {
                return Poll::Ready(reason);
            }
            self.wake_when_ended(context);
            match timer.as_mut().map(|timer| timer.as_mut().poll(context)) {
                Some(Poll::Ready(())) => Poll::Ready(Reason::TokenExpired),
                _ => Poll::Pending,
            }
        })
        .await
    }
}
