//! How fast a connection goes: what it is waiting for, since when, and when that is too long.
//!
//! hyper has one timer, for the head of an HTTP/1.1 request. The others are here, for both versions: silence before
//! the first request, half a head, idleness between requests, and a client that takes no more of an answer.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::event::EventKind;
use super::limits::Limits;
use crate::request::HttpVersion;

/// The pace of one connection. `Send`, since an upgraded connection takes its stream along; used by one thread at a time.
pub(super) struct Pace {
    http: HttpVersion,
    start: Instant,
    /// How old it may become, whatever the limits.
    longest: Duration,
    /// It is closed after what is open, whatever its age.
    spent: AtomicBool,
    /// It makes room for others as soon as nothing is open.
    dismissed: AtomicBool,
    /// It speaks HTTP no more.
    tunnel: AtomicBool,
    /// The last request had no body: once it is answered, nothing of it is left to come.
    bodiless: AtomicBool,
    /// It rests, since the last request.
    rests: AtomicBool,
    /// Our side of it has ended.
    shut: AtomicBool,
    /// Requests whose answer is not complete.
    open: AtomicU32,
    /// When the connection fell silent, or its head began; milliseconds since `start`.
    since: AtomicU64,
    /// One of [`HEAD`] and [`IDLE`], while no request is open.
    waiting: AtomicU32,
    /// When a write first had to wait; milliseconds since `start`, plus one; 0 while none waits.
    blocked: AtomicU64,
    /// Answers that have more to give than the client's window takes.
    held: AtomicU32,
    /// When an answer last gave something; milliseconds since `start`.
    gave: AtomicU64,
    /// When the turn began that its task has now; milliseconds since `start`, plus one; 0 between two turns.
    turn: AtomicU64,
}

/// A head is due: after the handshake, or since its first byte.
const HEAD: u32 = 0;
/// Between two requests.
const IDLE: u32 = 1;

/// How long a connection that was told to close may take: in HTTP/2 its client has to answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a connection is idle before it rests.
const REST: Duration = Duration::from_secs(1);

/// How far a connection is on its way out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leave {
    /// It is closed after what is open.
    pub(super) retired: bool,
    /// When it was told to close while it was idle.
    pub(super) told: Option<Instant>,
}

/// What the clock says about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing; ask again then.
    Nothing(Instant),
    /// It is idle: what is kept for it is given back.
    Rest,
    /// It was idle for too long: it is closed now.
    Close,
    /// It is old, or what it rests on is gone: it is closed after what is open and, in HTTP/1.1, after the next answer,
    /// so that no request on its way is lost.
    Retire,
    /// It was told to close and has had its time.
    End,
    /// It was too slow, or has to make room.
    Cut(EventKind),
}

/// A request whose answer is not complete, or a tunnel that is open.
pub(super) struct Exchange(std::sync::Arc<Pace>);

impl Pace {
    /// A connection that may grow no older than `longest`, whatever the limits.
    pub(super) fn new(http: HttpVersion, longest: Duration) -> Self {
        Self {
            http,
            start: Instant::now(),
            longest,
            spent: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            bodiless: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            open: AtomicU32::new(0),
            since: AtomicU64::new(0),
            waiting: AtomicU32::new(HEAD),
            blocked: AtomicU64::new(0),
            held: AtomicU32::new(0),
            gave: AtomicU64::new(0),
            turn: AtomicU64::new(0),
        }
    }

    /// Its task has a turn, which begins `now`: one look at the clock is enough for all that happens in it.
    pub(super) fn turn<T>(&self, now: Instant, work: impl FnOnce() -> T) -> T {
        self.turn.store(milliseconds(now.duration_since(self.start)) + 1, Ordering::Relaxed);
        let done = work();
        self.turn.store(0, Ordering::Relaxed);
        done
    }

    /// A request has been read.
    pub(super) fn begin(self: &std::sync::Arc<Self>) -> Exchange {
        self.count_open(1);
        self.rests.store(false, Ordering::Relaxed);
        Exchange(self.clone())
    }

    /// What the connection rests on no longer holds: its client has to come back with a new one.
    pub(super) fn is_spent(&self) {
        self.spent.store(true, Ordering::Relaxed);
    }

