//! A worker's accept loops. They never wait for a client: a connection is a task of its own from its first byte.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::census::{Census, Present};
use super::entrance::{Entrance, OpenDoor};
use super::event::{ConnectionEvent, EventKind, Observer};
use super::greeting::{Failed, canonical, greet};
use super::limits::Limits;
use super::serve::serve;
use super::stream::{Stream, Transport};
use super::workers::Phase;
use crate::identity::PeerCertificate;
use crate::request::{Connection, ConnectionId, HttpVersion};

/// How long a worker waits when the system has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// What all accept loops share.
#[derive(Clone)]
pub(super) struct Reception {
    limits: Arc<Limits>,
    /// Connections that one worker may have open.
    share: usize,
    observer: Observer,
    next: Arc<AtomicU64>,
}

/// One listener's socket of one worker.
pub(super) struct Doorway {
    pub(super) entrance: Arc<Entrance>,
    pub(super) socket: TcpListener,
}

impl Reception {
    pub(super) fn new(limits: Limits, workers: usize, observer: Observer) -> Self {
        let share = limits.connections.div_ceil(workers).max(1);
        Self { limits: Arc::new(limits), share, observer, next: Arc::new(AtomicU64::new(1)) }
    }

    fn report(&self, arrived: &Arrived, kind: EventKind, detail: Option<Box<str>>) {
        (self.observer)(ConnectionEvent {
            id: arrived.id,
            client: arrived.client,
            listener: arrived.entrance.name.clone(),
            kind,
            detail,
        });
    }
}

/// A connection that was accepted and of which nothing else is known.
struct Arrived {
    id: ConnectionId,
    entrance: Arc<Entrance>,
    client: SocketAddr,
    local: SocketAddr,
}

/// Runs every accept loop of a worker and all of its connections, until it is drained or cut.
pub(super) async fn accept<S, F, B>(
    doors: Vec<Doorway>,
    service: Rc<S>,
    reception: &Reception,
    mut phase: watch::Receiver<Phase>,
) where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let census = Census::default();
    let loops = doors.into_iter().map(|door| {
        let accepting = accept_at(door, service.clone(), reception.clone(), census.clone(), phase.clone());
        tokio::task::spawn_local(accepting)
    });
    for accepting in loops.collect::<Vec<_>>() {
        if let Err(error) = accepting.await {
            tracing::error!(%error, "an accept loop ended");
        }
    }
    tokio::select! {
        () = census.empty() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
    }
}

async fn accept_at<S, F, B>(
    door: Doorway,
    service: Rc<S>,
    reception: Reception,
    census: Census,
    mut phase: watch::Receiver<Phase>,
) where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Doorway { entrance, socket } = door;
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, listener = %entrance.name, "a socket cannot be used");
            return;
        }
    };
    let watching = phase.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_exhausted(&error) {
                    tracing::warn!(%error, listener = %entrance.name, "no room for another connection");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
                continue;
            }
        };
        let arrived = Arrived {
            id: ConnectionId(reception.next.fetch_add(1, Ordering::Relaxed)),
            entrance: entrance.clone(),
            client: canonical(client),
            local: socket.local_addr().map_or(client, canonical),
        };
        if census.open() >= reception.share {
            reception.report(&arrived, EventKind::Shed, None);
            continue;
        }
        let present = census.enter();
        tokio::task::spawn_local(attend(
            socket,
            arrived,
            present,
            service.clone(),
            reception.clone(),
            watching.clone(),
        ));
    }
}

/// Whether the error speaks of the system and not of one connection.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code))
}

/// One connection from its accept to its end.
async fn attend<S, F, B>(
    socket: TcpStream,
    arrived: Arrived,
    present: Present,
    service: Rc<S>,
    reception: Reception,
    phase: watch::Receiver<Phase>,
) where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let deadline = Instant::now() + reception.limits.handshake;
    let welcomed = match tokio::time::timeout_at(deadline, welcome(socket, &arrived)).await {
        Ok(welcomed) => welcomed,
        Err(_) => Err(Some((EventKind::HandshakeTimeout, None))),
    };
    let (transport, connection) = match welcomed {
        Ok(welcomed) => welcomed,
        Err(None) => return,
        Err(Some((kind, detail))) => return reception.report(&arrived, kind, detail),
    };
    let stream = Stream::new(transport, present);
    if let Err(error) = serve(stream, Arc::new(connection), service, &reception.limits, phase).await {
        let kind = if error.is_timeout() { EventKind::HeadTimeout } else { EventKind::Framing };
        reception.report(&arrived, kind, Some(error.to_string().into()));
    }
}

async fn welcome(socket: TcpStream, arrived: &Arrived) -> Result<(Transport, Connection), Failed> {
    // Answers are small and complete: waiting for more of them only adds latency.
    let _ = socket.set_nodelay(true);
    let opening = arrived.entrance.opening();
    let opening = std::sync::Arc::clone(&opening);
    let connection = |tls, peer, http| Connection {
        id: arrived.id,
        listener: arrived.entrance.name.clone(),
        client: arrived.client,
        local: arrived.local,
        tls,
        peer,
        http,
    };
    if opening.expects_proxy_header(arrived.client.ip()) {
        return Err(Some((EventKind::ProxyHeader, None)));
    }
    match &opening.door {
        OpenDoor::Redirect { .. } => Err(None),
        OpenDoor::Tls(tls) => {
            let greeted = greet(socket, tls).await?;
            let connection = connection(Some(greeted.tls), greeted.peer, greeted.http);
            Ok((Transport::Tls(Box::new(greeted.stream)), connection))
        }
        OpenDoor::Plain => {
            Ok((Transport::Plain(socket), connection(None, PeerCertificate::Absent, HttpVersion::Http1)))
        }
    }
}
