//! Puts the rooms together: loads, binds, starts the workers, reloads, drains.
//!
//! [`start`] runs inside the control runtime: key fetches, introspection, reloads and the admin surfaces live there.
//! Requests never do; they stay on the worker threads.

mod alarm;
mod build;
mod explain;
mod files;
mod handover;
mod lists;
mod notify;
mod reload;
mod rollback;
mod watch;
mod worker;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

pub use self::handover::Inheritance;
use self::handover::{Common, Held};
use crate::admin::{self, Order, Overview, Reply};
use crate::audit::{self, AuditHandle};
use crate::authn::{ProofMemory, Revocations};
use crate::config::{self, Fault, Loaded, Wanted};
use crate::identity::Name;
use crate::listener::{self, BindError, Drained, Plan, Sockets, Workers};
use crate::telemetry::{Clock, Meters};
use crate::upstream::Caretaker;

pub use files::allow_open_files;
pub use notify::{Turn, notify};

/// A running Portcullis.
pub struct Server {
    overview: Arc<Overview>,
    orders: mpsc::Sender<Order>,
    tasks: JoinSet<()>,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<Workers>,
    drain: Duration,
    /// Copies of everything that listens, for the next process.
    held: Arc<Mutex<Held>>,
    common: Common,
    surfaces: Vec<AbortHandle>,
    upgrades: mpsc::Receiver<oneshot::Sender<Reply>>,
    succeeded: bool,
}

/// Why a server does not start. Nothing is bound or running then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has faults: all of them.
    #[error("the configuration has {} fault(s)", .0.iter().filter(|fault| !fault.warning).count())]
    Config(Vec<Fault>),
    /// Addresses that cannot be had: all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Bind(Vec<BindError>),
    /// A token source cannot be set up.
    #[error("{}", .0.join("\n"))]
    Sources(Vec<String>),
    /// The workers cannot be started.
    #[error(transparent)]
    Workers(#[from] listener::StartError),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened: {0}")]
    Audit(std::io::Error),
    /// What outlives the process cannot be had.
    #[error("the state directory {place} cannot be used: {error}")]
    State {
        /// The directory.
        place: String,
        /// What is wrong.
        error: std::io::Error,
    },
    /// An admin surface cannot be bound.
    #[error("the {surface} cannot be bound at {place}: {error}")]
    Admin {
        /// Which of the two.
        surface: &'static str,
        /// Its address or path.
        place: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The process before this one broke off.
    #[error("the process before this one cannot hand over: {0}")]
    Handover(std::io::Error),
}

/// Loads the configuration directory and serves it.
///
/// Must run inside the control runtime. Reports what is wrong before anything is bound.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start(directory: &Path) -> Result<Server, StartError> {
    start_loaded(config::load(directory, Timestamp::now(), None, Wanted::InForce).map_err(StartError::Config)?).await
}

/// Serves a configuration that was loaded before.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start_loaded(loaded: Loaded) -> Result<Server, StartError> {
    start_after(Inheritance::default(), loaded).await
}