    /// Others need its place.
    pub(super) fn is_dismissed(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
    }

    /// Whether others needed its place.
    pub(super) fn was_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Relaxed)
    }

    /// An upgrade was granted (HTTP/1.1): from here on its two directions end each for itself.
    pub(super) fn becomes_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    /// Whether it speaks HTTP no more.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// Whether its place can be had, and in which order: first who is idle, then who has sent half a head, in the order
    /// of their time. `None` while a request is open, and for one that goes already.
    pub(super) fn spare(&self) -> Option<(bool, Instant)> {
        if self.is_busy() || self.was_dismissed() {
            return None;
        }
        Some((self.waiting.load(Ordering::Relaxed) == HEAD, self.at(self.since.load(Ordering::Relaxed))))
    }

    /// Bytes came in.
    pub(super) fn heard(&self) {
        // In HTTP/2 bytes need not be a head: pings must not keep an idle connection, nor shorten its time.
        let is_head = self.http == HttpVersion::Http1
            && self.open.load(Ordering::Relaxed) == 0
            && self.waiting.load(Ordering::Relaxed) == IDLE;
        if is_head {
            self.waiting.store(HEAD, Ordering::Relaxed);
            self.since.store(self.elapsed(), Ordering::Relaxed);
        }
    }

    /// A write had to wait, or went through.
    pub(super) fn wrote(&self, went_through: bool) {
        if went_through {
            self.blocked.store(0, Ordering::Relaxed);
        } else if self.blocked.load(Ordering::Relaxed) == 0 {
            self.blocked.store(self.elapsed() + 1, Ordering::Relaxed);
        }
    }

    /// An answer gave something, and holds the rest until it is asked again.
    pub(super) fn holds(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.gave.store(self.elapsed(), Ordering::Relaxed);
    }

    /// An answer that held its rest was asked for it, or ended.
    pub(super) fn no_longer_holds(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// One thread at a time counts, so nobody else stores between the two.
    fn count_open(&self, by: i32) {
        self.open.store(self.open.load(Ordering::Relaxed).saturating_add_signed(by), Ordering::Relaxed);
    }

    /// Whether it speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.http == HttpVersion::Http2
    }

    /// Whether the request that has been read is followed by a body.
    pub(super) fn has_body(&self, has: bool) {
        self.bodiless.store(!has, Ordering::Relaxed);
    }

    /// It rests, until it is asked again.
    pub(super) fn is_at_rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// Our side has ended: whatever the client says now, nothing is asked here any more.
    pub(super) fn is_shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// When an idle connection may rest: nothing of the last request is to come, nor of its answer to go, and it goes on.
    fn rests_at(&self) -> Option<Instant> {
        let idle = self.http == HttpVersion::Http1 && !self.is_busy() && self.waiting.load(Ordering::Relaxed) == IDLE;
        let done = self.bodiless.load(Ordering::Relaxed) && self.blocked.load(Ordering::Relaxed) == 0;
        let over = self.rests.load(Ordering::Relaxed) || self.shut.load(Ordering::Relaxed);
        (idle && done && !over).then(|| self.at(self.since.load(Ordering::Relaxed)) + REST)
    }

    /// Whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// What is due now; a connection retires only once, and is told to close only once.
    pub(super) fn due(&self, now: Instant, limits: &Limits, leave: Leave) -> Due {
        let blocked = self.blocked.load(Ordering::Relaxed);
        let blocked_at = (blocked > 0).then(|| self.at(blocked - 1) + limits.stall);
        let held = self.held.load(Ordering::Relaxed) > 0;
        let held_at = held.then(|| self.at(self.gave.load(Ordering::Relaxed)) + limits.stall);
        let stalls_at = blocked_at.into_iter().chain(held_at).min();
        if stalls_at.is_some_and(|at| at <= now) {
            return Due::Cut(EventKind::Stalled);
        }
        let since = self.at(self.since.load(Ordering::Relaxed));
        let waiting = self.waiting.load(Ordering::Relaxed);
        let dismissed = self.was_dismissed();
        let (ends, due) = match (self.open.load(Ordering::Relaxed), waiting, leave.told) {
            (0, HEAD, _) if dismissed => (now, Due::Cut(EventKind::Shed)),
            (0, HEAD, _) => (since + limits.head, Due::Cut(EventKind::HeadTimeout)),
            (0, _, Some(told)) => (since.max(told) + FAREWELL, Due::End),
            (0, _, None) if dismissed => (now, Due::Close),
            (0, _, None) => (since + limits.idle, Due::Close),
            // Nothing is due from the client; look again later.
            _ => (now + limits.idle, Due::Nothing(now)),
        };
        let oldest = self.start + limits.age.min(self.longest);
        let is_old = oldest <= now || dismissed || self.spent.load(Ordering::Relaxed);
        let rests_at = if leave.told.is_some() { None } else { self.rests_at() };
        if ends <= now {
            due
        } else if is_old && !leave.retired {
            Due::Retire
        } else if rests_at.is_some_and(|at| at <= now) {
            Due::Rest
        } else {
            let next = if leave.retired { ends } else { ends.min(oldest) };
            Due::Nothing(stalls_at.into_iter().chain(rests_at).fold(next, Instant::min))
        }
    }

    fn elapsed(&self) -> u64 {
        match self.turn.load(Ordering::Relaxed) {
            0 => milliseconds(self.start.elapsed()),
            turn => turn - 1,
        }
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.start + Duration::from_millis(milliseconds)
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX - 1)
}

