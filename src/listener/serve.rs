//! HTTP/1.1 and HTTP/2 on a connection that is known (RFC 9112, RFC 9113): hyper with every limit set, and beside it
//! the deadlines that hyper does not know.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{self, Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::Answer;
use super::census::Present;
use super::crowd::Place;
use super::event::EventKind;
use super::fragment::{Fragments, Lookout};
use super::guests::Stay;
use super::hall::Hall;
use super::limits::Limits;
use super::pace::{Due, Leave, Pace};
use super::redirect;
use super::resident::Resident;
use super::rest::Http1;
use super::service::Service;
use super::stream::{Stream, Transport};
use super::workers::Phase;
use crate::request::{FragmentCutOff, HttpVersion};

/// The largest piece of a body in HTTP/1.1 that is read at once, in bytes, and what is kept at most for a client that does
/// not read. Each piece wakes the service, so that larger ones spare an upload some of its cost; from 128 KiB on they hold
/// megabytes more of the allocator's memory.
const PIECE: usize = 96 * 1024;

/// How a conversation ended that did not end well.
pub(super) type Failed = (EventKind, Option<Box<str>>);

/// One connection that is about to speak HTTP.
pub(super) struct Visit {
    pub(super) transport: Transport,
    pub(super) present: Present,
    pub(super) place: Place,
    pub(super) resident: Resident,
    pub(super) pace: Arc<Pace>,
    pub(super) http: HttpVersion,
    /// The port that every request is redirected to.
    pub(super) redirect: Option<u16>,
}

/// Serves every request of a connection, until either side ends it, a deadline passes, or the worker drains.
pub(super) async fn serve<S: Service>(visit: Visit, hall: &Rc<Hall<S>>) -> Result<(), Failed> {
    let Visit { mut transport, present, place, resident, pace, http, redirect } = visit;
    // Until the client speaks, all that it costs is its handshake.
    if !speaks(&mut transport, hall).await? {
        return Ok(());
    }
    let fragments = Arc::new(Fragments::default());
    let lookout = (http == HttpVersion::Http1).then(|| Lookout::new(fragments.clone()));
    let stream = Stream::new(transport, pace.clone(), lookout, present);
    let front = Rc::new(Front {
        hall: hall.clone(),
        place: Cell::new(Some(place)),
        stay: hall.guests.enter(resident.id(), pace.clone()),
        resident,
        pace,
        fragments,
        retired: Cell::new(false),
        http,
    });
    match (redirect, http) {
        (Some(port), _) => {
            let service = front.clone();
            let service =
                service_fn(move |request| future::ready(Ok::<_, Infallible>(service.redirect(request, port))));
            let connection = Box::pin(http1_builder(&hall.limits()).serve_connection(TokioIo::new(stream), service));
            let manner = Manner { close: http1::Connection::graceful_shutdown, rest: None };
            Conversation::new(connection, manner, front).hold().await
        }
        (None, HttpVersion::Http1) => {
            let service = front.clone();
            let service = service_fn(move |request| service.clone().answer(request));
            let connection = Box::pin(Http1::serve(http1_builder(&hall.limits()), stream, service));
            let manner = Manner { close: Http1::close, rest: Some(Http1::rest) };
            Conversation::new(connection, manner, front).hold().await
        }
        (None, HttpVersion::Http2) => {
            let service = front.clone();
            let service = service_fn(move |request| service.clone().answer(request));
            let connection = Box::pin(http2_builder(&hall.limits()).serve_connection(TokioIo::new(stream), service));
            let manner = Manner { close: http2::Connection::graceful_shutdown, rest: None };
            Conversation::new(connection, manner, front).hold().await
        }
    }
}

/// One connection as its requests see it.
struct Front<S> {
    hall: Rc<Hall<S>>,
    /// Given up at the first request.
    place: Cell<Option<Place>>,
    stay: Stay,
    resident: Resident,
    pace: Arc<Pace>,
    fragments: Arc<Fragments>,
    /// It says `Connection: close` in its next answer.
    retired: Cell<bool>,
    http: HttpVersion,
}