/// Serves a configuration that was loaded before, on what another process hands over. When it serves, it says so to that
/// process, which then drains.
///
/// # Errors
/// [`StartError`]; nothing runs then, and the other process serves on.
pub async fn start_after(mut inheritance: Inheritance, loaded: Loaded) -> Result<Server, StartError> {
    // Before anything listens: a signal that nobody waits for ends the process.
    let hangup = signal(SignalKind::hangup()).ok();
    let clock = Clock::system();
    let settings = &loaded.settings;
    let workers = settings.workers;
    let inherited = std::mem::take(&mut inheritance.listeners);
    let sockets = Sockets::take_over(inherited, &settings.listeners, workers).map_err(StartError::Bind)?;
    let listeners = addresses(&settings.listeners, &sockets);
    let probes = bind_probes(&settings.admin, &mut inheritance).await?;
    let control = bind_control(&settings.admin, &mut inheritance)?;
    let held = hold(settings, &sockets, probes.as_ref(), control.as_ref()).map_err(StartError::Handover)?;
    let revocations = Arc::new(revocations(settings, &clock)?);
    inheritance.restore(&revocations).map_err(StartError::Handover)?;
    // Another process that drains says later when it leaves.
    let alone_since = if inheritance.has_predecessor() { Timestamp::MAX } else { clock.now() };
    let common = Common { revocations: revocations.clone(), proofs: Arc::new(ProofMemory::since(alone_since)) };
    let snapshot = build::snapshot(settings, &common, &clock, None).map_err(StartError::Sources)?;
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let audit = audit::start(settings.audit.clone()).map_err(StartError::Audit)?;
    let meters: Vec<_> = (0..workers).map(|_| Arc::new(Meters::default())).collect();
    let overview = Arc::new(Overview::new(
        snapshot.clone(),
        meters.clone(),
        audit.clone(),
        revocations.clone(),
        clock.clone(),
        listeners,
    ));
    let parts = worker::Parts { snapshot, audit, meters, clock: clock.clone() };
    let plan = Plan {
        listeners: settings.listeners.clone(),
        limits: listener::Limits {
            connections: files::affordable_connections(settings.limits.connections),
            ..settings.limits.clone()
        },
        clock: clock.clone(),
        observer: parts.observer(),
        meters: parts.meters.clone(),
    };
    let workers = Workers::start(sockets, plan, workers, move |seat| parts.serve(seat))?;
    overview.readiness.bound();

    let (orders, inbox) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    let mut surfaces = Vec::new();
    if let Some(listener) = probes {
        surfaces.push(tasks.spawn(admin::serve_probes(listener, overview.clone())));
    }
    if let Some(listener) = control {
        surfaces.push(tasks.spawn(admin::serve_control(listener, overview.clone(), orders.clone())));
    }
    let (stop, stopping) = oneshot::channel();
    let (give_back, stopped) = oneshot::channel();
    let drain = settings.drain;
    let (ask, upgrades) = mpsc::channel(1);
    let mut caretaker = Caretaker::default();
    caretaker.follow(&overview.snapshot.load().upstreams);
    let (mut lists, found) = lists::Lists::new();
    lists.follow(loaded.bundles.values());
    overview.note_trust(loaded.bundles.values());
    let held = Arc::new(Mutex::new(held));
    let keeper = reload::Keeper {
        held: held.clone(),
        lists,
        caretaker,
        loaded,
        common: common.clone(),
        clock,
        overview: overview.clone(),
        workers,
        upgrades: ask,
        alarm: None,
        hangup,
    };
    tasks.spawn(keeper.run(inbox, stopping, give_back, found));
    inheritance.serving(&common).map_err(StartError::Handover)?;
    let succeeded = false;
    Ok(Server { overview, orders, tasks, stop, stopped, drain, held, common, surfaces, upgrades, succeeded })
}

