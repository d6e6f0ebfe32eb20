//! A worker's accept loops. They never wait for a client: a connection is a task of its own from its first byte.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpStream;

use super::attend::attend;
use super::entrance::Entrance;
use super::event::EventKind;
use super::greeting::canonical;
use super::hall::{Arrived, Hall};
use super::service::Service;
use super::sockets::BACKLOG;
use super::workers::Phase;

/// How long an accept loop waits when the system has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);

/// One listener's socket of one worker.
pub(super) struct Doorway {
    pub(super) entrance: Arc<Entrance>,
    pub(super) socket: TcpListener,
}

/// Accepts at one door until the worker drains or the listener closes.
pub(super) async fn accept<S: Service>(door: Doorway, hall: Rc<Hall<S>>) {
    let Doorway { entrance, socket } = door;
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, listener = %entrance.name, "a socket cannot be used");
            return;
        }
    };
    let mut phase = hall.phase.clone();
    let mut closing = entrance.closing();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            _ = closing.wait_for(|closed| *closed) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, client)) => receive(socket, client, &entrance, &hall),
            Err(error) if is_exhausted(&error) => {
                // Those who ask nothing make room; the kernel keeps the others until there is some.
                let made = hall.make_room();
                tracing::warn!(%error, listener = %entrance.name, made, "no room for another connection");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            Err(_) => {}
        }
    }
    // Who waits in the queue already would be reset when the socket closes.
    for _ in 0..BACKLOG {
        let Some(Ok((socket, client))) = listener.accept().now_or_never() else { return };
        receive(socket, client, &entrance, &hall);
    }
}

/// Makes room where a limit is reached, and gives the connection a task of its own.
fn receive<S: Service>(socket: TcpStream, client: SocketAddr, entrance: &Arc<Entrance>, hall: &Rc<Hall<S>>) {
    let arrived = Arrived {
        id: hall.next_id(),
        entrance: entrance.clone(),
        client: Cell::new(canonical(client)),
        local: Cell::new(socket.local_addr().map_or(client, canonical)),
    };
    if hall.census.open() >= hall.share() && !hall.make_room() {
        return hall.report(&arrived, EventKind::Shed, None);
    }
    let source = canonical(client).ip();
    let stated = entrance.opening().expects_proxy_header(source);
    let place = hall.crowd.enter(arrived.id, (!stated).then_some(source));
    if !stated {
        hall.crowd.evict_excess(source, hall.handshakes());
    }
    let (id, present) = (arrived.id, hall.census.enter());
    let task = tokio::task::spawn_local(attend(socket, arrived, place, present, hall.clone()));
    hall.crowd.attach(id, task.abort_handle());
}

/// Whether the error speaks of the system and not of one connection.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code))
}
