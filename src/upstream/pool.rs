//! The connections of one worker to one endpoint: places for requests in flight, a queue for those that wait, and
//! connections kept for later, the youngest used first.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use super::body::{Progress, Timer};
use super::connect::{Dial, Fresh, Sender1, Sender2};
use super::dials::Dials;
use super::endpoint::{Counted, Endpoint};
use super::error::{Deadline, ForwardError};
use super::settings::{Pooling, Protocol, Settings};

/// How long a connection may take to be through with its last exchange.
const SETTLING: Duration = Duration::from_millis(50);

/// One worker's connections to one endpoint.
pub(super) struct Pool {
    endpoint: Arc<Endpoint>,
    limits: Pooling,
    places: Arc<Semaphore>,
    waiting: Cell<usize>,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Shared>>>,
    dials: Dials,
    /// What ALPN gave last, where that is not known before.
    speaks_http1: Cell<bool>,
    tidying: Cell<bool>,
    /// Timers of exchanges that have ended.
    timers: RefCell<Vec<Timer>>,
}

struct Idle {
    line: Line,
    since: Instant,
}

/// An HTTP/1.1 connection, in use or between two requests.
pub(super) struct Line {
    pub(super) sender: Sender1,
    opened: Instant,
}

/// An HTTP/2 connection.
struct Shared {
    sender: Sender2,
    opened: Instant,
    streams: Cell<usize>,
}

/// The right to have one more request in flight.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

/// What a request in flight holds: its place and its connection. Dropped, it closes an HTTP/1.1 connection; given back,
/// it keeps it.
pub(super) struct Hold {
    pub(super) connection: Held,
    /// Whether the connection has carried a request before: only then may it have died of old age.
    pub(super) reused: bool,
    /// The request body must have been sent whole before the connection can carry another request.
    pub(super) sending: Option<Rc<Progress>>,
    pool: Rc<Pool>,
    _place: Place,
}

/// A connection in use.
pub(super) enum Held {
    Http1(Box<Line>),
    Http2(Stream),
}

/// One stream of an HTTP/2 connection.
pub(super) struct Stream(Rc<Shared>);

impl Stream {
    pub(super) fn sender(&self) -> Sender2 {
        Sender2 { send: self.0.sender.send.clone(), address: self.0.sender.address }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
    }
}

impl Hold {
    /// A timer of an exchange that has ended, if there is one.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.pool.timers.borrow_mut().pop()
    }

    /// The exchange has ended cleanly, at `now`; its timer is for the next one.
    pub(super) fn give_back(self, timer: Option<Timer>, now: Instant) {
        let Self { connection, sending, pool, .. } = self;
        let mut timers = pool.timers.borrow_mut();
        if timers.len() < pool.limits.idle {
            timers.extend(timer);
        }
        drop(timers);
        if let Held::Http1(line) = connection
            && sending.is_none_or(|progress| progress.whole())
        {
            pool.keep(*line, now);
        }
    }
}

impl Pool {
    pub(super) fn new(endpoint: Arc<Endpoint>, limits: Pooling) -> Rc<Self> {
        Rc::new(Self {
            endpoint,
            limits,
            places: Arc::new(Semaphore::new(limits.active.min(Semaphore::MAX_PERMITS))),
            waiting: Cell::new(0),
            idle: RefCell::default(),
            shared: RefCell::default(),
            dials: Dials::default(),
            speaks_http1: Cell::new(false),
            tidying: Cell::new(false),
            timers: RefCell::default(),
        })
    }

