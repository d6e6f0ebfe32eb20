//! What an open exchange rests on: it is closed when its grant ends.
//!
//! A decision is made for a moment; a stream, an upload or a WebSocket outlives it. Such an exchange holds a [`Lease`]
//! over its grant. Its bodies and its tunnel ask the lease each time they move or wait, and end when it has ended: an
//! HTTP/1.1 connection is closed, an HTTP/2 stream is reset, a gRPC call gets its status, a WebSocket a close frame.
//!
//! The grant is decided on again when it expires, and whenever [`Leases::review`] is called: after a reload, after a
//! revocation. What the judge says then either goes on or ends; it can never open anything. The client's certificate is
//! asked about again each second, for it may be revoked, or its authority no longer trusted, without a reload.

mod leases;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, Sleep, sleep_until};

pub use self::leases::Leases;
use crate::identity::{PeerCheck, Reason};
use crate::policy::{Grant, Renewal};

/// An exchange this young is answered whole even when its grant expires meanwhile: what was decided an instant before
/// the expiry is an ordinary request, not a stream. A grant that [`Leases::review`] ends, ends at once.
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
pub struct Lease {
    terms: Terms,
    /// Asks about the client's certificate, when it showed one.
    peer: Option<PeerCheck>,
    deadline: Cell<Option<Instant>>,
    ended: Cell<Option<Reason>>,
    waiting: RefCell<Waiting>,
}

/// The tasks that wait on a lease: nearly always one.
#[derive(Default)]
struct Waiting {
    first: Option<Waker>,
    more: Vec<Waker>,
}

/// What decides about the lease when its time is over.
enum Terms {
    Granted {
        grant: RefCell<Grant>,
        judge: leases::Judge,
    },
    /// Nothing renews it.
    #[cfg(test)]
    Fixed,
}

impl Lease {
    fn new(terms: Terms, peer: Option<PeerCheck>, expires_at: Option<Timestamp>, now: (Timestamp, Instant)) -> Self {
        let deadline = Cell::new(instant(expires_at, now, LEAST));
        Self { terms, peer, deadline, ended: Cell::new(None), waiting: RefCell::default() }
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    /// Why it has ended, as of `now`; `None` while it holds. A grant whose time is over is decided on again here.
    pub fn ended(&self, now: Instant) -> Option<Reason> {
        if self.ended.get().is_none() && self.deadline.get().is_some_and(|end| now >= end) {
            self.review();
        }
        self.ended.get()
    }

    /// Decides again, now.
    fn review(&self) {
        match &self.terms {
            Terms::Granted { grant, judge } => {
                let (renewal, now) = judge(&grant.borrow());
                match renewal {
                    Renewal::Ended(reason) => self.end(reason),
                    Renewal::Renewed(terms) => {
                        // A judge that renews what has expired would be asked again at once, and again: not for a second.
                        self.deadline.set(instant(terms.expires_at(), (now, Instant::now()), Duration::from_secs(1)));
                        grant.replace(terms);
                    }
                }
            }
            #[cfg(test)]
            Terms::Fixed => self.end(Reason::TokenExpired),
        }
    }

    /// Ends it when the client's certificate no longer counts.
    fn review_peer(&self, now: Timestamp) {
        if self.peer.as_ref().is_some_and(|peer| peer.ask(now).is_err()) {
            self.end(Reason::CertificateRefused);
        }
    }

    /// Ends it and wakes whoever waits on it. The first reason stays.
    fn end(&self, reason: Reason) {
        if self.ended.get().is_none() {
            self.ended.set(Some(reason));
        }
        let Waiting { first, more } = self.waiting.take();
        for waker in first.into_iter().chain(more) {
            waker.wake();
        }
    }

    /// Has `context`'s task woken when the lease is ended early. The deadline is the caller's to time: a body has a timer
    /// of its own anyway.
    pub fn wake_when_ended(&self, context: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        let Waiting { first, more } = &mut *waiting;
        match first {
            None => *first = Some(context.waker().clone()),
            Some(known) if known.will_wake(context.waker()) => {}
            Some(_) if more.iter().any(|waker| waker.will_wake(context.waker())) => {}
            Some(_) => more.push(context.waker().clone()),
        }
    }

    /// Waits for the end.
    pub async fn over(&self) -> Reason {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|context| {
            loop {
                if let Some(reason) = self.ended(Instant::now()) {
                    return Poll::Ready(reason);
                }
                self.wake_when_ended(context);
                let Some(deadline) = self.deadline() else { return Poll::Pending };
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                timer.as_mut().reset(deadline);
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// A moment of the wall clock on the clock that never steps, at least `least` after `now` on both.
fn instant(at: Option<Timestamp>, now: (Timestamp, Instant), least: Duration) -> Option<Instant> {
    let left = Duration::try_from(at?.duration_since(now.0)).unwrap_or_default().max(least);
    now.1.checked_add(left)
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("deadline", &self.deadline).field("ended", &self.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Lease {
    /// A lease over nothing, for tests of what leases end.
    pub(crate) fn until(expires_at: Option<Timestamp>, now: Timestamp) -> std::rc::Rc<Self> {
        std::rc::Rc::new(Self::new(Terms::Fixed, None, expires_at, (now, Instant::now())))
    }

    pub(crate) fn end_for(&self, reason: Reason) {
        self.end(reason);
    }
}

#[cfg(test)]
mod tests;
