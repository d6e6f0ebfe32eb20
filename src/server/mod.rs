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
mod surfaces;
mod watch;
mod worker;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch as news};
use tokio::task::JoinSet;

pub use self::handover::Inheritance;
use self::handover::{Common, Held};
use self::surfaces::Bound;
use crate::admin::{Order, Overview, Reply};
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
    /// How long a drain may take, by the configuration in force.
    drain: news::Receiver<Duration>,
    /// Copies of everything that listens, for the next process.
    held: Arc<Mutex<Held>>,
    common: Common,
    upgrades: mpsc::Receiver<oneshot::Sender<Reply>>,
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
    let surfaces = Bound::at_start(&settings.admin, &mut inheritance)?;
    let copies = sockets.copies(&settings.listeners).map_err(StartError::Handover)?;
    let mut held = Held { listeners: copies, ..Held::default() };
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
        limits: files::affordable(&settings.limits),
        clock: clock.clone(),
        observer: parts.observer(),
        meters: parts.meters.clone(),
    };
    let workers = Workers::start(sockets, plan, workers, move |seat| parts.serve(seat))?;
    overview.readiness.bound();

    let (orders, inbox) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    surfaces.serve(&settings.admin, &mut held, &overview, &orders);
    let (stop, stopping) = oneshot::channel();
    let (give_back, stopped) = oneshot::channel();
    let (told, drain) = news::channel(settings.drain);
    let (ask, upgrades) = mpsc::channel(1);
    let mut caretaker = Caretaker::default();
    caretaker.follow(&overview.snapshot.load().upstreams);
    let (mut lists, found) = lists::Lists::new();
    lists.follow(loaded.bundles.values());
    overview.note_trust(loaded.bundles.values());
    overview.note_certificates(&loaded.settings.listeners);
    let held = Arc::new(Mutex::new(held));
    // It counts from the first request on, which may come before the keeper's first turn.
    let alarm = alarm::alarm_of(&loaded);
    let keeper = reload::Keeper {
        held: held.clone(),
        lists,
        caretaker,
        loaded,
        common: common.clone(),
        clock,
        overview: overview.clone(),
        orders: orders.clone(),
        drain: told,
        workers,
        upgrades: ask,
        alarm,
        hangup,
    };
    tasks.spawn(keeper.run(inbox, stopping, give_back, found));
    inheritance.serving(&common).map_err(StartError::Handover)?;
    Ok(Server { overview, orders, tasks, stop, stopped, drain, held, common, upgrades })
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
        let (common, drain) = (self.common.clone(), *self.drain.borrow());
        let (program, arguments) = (program.to_path_buf(), arguments.to_vec());
        // The new process may take its time, and the control runtime has other things to do.
        let work = move || handover::hand_over(&held, &common, drain, &program, &arguments);
        let process = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)??;
        // Both processes accept from the same sockets: from here on only the new one does.
        drop(self.take_held());
        Ok(process)
    }

    /// Stops: nothing new is accepted, what is open comes to its end within the drain limit, the audit log is written.
    pub async fn shutdown(mut self) -> Drained {
        self.overview.readiness.draining();
        let Held { listeners, probes, control } = self.take_held();
        // A copy of a socket that nobody accepts from would keep clients waiting.
        drop(listeners);
        let _ = self.stop.send(());
        let limit = *self.drain.borrow();
        let drained = match self.stopped.await {
            Ok(workers) => workers.drain(limit).await,
            Err(_) => Drained::Cut,
        };
        // Operators see the drain to its end.
        drop(probes);
        surfaces::close(control);
        self.tasks.shutdown().await;
        finish(&self.overview.audit).await;
        drained
    }

    fn take_held(&self) -> Held {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
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
