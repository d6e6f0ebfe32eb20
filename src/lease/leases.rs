//! The open leases of one worker.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Lease, Terms};
use crate::identity::PeerCheck;
use crate::policy::{Grant, Renewal};

/// Decides again about a grant, by the policy, the revocations and the clock of now; and says when now is.
pub(super) type Judge = Rc<dyn Fn(&Grant) -> (Renewal, Timestamp)>;

/// The open leases of one worker, to be reviewed when something changes.
pub struct Leases {
    open: RefCell<Vec<Weak<Lease>>>,
    judge: Judge,
}

impl Leases {
    /// No open leases yet. `judge` decides again about one of them: it must look at the policy in force, not at the one
    /// that was in force when it was made.
    pub fn new(judge: impl Fn(&Grant) -> (Renewal, Timestamp) + 'static) -> Self {
        Self { open: RefCell::default(), judge: Rc::new(judge) }
    }

    /// A lease over `grant`, which was decided as of `now`, on either clock, for a client whose certificate `peer` asks
    /// about.
    pub fn open(&self, grant: Grant, peer: Option<PeerCheck>, now: (Timestamp, Instant)) -> Rc<Lease> {
        let expires_at = grant.expires_at();
        let terms = Terms::Granted { grant: RefCell::new(grant), judge: self.judge.clone() };
        let lease = Rc::new(Lease::new(terms, peer, expires_at, now));
        let mut open = self.open.borrow_mut();
        if open.len() == open.capacity() {
            // Before the list would grow: what has ended goes, so that it stays as long as what is open.
            open.retain(|lease| lease.strong_count() > 0);
            let live = open.len().max(32);
            open.shrink_to(live * 2);
            open.reserve(live);
        }
        open.push(Rc::downgrade(&lease));
        lease
    }

    /// Decides again about every open exchange: after a reload, after a revocation. Those whose grant no longer holds end.
    pub fn review(&self) {
        // The list is taken out first: what a review wakes may open and drop leases.
        let open: Vec<_> = self.open.borrow().iter().filter_map(Weak::upgrade).collect();
        for lease in open {
            lease.review();
        }
    }

    /// Asks about the client's certificate of every open exchange that has one. Those whose certificate no longer counts
    /// end.
    pub fn review_peers(&self, now: Timestamp) {
        let open: Vec<_> = self.open.borrow().iter().filter_map(Weak::upgrade).collect();
        for lease in open {
            lease.review_peer(now);
        }
    }

    /// How many exchanges are open.
    pub fn count(&self) -> usize {
        self.open.borrow().iter().filter(|lease| lease.strong_count() > 0).count()
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("count", &self.count()).finish_non_exhaustive()
    }
}
