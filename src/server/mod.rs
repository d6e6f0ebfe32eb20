//! Puts the rooms together: loads, binds, starts the workers, reloads, drains.
//!
//! [`start`] runs inside the control runtime: key fetches, introspection, reloads and the admin surfaces live there.
//! Requests never do; they stay on the worker threads.

mod build;
mod files;
mod notify;
mod reload;
mod worker;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::admin::{self, Order, Overview, Reply};
use crate::audit::{self, AuditHandle};
use crate::authn::Revocations;
use crate::config::{self, Fault, Loaded};
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
    control: Option<PathBuf>,
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
}

/// Loads the configuration directory and serves it.
///
/// Must run inside the control runtime. Reports what is wrong before anything is bound.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start(directory: &Path) -> Result<Server, StartError> {
    start_loaded(config::load(directory, Timestamp::now(), None).map_err(StartError::Config)?).await
}

/// Serves a configuration that was loaded before.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start_loaded(loaded: Loaded) -> Result<Server, StartError> {
    let clock = Clock::system();
    let settings = &loaded.settings;
    let workers = settings.workers;
    let sockets = Sockets::bind(&settings.listeners, workers).map_err(StartError::Bind)?;
    let listeners = addresses(&settings.listeners, &sockets);
    let probes = bind_probes(&settings.admin).await?;
    let control = bind_control(&settings.admin)?;
    let revocations: Arc<Revocations> = Arc::default();
    let snapshot = build::snapshot(settings, &revocations, &clock, None).map_err(StartError::Sources)?;
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
    if let Some(listener) = probes {
        tasks.spawn(admin::serve_probes(listener, overview.clone()));
    }
    if let Some(listener) = control {
        tasks.spawn(admin::serve_control(listener, overview.clone(), orders.clone()));
    }
    let (stop, stopping) = oneshot::channel();
    let (give_back, stopped) = oneshot::channel();
    let drain = settings.drain;
    let control = settings.admin.control.clone();
    let mut caretaker = Caretaker::default();
    caretaker.follow(&overview.snapshot.load().upstreams);
    let keeper = reload::Keeper { caretaker, loaded, revocations, clock, overview: overview.clone(), workers };
    tasks.spawn(keeper.run(inbox, stopping, give_back));
    Ok(Server { overview, orders, tasks, stop, stopped, drain, control })
}

impl Server {
    /// Where a listener really listens.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.overview.listeners.iter().find(|(name, _)| name.as_str() == listener).map(|(_, address)| *address)
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

    /// Stops: nothing new is accepted, what is open comes to its end within the drain limit, the audit log is written.
    pub async fn shutdown(mut self) -> Drained {
        self.overview.readiness.draining();
        let _ = self.stop.send(());
        let drained = match self.stopped.await {
            Ok(workers) => workers.drain(self.drain).await,
            Err(_) => Drained::Cut,
        };
        self.tasks.shutdown().await;
        if let Some(socket) = &self.control {
            let _ = std::fs::remove_file(socket);
        }
        finish(&self.overview.audit).await;
        drained
    }
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

async fn bind_probes(settings: &admin::AdminSettings) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = settings.probes else { return Ok(None) };
    let failed = |error| StartError::Admin { surface: "probes", place: address.to_string(), error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "probes");
    }
    Ok(Some(listener))
}

fn bind_control(settings: &admin::AdminSettings) -> Result<Option<tokio::net::UnixListener>, StartError> {
    let Some(path) = &settings.control else { return Ok(None) };
    let failed = |error| StartError::Admin { surface: "control socket", place: path.display().to_string(), error };
    admin::bind_control(path).map(Some).map_err(failed)
}