impl Server {
    /// Where a listener really listens.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.overview.listeners().iter().find(|(name, _)| name.as_str() == listener).map(|(_, address)| *address)
    }

    /// What an operator can see.
    pub const fn overview(&self) -> &Arc<Overview> {
        &self.overview
    }

    /// Reads the configuration again, at once.
    pub async fn reload(&self) -> Reply {
        let (reply, outcome) = oneshot::channel();
        let stopping = || Reply { done: false, message: "the server is stopping".into() };
        if self.orders.send(Order::Reload(reply)).await.is_err() {
            return stopping();
        }
        outcome.await.unwrap_or_else(|_| stopping())
    }

    /// Opens the audit log's file again.
    pub fn reopen_audit(&self) {
        self.overview.audit.reopen();
    }

    /// Waits until somebody asks for an upgrade over the control socket; the answer is due when it is done.
    pub async fn upgrade_asked(&mut self) -> Option<oneshot::Sender<Reply>> {
        self.upgrades.recv().await
    }

    /// Starts `program` and hands everything that listens over to it. When this returns well, that process serves and
    /// this one is to be shut down; else this one serves on.
    ///
    /// # Errors
    /// When the new process does not come to serve.
    pub async fn hand_over(&mut self, program: &Path, arguments: &[OsString]) -> std::io::Result<u32> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).copy()?;
        let (common, drain) = (self.common.clone(), self.drain);
        let (program, arguments) = (program.to_path_buf(), arguments.to_vec());
        // The new process may take its time, and the control runtime has other things to do.
        let work = move || handover::hand_over(&held, &common, drain, &program, &arguments);
        let process = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)??;
        self.succeeded = true;
        // Both processes accept from the same sockets: from here on only the new one does.
        for surface in self.surfaces.drain(..) {
            surface.abort();
        }
        Ok(process)
    }

    /// Stops: nothing new is accepted, what is open comes to its end within the drain limit, the audit log is written.
    pub async fn shutdown(mut self) -> Drained {
        self.overview.readiness.draining();
        // A copy of a socket that nobody accepts from would keep clients waiting.
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let control = held.control.map(|(path, _)| path);
        drop(held.listeners);
        let _ = self.stop.send(());
        let drained = match self.stopped.await {
            Ok(workers) => workers.drain(self.drain).await,
            Err(_) => Drained::Cut,
        };
        self.tasks.shutdown().await;
        if let Some(socket) = control.filter(|_| !self.succeeded) {
            let _ = std::fs::remove_file(socket);
        }
        finish(&self.overview.audit).await;
        drained
    }
}

fn revocations(settings: &config::Settings, clock: &Clock) -> Result<Revocations, StartError> {
    let Some(state) = &settings.state else { return Ok(Revocations::default()) };
    let failed = |error| StartError::State { place: state.path().display().to_string(), error };
    Revocations::kept_in(state.clone(), clock.now()).map_err(failed)
}

async fn finish(audit: &AuditHandle) {
    let audit = audit.clone();
    // The last write may wait for a disk.
    let _ = tokio::task::spawn_blocking(move || audit.finish()).await;
}

fn addresses(listeners: &[listener::Settings], sockets: &Sockets) -> Vec<(Name, SocketAddr)> {
    let bound = |listener: &listener::Settings| Some((listener.name.clone(), sockets.address(&listener.name)?));
    listeners.iter().filter_map(bound).collect()
}

async fn bind_probes(
    settings: &admin::AdminSettings,
    inheritance: &mut Inheritance,
) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = settings.probes else { return Ok(None) };
    let failed = |error| StartError::Admin { surface: "probes", place: address.to_string(), error };
    let bound = match inheritance.probes.take().filter(|(known, _)| *known == address) {
        Some((_, socket)) => TcpListener::from_std(socket),
        None => TcpListener::bind(address).await,
    };
    let listener = bound.map_err(failed)?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "probes");
    }
    Ok(Some(listener))
}

fn bind_control(
    settings: &admin::AdminSettings,
    inheritance: &mut Inheritance,
) -> Result<Option<UnixListener>, StartError> {
    let Some(path) = &settings.control else { return Ok(None) };
    let failed = |error| StartError::Admin { surface: "control socket", place: path.display().to_string(), error };
    let bound = match inheritance.control.take().filter(|(known, _)| known == path) {
        Some((_, socket)) => UnixListener::from_std(socket),
        None => admin::bind_control(path),
    };
    bound.map(Some).map_err(failed)
}

/// Copies of everything that listens.
fn hold(
    settings: &config::Settings,
    sockets: &Sockets,
    probes: Option<&TcpListener>,
    control: Option<&UnixListener>,
) -> std::io::Result<Held> {
    let probes = probes.map(|socket| socket.as_fd().try_clone_to_owned()).transpose()?;
    let control = control.map(|socket| socket.as_fd().try_clone_to_owned()).transpose()?;
    Ok(Held {
        listeners: sockets.copies(&settings.listeners)?,
        probes: settings.admin.probes.zip(probes),
        control: settings.admin.control.clone().zip(control),
    })
}
