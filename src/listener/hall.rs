//! What all connections of one worker share.

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use super::census::Census;
use super::crowd::Crowd;
use super::entrance::Entrance;
use super::event::{ConnectionEvent, EventKind, Observer};
use super::guests::Guests;
use super::limits::Limits;
use super::workers::Phase;
use crate::request::{Connection, ConnectionId};
use crate::telemetry::{Clock, Meters};

/// What all workers share.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) observer: Observer,
    /// Numbers the connections of this process.
    pub(super) next: Arc<AtomicU64>,
    /// Connections that were cut in the middle of a request.
    pub(super) cut: Arc<AtomicUsize>,
}

/// One worker's hall.
pub(super) struct Hall<S> {
    pub(super) service: S,
    limits: RefCell<Limits>,
    pub(super) clock: Clock,
    pub(super) census: Census,
    pub(super) meters: Arc<Meters>,
    pub(super) crowd: Rc<Crowd>,
    pub(super) guests: Rc<Guests>,
    pub(super) phase: watch::Receiver<Phase>,
    /// How many workers share what is limited for all of them.
    workers: usize,
    common: Common,
}

/// A connection that was accepted and of which nothing else is known.
pub(super) struct Arrived {
    pub(super) id: ConnectionId,
    pub(super) entrance: Arc<Entrance>,
    /// The socket's, until a PROXY header states another.
    pub(super) client: Cell<SocketAddr>,
    pub(super) local: Cell<SocketAddr>,
}

impl<S> Hall<S> {
    pub(super) fn new(
        service: S,
        common: Common,
        meters: Arc<Meters>,
        workers: usize,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self {
            service,
            limits: RefCell::new(common.limits.clone()),
            clock: common.clock.clone(),
            census: Census::new(meters.clone()),
            meters,
            crowd: Rc::default(),
            guests: Rc::default(),
            phase,
            workers,
            common,
        }
    }

    /// The limits in force. Not to be held over a wait.
    pub(super) fn limits(&self) -> Ref<'_, Limits> {
        self.limits.borrow()
    }

    /// Connections that this worker may have open.
    pub(super) fn share(&self) -> usize {
        self.limits().connections.div_ceil(self.workers).max(1)
    }

    /// Handshakes of one source that this worker may have under way.
    pub(super) fn handshakes(&self) -> usize {
        self.limits().handshakes_per_address.div_ceil(self.workers).max(1)
    }

    /// Other limits hold from here on, for what is open, too: each connection looks at its deadlines anew, and those that
    /// are too many by now go as if others came.
    pub(super) fn limit(&self, limits: Limits) {
        self.limits.replace(limits);
        self.guests.wake();
        for _ in self.share()..self.census.open() {
            if !self.make_room() {
                break;
            }
        }
    }

    pub(super) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.common.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Has the connection go that can be spared most easily: the oldest that never asked anything, else the one that has
    /// been idle for longest. `false` when every one has a request open.
    pub(super) fn make_room(&self) -> bool {
        self.crowd.evict_oldest().or_else(|| self.guests.dismiss()).is_some()
    }

    pub(super) fn count_cut(&self) {
        self.common.cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self, arrived: &Arrived, kind: EventKind, detail: Option<Box<str>>) {
        let (id, client, listener) = (arrived.id, arrived.client.get(), arrived.entrance.name.clone());
        (self.common.observer)(ConnectionEvent { id, client, listener, kind, detail });
    }

    pub(super) fn report_request(&self, connection: &Connection, kind: EventKind) {
        let Connection { id, client, listener, .. } = connection;
        let event = ConnectionEvent { id: *id, client: *client, listener: listener.clone(), kind, detail: None };
        (self.common.observer)(event);
    }
}