    /// Waits, in turn and not for long, for the right to have one more request in flight.
    pub(super) async fn place(&self, settings: &Settings) -> Result<Place, ForwardError> {
        let busy = || ForwardError::Busy(settings.name.clone());
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if self.waiting.get() >= self.limits.waiting => return Err(busy()),
            Err(_) => {
                let _queued = Queued::join(&self.waiting);
                let turn = timeout(self.limits.wait, self.places.clone().acquire_owned());
                turn.await.map_err(|_| busy())?.map_err(|_| busy())?
            }
        };
        Ok(Place { _permit: permit, _counted: self.endpoint.count() })
    }

    /// A connection: one that is at hand unless `fresh` asks for a new one.
    pub(super) async fn connection(
        self: &Rc<Self>,
        place: Place,
        settings: &Settings,
        fresh: bool,
    ) -> Result<Hold, ForwardError> {
        if !fresh && let Some(connection) = self.at_hand().await {
            return Ok(self.hold(connection, true, place));
        }
        let dial = Dial { endpoint: &self.endpoint, settings, upgradeable: false };
        let alone = match settings.protocol {
            Protocol::Http1 => true,
            Protocol::Http2 => fresh,
            Protocol::Auto => fresh || self.speaks_http1.get(),
        };
        if alone {
            return Ok(self.hold(self.open(&dial).await?, false, place));
        }
        match timeout(settings.timeouts.connect, self.shared(&dial)).await {
            Ok(Ok((connection, reused))) => Ok(self.hold(connection, reused, place)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ForwardError::Timeout { endpoint: self.endpoint.url(), which: Deadline::Connect }),
        }
    }

    /// HTTP/2 carries many requests: whoever comes while connections enough for all who wait are being made waits for
    /// one of these. Whether it has carried a request before.
    async fn shared(&self, dial: &Dial<'_>) -> Result<(Held, bool), ForwardError> {
        loop {
            if let Some(stream) = self.stream() {
                return Ok((Held::Http2(stream), true));
            }
            if !self.speaks_http1.get() && self.dials.suffice(self.limits.streams) {
                self.dials.next().await;
            } else {
                let _under_way = self.dials.begin();
                return Ok((self.open(dial).await?, false));
            }
        }
    }

    async fn open(&self, dial: &Dial<'_>) -> Result<Held, ForwardError> {
        let opened = self.take(dial.open().await?);
        self.speaks_http1.set(matches!(opened, Held::Http1(_)));
        Ok(opened)
    }

    /// A connection of its own for an upgrade: never shared, never kept.
    pub(super) async fn upgradeable(self: &Rc<Self>, place: Place, settings: &Settings) -> Result<Hold, ForwardError> {
        let dial = Dial { endpoint: &self.endpoint, settings, upgradeable: true };
        let opened = dial.open().await?;
        Ok(self.hold(self.take(opened), false, place))
    }

    fn hold(self: &Rc<Self>, connection: Held, reused: bool, place: Place) -> Hold {
        Hold { connection, reused, sending: None, pool: self.clone(), _place: place }
    }

    fn take(&self, opened: Fresh) -> Held {
        let now = Instant::now();
        match opened {
            Fresh::Http1(sender) => Held::Http1(Box::new(Line { sender, opened: now })),
            Fresh::Http2(sender) => {
                let shared = Rc::new(Shared { sender, opened: now, streams: Cell::new(1) });
                self.shared.borrow_mut().push(shared.clone());
                Held::Http2(Stream(shared))
            }
        }
    }

    async fn at_hand(&self) -> Option<Held> {
        if let Some(stream) = self.stream() {
            return Some(Held::Http2(stream));
        }
        loop {
            let Idle { mut line, since } = self.idle.borrow_mut().pop()?;
            let now = Instant::now();
            let too_old = now.duration_since(since) >= self.limits.keep
                || now.duration_since(line.opened) >= self.limits.age
                || !self.endpoint.still_at(line.sender.address);
            if too_old {
                line.sender.let_go();
            } else if is_usable(&mut line).await {
                return Some(Held::Http1(Box::new(line)));
            }
        }
    }

    fn stream(&self) -> Option<Stream> {
        let mut shared = self.shared.borrow_mut();
        if shared.is_empty() {
            return None;
        }
        let now = Instant::now();
        shared.retain(|connection| {
            !connection.sender.send.is_closed()
                && now.duration_since(connection.opened) < self.limits.age
                && self.endpoint.still_at(connection.sender.address)
        });
        let free = shared.iter().find(|connection| connection.streams.get() < self.limits.streams)?;
        free.streams.set(free.streams.get() + 1);
        Some(Stream(free.clone()))
    }

    fn keep(self: Rc<Self>, line: Line, now: Instant) {
        if line.sender.send.is_closed() || now.duration_since(line.opened) >= self.limits.age {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.limits.idle {
            line.sender.let_go();
            return;
        }
        idle.push(Idle { line, since: now });
        drop(idle);
        if !self.tidying.replace(true) {
            tokio::task::spawn_local(tidy(Rc::downgrade(&self), now + self.limits.keep));
        }
    }

    /// Closes what was kept for too long. When the next one is due.
    fn close_overdue(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        let overdue = idle.iter().take_while(|kept| now.duration_since(kept.since) >= self.limits.keep).count();
        for kept in idle.drain(..overdue) {
            kept.line.sender.let_go();
        }
        idle.retain(|kept| !kept.line.sender.send.is_closed());
        idle.first().map(|oldest| oldest.since + self.limits.keep)
    }
}

/// Whether the connection is open and through with its last exchange. Its task may need a moment to notice.
async fn is_usable(line: &mut Line) -> bool {
    let send = &mut line.sender.send;
    !send.is_closed() && (send.is_ready() || matches!(timeout(SETTLING, send.ready()).await, Ok(Ok(()))))
}

/// Runs while a pool keeps connections, and ends with the last of them.
async fn tidy(pool: Weak<Pool>, mut due: Instant) {
    loop {
        sleep_until(due).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.close_overdue() {
            Some(next) => due = next,
            None => {
                pool.tidying.set(false);
                return;
            }
        }
    }
}

/// One request in the queue.
struct Queued<'a>(&'a Cell<usize>);

impl<'a> Queued<'a> {
    fn join(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