impl<S: Service> Front<S> {
    fn answer(
        self: Rc<Self>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer<S::Body>>, Infallible>> + 'static {
        drop(self.place.take());
        let exchange = self.pace.begin();
        self.pace.has_body(!request.body().is_end_stream());
        self.tell_of_fragment(&mut request);
        if self.http == HttpVersion::Http2 && request.method() == Method::CONNECT {
            // A tunnel takes along what came with its request: the connection is not idle while one is open.
            request.extensions_mut().insert(exchange.clone());
        }
        let answer = self.hall.service.answer(request, self.resident.connection());
        async move {
            let mut response = self.say_close(answer.await);
            if let Some(hsts) = self.resident.hsts() {
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts);
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                self.pace.becomes_tunnel();
            }
            Ok(response.map(|body| Answer::new(body, exchange)))
        }
    }

    fn redirect(&self, mut request: Request<Incoming>, port: u16) -> Response<Answer<Full<Bytes>>> {
        drop(self.place.take());
        let exchange = self.pace.begin();
        self.tell_of_fragment(&mut request);
        self.hall.report_request(&self.resident.connection(), EventKind::Redirected);
        let response = self.say_close(redirect::answer(&request, port));
        response.map(|body| Answer::new(body, exchange))
    }

    /// A request that lost a fragment is the last one here: what else the client sends cannot be told from it.
    fn tell_of_fragment<B>(&self, request: &mut Request<B>) {
        if self.fragments.cut_off(request) {
            request.extensions_mut().insert(FragmentCutOff);
            self.retired.set(true);
        }
    }

    /// HTTP/1.1 ends a connection in an answer, so that no request on its way is lost; HTTP/2 has GOAWAY.
    fn say_close<B>(&self, mut response: Response<B>) -> Response<B> {
        if self.http == HttpVersion::Http1 && self.retired.get() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Waits for the client's first byte. `false` when it left, or the worker cuts what is left.
async fn speaks<S>(transport: &mut Transport, hall: &Hall<S>) -> Result<bool, Failed> {
    let mut phase = hall.phase.clone();
    tokio::select! {
        spoke = transport.speaks() => Ok(spoke),
        () = sleep_until(Instant::now() + hall.limits().head) => Err((EventKind::HeadTimeout, None)),
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => Ok(false),
    }
}

/// What can be done to a connection besides serving it.
struct Manner<C> {
    /// Ends it after what is open.
    close: fn(Pin<&mut C>),
    /// Lets it rest between two requests.
    rest: Option<fn(Pin<&mut C>)>,
}

/// A connection that hyper serves.
struct Conversation<C, S> {
    connection: Pin<Box<C>>,
    manner: Manner<C>,
    /// When it was told to close while it was idle.
    told: Option<Instant>,
    front: Rc<Front<S>>,
}

enum Woken {
    Ended(hyper::Result<()>),
    Due(Due),
    Phase(Phase),
}

impl<C: Future<Output = hyper::Result<()>>, S> Conversation<C, S> {
    fn new(connection: Pin<Box<C>>, manner: Manner<C>, front: Rc<Front<S>>) -> Self {
        Self { connection, manner, told: None, front }
    }

    /// Drives it beside its deadlines, to its end.
    async fn hold(mut self) -> Result<(), Failed> {
        let front = self.front.clone();
        let mut phase = front.hall.phase.clone();
        let mut alarm = pin!(sleep_until(Instant::now() + front.hall.limits().idle));
        loop {
            let retired = front.retired.get();
            let turns = phase.wait_for(|phase| *phase == Phase::Cut || (*phase == Phase::Draining && !retired));
            let (mut turns, mut waits) = (pin!(turns), false);
            let woken = poll_fn(|context| {
                if let Poll::Ready(woken) = self.poll(context, alarm.as_mut()) {
                    return Poll::Ready(woken);
                }
                // It has to be asked once to wake this task, and then when there is something to tell.
                if waits && !front.hall.phase.has_changed().unwrap_or(true) {
                    return Poll::Pending;
                }
                waits = true;
                turns.as_mut().poll(context).map(|phase| Woken::Phase(phase.map_or(Phase::Cut, |phase| *phase)))
            });
            match woken.await {
                Woken::Phase(Phase::Cut) => return self.cut(),
                Woken::Ended(Err(error)) => return failure(&error).map_or_else(|| self.ended(), Err),
                Woken::Ended(Ok(())) | Woken::Due(Due::End) => return self.ended(),
                Woken::Due(Due::Cut(kind)) => return Err((kind, None)),
                Woken::Due(Due::Rest) => self.rest(),
                Woken::Due(Due::Close) => {
                    self.told = Some(Instant::now());
                    self.close();
                }
                Woken::Due(Due::Retire) | Woken::Phase(Phase::Draining | Phase::Serving) => {
                    front.retired.set(true);
                    if front.http == HttpVersion::Http2 {
                        self.close();
                    }
                }
                Woken::Due(Due::Nothing(_)) => {}
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<Woken> {
        self.front.stay.is_held_by(context);
        let now = Instant::now();
        if let Poll::Ready(result) = self.front.pace.turn(now, || self.connection.as_mut().poll(context)) {
            return Poll::Ready(Woken::Ended(result));
        }
        loop {
            let leave = Leave { retired: self.front.retired.get(), told: self.told };
            let next = match self.front.pace.due(now, &self.front.hall.limits(), leave) {
                Due::Nothing(next) => next,
                due => return Poll::Ready(Woken::Due(due)),
            };
            // An alarm that rings too early costs a look; moving it at every poll would cost more.
            if next < alarm.deadline() {
                alarm.as_mut().reset(next);
            }
            ready!(alarm.as_mut().poll(context));
            alarm.as_mut().reset(next);
        }
    }

    fn close(&mut self) {
        (self.manner.close)(self.connection.as_mut());
    }

    fn rest(&mut self) {
        self.front.pace.is_at_rest();
        if let Some(rest) = self.manner.rest {
            rest(self.connection.as_mut());
        }
    }

    fn ended(&self) -> Result<(), Failed> {
        if self.front.pace.was_dismissed() { Err((EventKind::Shed, None)) } else { Ok(()) }
    }

    fn cut(&self) -> Result<(), Failed> {
        if !self.front.pace.is_busy() {
            return Ok(());
        }
        self.front.hall.count_cut();
        Err((EventKind::Cut, None))
    }
}

/// What an error tells the operator; `None` when a client merely went away, which its requests tell.
fn failure(error: &hyper::Error) -> Option<Failed> {
    let source = std::error::Error::source(error);
    let is_io = source.is_some_and(|source| source.is::<std::io::Error>());
    let gone = is_io || error.is_incomplete_message() || error.is_closed() || error.is_canceled() || error.is_timeout();
    if gone && !error.is_parse() {
        return None;
    }
    let detail = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    Some((EventKind::Framing, Some(detail.into())))
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_buf_size(PIECE.max(limits.head_bytes))
        .max_header_size(limits.head_bytes)
        .half_close(false);
    // Any other number moves the table of fields to the heap.
    if limits.header_fields != 100 {
        builder.max_headers(limits.header_fields);
    }
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<OnThisThread> {
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(64 * 1024)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .enable_connect_protocol();
    builder
}

/// Runs the streams of an HTTP/2 connection on the worker's own thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