impl Exchange {
    /// The pace of its connection.
    pub(super) fn pace(&self) -> &Pace {
        &self.0
    }
}

impl Clone for Exchange {
    fn clone(&self) -> Self {
        self.0.begin()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let pace = &self.0;
        pace.waiting.store(IDLE, Ordering::Relaxed);
        pace.since.store(pace.elapsed(), Ordering::Relaxed);
        pace.count_open(-1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::{Due, FAREWELL, Leave, Pace};
    use crate::listener::{EventKind, Limits};
    use crate::request::HttpVersion;

    fn due(pace: &Pace) -> Due {
        pace.due(Instant::now(), &Limits::default(), Leave::default())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_before_the_first_head_is_shorter_than_between_requests() {
        for http in [HttpVersion::Http1, HttpVersion::Http2] {
            let pace = Arc::new(Pace::new(http, 3600 * SECOND));
            advance(9 * SECOND).await;
            assert!(matches!(due(&pace), Due::Nothing(_)));
            drop(pace.begin());
            advance(74 * SECOND).await;
            assert!(matches!(due(&pace), Due::Nothing(_)));
            advance(SECOND).await;
            assert_eq!(due(&pace), Due::Close);
        }
        let pace = Pace::new(HttpVersion::Http2, 3600 * SECOND);
        pace.heard();
        advance(10 * SECOND).await;
        assert_eq!(due(&pace), Due::Cut(EventKind::HeadTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_however_often_it_drips() {
        let pace = Arc::new(Pace::new(HttpVersion::Http1, 3600 * SECOND));
        drop(pace.begin());
        advance(60 * SECOND).await;
        for _ in 0..10 {
            pace.heard();
            assert!(matches!(due(&pace), Due::Nothing(_)));
            advance(SECOND).await;
        }
        assert_eq!(due(&pace), Due::Cut(EventKind::HeadTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_do_not_keep_an_idle_connection() {
        let pace = Arc::new(Pace::new(HttpVersion::Http2, 3600 * SECOND));
        drop(pace.begin());
        for _ in 0..75 {
            pace.heard();
            advance(SECOND).await;
        }
        assert_eq!(due(&pace), Due::Close);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_may_wait_but_a_client_that_takes_nothing_may_not() {
        let pace = Arc::new(Pace::new(HttpVersion::Http1, 3600 * SECOND));
        let exchange = pace.begin();
        advance(600 * SECOND).await;
        assert!(matches!(due(&pace), Due::Nothing(_)));
        pace.wrote(false);
        advance(30 * SECOND).await;
        pace.wrote(true);
        advance(30 * SECOND).await;
        assert!(matches!(due(&pace), Due::Nothing(_)));
        pace.wrote(false);
        advance(60 * SECOND).await;
        assert_eq!(due(&pace), Due::Cut(EventKind::Stalled));
        drop(exchange);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_its_window_shut_is_cut_as_well() {
        let pace = Arc::new(Pace::new(HttpVersion::Http2, 3600 * SECOND));
        let _open = pace.begin();
        pace.holds();
        advance(59 * SECOND).await;
        pace.no_longer_holds();
        pace.holds();
        advance(59 * SECOND).await;
        pace.heard();
        assert!(matches!(due(&pace), Due::Nothing(_)));
        advance(SECOND).await;
        assert_eq!(due(&pace), Due::Cut(EventKind::Stalled));
        pace.no_longer_holds();
        assert!(matches!(due(&pace), Due::Nothing(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_is_closed_after_what_is_open() {
        let pace = Arc::new(Pace::new(HttpVersion::Http2, 3600 * SECOND));
        let _open = pace.begin();
        advance(3600 * SECOND).await;
        assert_eq!(due(&pace), Due::Retire);
        let retired = Leave { retired: true, told: None };
        assert!(matches!(pace.due(Instant::now(), &Limits::default(), retired), Due::Nothing(_)));
        let pace = Arc::new(Pace::new(HttpVersion::Http2, 3600 * SECOND));
        let _open = pace.begin();
        pace.is_spent();
        assert_eq!(due(&pace), Due::Retire);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_told_to_close_has_a_moment_and_no_more() {
        let pace = Arc::new(Pace::new(HttpVersion::Http2, 3600 * SECOND));
        drop(pace.begin());
        advance(75 * SECOND).await;
        assert_eq!(due(&pace), Due::Close);
        let leave = Leave { retired: false, told: Some(Instant::now()) };
        let due = |pace: &Pace| pace.due(Instant::now(), &Limits::default(), leave);
        assert_eq!(due(&pace), Due::Nothing(Instant::now() + FAREWELL));
        // A request that was on its way is answered, and the moment begins again.
        let late = pace.begin();
        advance(10 * SECOND).await;
        assert!(matches!(due(&pace), Due::Nothing(_)));
        drop(late);
        assert!(matches!(due(&pace), Due::Nothing(_)));
        advance(FAREWELL).await;
        assert_eq!(due(&pace), Due::End);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_make_room_finishes_what_is_open() {
        let pace = Arc::new(Pace::new(HttpVersion::Http1, 3600 * SECOND));
        let exchange = pace.begin();
        pace.is_dismissed();
        assert_eq!(due(&pace), Due::Retire);
        drop(exchange);
        assert_eq!(due(&pace), Due::Close);
        pace.heard();
        assert_eq!(due(&pace), Due::Cut(EventKind::Shed), "half a head");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_rests_once_and_only_when_nothing_is_left_to_come_or_go() {
        let pace = Arc::new(Pace::new(HttpVersion::Http1, 3600 * SECOND));
        let ask = |has_body: bool| {
            let exchange = pace.begin();
            pace.has_body(has_body);
            exchange
        };
        let open = ask(false);
        advance(2 * SECOND).await;
        assert!(matches!(due(&pace), Due::Nothing(_)), "a request is open");
        drop(open);
        advance(SECOND).await;
        assert_eq!(due(&pace), Due::Rest);
        pace.is_at_rest();
        assert!(matches!(due(&pace), Due::Nothing(_)), "it rests already");
        drop(ask(false));
        advance(SECOND).await;
        assert_eq!(due(&pace), Due::Rest, "it was asked since");
        pace.wrote(false);
        assert!(matches!(due(&pace), Due::Nothing(_)), "an answer is not gone yet");
        pace.wrote(true);
        pace.heard();
        assert!(matches!(due(&pace), Due::Nothing(_)), "a head has begun");
        drop(ask(true));
        advance(SECOND).await;
        assert!(matches!(due(&pace), Due::Nothing(_)), "some of the body may still come");
        drop(ask(false));
        pace.is_shut();
        advance(2 * SECOND).await;
        assert!(matches!(due(&pace), Due::Nothing(_)), "it has ended, and must not begin anew");
        let http2 = Arc::new(Pace::new(HttpVersion::Http2, 3600 * SECOND));
        drop(http2.begin());
        http2.has_body(false);
        advance(2 * SECOND).await;
        assert!(matches!(due(&http2), Due::Nothing(_)), "HTTP/2 keeps its state");
    }
}
