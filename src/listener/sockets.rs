//! The listening sockets: claimed before anything else runs, one for each worker and listener.
//!
//! The first socket of an address is bound without `SO_REUSEPORT`, so that a port which another process holds, even
//! another Portcullis, is an error and never a silent share of its traffic.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::Settings;
use super::accept::Doorway;
use super::entrance::Entrance;
use crate::identity::Name;

/// Connections that the kernel keeps for us while we are busy; it caps this at `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 4096;

/// The sockets of every listener.
#[derive(Debug)]
pub struct Sockets {
    pub(super) listeners: Vec<Bound>,
}

/// The sockets of one listener, at least one.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: Name,
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<TcpListener>,
}

/// A socket that another process handed over, or is handed.
#[derive(Debug)]
pub struct Inherited {
    /// The listener's name.
    pub listener: Name,
    /// The address that its configuration names: port 0 may have become another.
    pub address: SocketAddr,
    /// The socket, which listens.
    pub socket: TcpListener,
}

impl Inherited {
    /// Whether a listener can be served on it. The name tells only where the port was left open.
    pub(super) fn is_for(&self, settings: &Settings) -> bool {
        self.address == settings.address && (self.address.port() != 0 || self.listener == settings.name)
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// When there is no file descriptor left.
    pub fn copy(&self) -> io::Result<Self> {
        Ok(Self { listener: self.listener.clone(), address: self.address, socket: self.socket.try_clone()? })
    }
}

impl Sockets {
    /// Claims the address of every listener, one socket a worker. Sockets that systemd hands over for the same address
    /// are used instead of new ones.
    ///
    /// # Errors
    /// Every address that could not be had, with its listener.
    pub fn bind(listeners: &[Settings], workers: usize) -> Result<Self, Vec<BindError>> {
        Self::take_over(Vec::new(), listeners, workers)
    }

    /// As [`Sockets::bind`], but what `inherited` has for a listener's address is used before all.
    ///
    /// # Errors
    /// Every address that could not be had, with its listener.
    pub fn take_over(
        mut inherited: Vec<Inherited>,
        listeners: &[Settings],
        workers: usize,
    ) -> Result<Self, Vec<BindError>> {
        let mut handed_over = activated();
        let mut bound = Vec::new();
        let mut errors = Vec::new();
        for settings in listeners {
            let own: Vec<_> = inherited.extract_if(.., |it| it.is_for(settings)).map(|it| it.socket).collect();
            let activated = handed_over.iter().position(|socket| socket.local_addr().ok() == Some(settings.address));
            let sockets = match activated.map(|index| handed_over.swap_remove(index)) {
                _ if !own.is_empty() => Ok(own),
                Some(socket) => ready(socket).map(|socket| vec![socket]),
                None => bind_all(settings.address, workers.max(1)),
            };
            match sockets {
                Ok(sockets) => {
                    bound.push(Bound { listener: settings.name.clone(), address: local(&sockets, settings), sockets })
                }
                Err(error) => {
                    errors.push(BindError { listener: settings.name.clone(), address: settings.address, error })
                }
            }
        }
        if errors.is_empty() { Ok(Self { listeners: bound }) } else { Err(errors) }
    }

    /// Deals the sockets to the workers: each gets one of every listener, or a share of one that others use, too.
    pub(super) fn deal(self, entrances: &[Arc<Entrance>], workers: usize) -> io::Result<Vec<Vec<Doorway>>> {
        let mut hands: Vec<Vec<Doorway>> = (0..workers).map(|_| Vec::new()).collect();
        for bound in self.listeners {
            let Some(entrance) = entrances.iter().find(|entrance| entrance.name == bound.listener) else { continue };
            let spare = bound.sockets.iter().cycle().take(workers.saturating_sub(bound.sockets.len()));
            let spare = spare.map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>()?;
            for (index, socket) in bound.sockets.into_iter().chain(spare).enumerate() {
                if let Some(hand) = hands.get_mut(index % workers) {
                    hand.push(Doorway { entrance: entrance.clone(), socket });
                }
            }
        }
        Ok(hands)
    }

    /// The same sockets once more, to be handed over later. `listeners` are those that they were bound for.
    ///
    /// # Errors
    /// When there is no file descriptor left.
    pub fn copies(&self, listeners: &[Settings]) -> io::Result<Vec<Inherited>> {
        let mut copies = Vec::new();
        for (bound, settings) in self.listeners.iter().zip(listeners) {
            for socket in &bound.sockets {
                let (listener, address) = (bound.listener.clone(), settings.address);
                copies.push(Inherited { listener, address, socket: socket.try_clone()? });
            }
        }
        Ok(copies)
    }

    /// Where a listener really listens: what port 0 became.
    pub fn address(&self, listener: &Name) -> Option<SocketAddr> {
        self.listeners.iter().find(|bound| bound.listener == *listener).map(|bound| bound.address)
    }
}

/// An address that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("listener `{listener}` cannot listen on {address}: {}", explain(.error))]
pub struct BindError {
    /// The listener's name.
    pub listener: Name,
    /// The address it wanted.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            String::from("the address is taken, by another process or by a listener of this one")
        }
        io::ErrorKind::PermissionDenied => {
            String::from("permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE or socket activation")
        }
        io::ErrorKind::AddrNotAvailable => String::from("no interface of this machine has that address"),
        _ => error.to_string(),
    }
}

fn activated() -> Vec<TcpListener> {
    let mut environment = listenfd::ListenFd::from_env();
    (0..environment.len()).filter_map(|index| environment.take_tcp_listener(index).ok().flatten()).collect()
}

/// Whoever made the socket may have left it blocking.
fn ready(socket: TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn local(sockets: &[TcpListener], settings: &Settings) -> SocketAddr {
    sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(settings.address)
}

fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = new_socket(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        let socket = new_socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
