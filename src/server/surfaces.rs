//! The admin surfaces while they run: each is a socket, the place that it is bound to, and the task that accepts from it.
//! A reload moves them: the new place is had before the old one is given up, and what is being answered is answered.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::StartError;
use super::handover::{Held, Inheritance};
use crate::admin::{self, AdminSettings, Order, Overview};

/// One surface that listens; nobody is accepted any more when this is dropped.
pub(super) struct Surface<P> {
    /// Where the configuration puts it.
    pub(super) place: P,
    /// A copy of its socket, to be handed over.
    pub(super) socket: OwnedFd,
    serving: Option<AbortHandle>,
}

/// Surfaces that are bound and not served yet.
#[derive(Default)]
pub(super) struct Bound {
    probes: Option<Place<SocketAddr, TcpListener>>,
    control: Option<Place<PathBuf, UnixListener>>,
}

/// A place, and a socket that is bound to it.
struct Place<P, L> {
    place: P,
    copy: OwnedFd,
    listener: L,
}

impl<P: Clone> Surface<P> {
    /// The same, to be handed over.
    pub(super) fn copy(&self) -> io::Result<Self> {
        Ok(Self { place: self.place.clone(), socket: self.socket.try_clone()?, serving: None })
    }
}

impl<P> Drop for Surface<P> {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

impl Bound {
    /// Binds what the settings name: what another process handed over for that place is used before all.
    pub(super) fn at_start(settings: &AdminSettings, inheritance: &mut Inheritance) -> Result<Self, StartError> {
        let probes = inheritance.probes.take().filter(|(known, _)| Some(*known) == settings.probes);
        let control = inheritance.control.take().filter(|(known, _)| Some(known) == settings.control.as_ref());
        let probes_on = |address| bind_probes(address, probes.map(|(_, socket)| socket));
        let control_on = |path| bind_control(path, control.map(|(_, socket)| socket));
        Ok(Self {
            probes: settings.probes.map(probes_on).transpose()?,
            control: settings.control.clone().map(control_on).transpose()?,
        })
    }

    /// Binds what is to be elsewhere than it is.
    pub(super) fn for_reload(before: &AdminSettings, settings: &AdminSettings) -> Result<Self, StartError> {
        let probes = settings.probes.filter(|_| settings.probes != before.probes);
        let control = settings.control.clone().filter(|_| settings.control != before.control);
        Ok(Self {
            probes: probes.map(|address| bind_probes(address, None)).transpose()?,
            control: control.map(|path| bind_control(path, None)).transpose()?,
        })
    }

    /// The configuration that wanted them does not come into force.
    pub(super) fn discard(self) {
        if let Some(control) = self.control {
            let _ = std::fs::remove_file(control.place);
        }
    }

    /// Serves them from here on; what the settings no longer name is given up.
    pub(super) fn serve(
        self,
        settings: &AdminSettings,
        held: &mut Held,
        overview: &Arc<Overview>,
        orders: &mpsc::Sender<Order>,
    ) {
        if let Some(Place { place, copy, listener }) = self.probes {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "probes");
            }
            let serving = tokio::spawn(admin::serve_probes(listener, overview.clone())).abort_handle();
            held.probes = Some(Surface { place, socket: copy, serving: Some(serving) });
        }
        if let Some(Place { place, copy, listener }) = self.control {
            let serving = admin::serve_control(listener, overview.clone(), orders.clone());
            let serving = tokio::spawn(serving).abort_handle();
            close(held.control.replace(Surface { place, socket: copy, serving: Some(serving) }));
        }
        if settings.probes.is_none() {
            held.probes = None;
        }
        if settings.control.is_none() {
            close(held.control.take());
        }
    }
}

/// Gives up a control socket, and its file with it.
pub(super) fn close(control: Option<Surface<PathBuf>>) {
    if let Some(surface) = control {
        let _ = std::fs::remove_file(&surface.place);
    }
}

fn bind_probes(
    address: SocketAddr,
    inherited: Option<std::net::TcpListener>,
) -> Result<Place<SocketAddr, TcpListener>, StartError> {
    let bind = || {
        let socket = inherited.map_or_else(|| std::net::TcpListener::bind(address), Ok)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket)?;
        Ok(Place { place: address, copy: listener.as_fd().try_clone_to_owned()?, listener })
    };
    bind().map_err(|error| StartError::Admin { surface: "probes", place: address.to_string(), error })
}

fn bind_control(
    path: PathBuf,
    inherited: Option<std::os::unix::net::UnixListener>,
) -> Result<Place<PathBuf, UnixListener>, StartError> {
    let bind = || {
        let listener = inherited.map_or_else(|| admin::bind_control(&path), UnixListener::from_std)?;
        Ok((listener.as_fd().try_clone_to_owned()?, listener))
    };
    match bind() {
        Ok((copy, listener)) => Ok(Place { place: path, copy, listener }),
        Err(error) => Err(StartError::Admin { surface: "control socket", place: path.display().to_string(), error }),
    }
}
