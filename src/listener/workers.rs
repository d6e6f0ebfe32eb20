//! The workers: one thread with one current-thread runtime each, which share nothing on the way of a request.

use std::error::Error;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::accept::{Reception, accept};
use super::entrance::{Entrance, ListenerError, Opening};
use super::{Limits, Observer, Settings, Sockets};
use crate::identity::Name;
use crate::request::Connection;
use crate::telemetry::Clock;

/// Where the life of the workers stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections are accepted and served.
    Serving,
    /// What is open is finished; nothing new is accepted.
    Draining,
    /// What is still open is cut.
    Cut,
}

/// What a worker gets to build its service with, on its own thread and inside its runtime.
#[derive(Clone, Debug)]
pub struct WorkerSeat {
    /// Its number, from 0.
    pub index: usize,
    /// Where the life of the workers stands, for exchanges that outlive their connection, such as tunnels.
    pub phase: watch::Receiver<Phase>,
}

/// What all workers run with.
pub struct Plan {
    /// The listeners, as they were bound.
    pub listeners: Vec<Settings>,
    /// Their limits and deadlines.
    pub limits: Limits,
    /// Tells the time that certificates are valid at.
    pub clock: Clock,
    /// Takes what happens outside of requests.
    pub observer: Observer,
}

/// The running workers.
pub struct Workers {
    entrances: Vec<Arc<Entrance>>,
    clock: Clock,
    phase: watch::Sender<Phase>,
    finished: mpsc::UnboundedReceiver<usize>,
    threads: Vec<JoinHandle<()>>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything that was open came to its end.
    Complete,
    /// The limit passed and the rest was cut.
    Cut,
}

impl Workers {
    /// Starts `count` workers on the sockets. `make` builds the service of each worker on its own thread.
    ///
    /// # Errors
    /// [`StartError`] when TLS cannot be set up or a thread or runtime cannot be had.
    pub fn start<M, S, F, B>(sockets: Sockets, plan: Plan, count: usize, make: M) -> Result<Self, StartError>
    where
        M: Fn(WorkerSeat) -> S + Send + Sync + 'static,
        S: Fn(Request<Incoming>, Arc<Connection>) -> F + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let count = count.max(1);
        let mut entrances = Vec::new();
        for settings in &plan.listeners {
            entrances.push(Arc::new(Entrance::new(settings, &plan.clock)?));
        }
        let (phase, watching) = watch::channel(Phase::Serving);
        let (done, finished) = mpsc::unbounded_channel();
        let make = Arc::new(make);
        let reception = Reception::new(plan.limits, count, plan.observer);
        let mut threads = Vec::new();
        for (index, doors) in sockets.deal(&entrances, count)?.into_iter().enumerate() {
            let (make, done, reception) = (make.clone(), done.clone(), reception.clone());
            let seat = WorkerSeat { index, phase: watching.clone() };
            let mut builder = Builder::new_current_thread();
            let body = move || {
                let work = async {
                    let service = Rc::new(make(seat.clone()));
                    accept(doors, service, &reception, seat.phase).await;
                };
                match builder.enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => runtime.block_on(work),
                    Err(error) => tracing::error!(%error, "a worker has no runtime"),
                }
                let _ = done.send(index);
            };
            threads.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?);
        }
        Ok(Self { entrances, clock: plan.clock, phase, finished, threads })
    }

    /// Gives the next connections new certificates, authorities, revocation lists and policies. Nothing that is open is
    /// touched. All or nothing: on an error everything stays as it was.
    ///
    /// # Errors
    /// [`ListenerError`] when a listener's TLS cannot be set up.
    pub fn reload(&self, listeners: &[Settings]) -> Result<(), ListenerError> {
        let mut openings = Vec::new();
        for settings in listeners {
            if let Some(entrance) = self.entrances.iter().find(|entrance| entrance.name == settings.name) {
                openings.push((entrance, Opening::build(settings, &self.clock)?));
            }
        }
        for (entrance, opening) in openings {
            entrance.swap(opening);
        }
        Ok(())
    }

    /// The names of the listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Name> {
        self.entrances.iter().map(|entrance| &entrance.name)
    }

    /// Stops accepting, lets what is open come to its end, and cuts the rest after `limit`.
    pub async fn drain(mut self, limit: Duration) -> Drained {
        self.phase.send_replace(Phase::Draining);
        let deadline = Instant::now() + limit;
        let mut left = self.threads.len();
        let mut drained = Drained::Complete;
        while left > 0 {
            let waiting = self.finished.recv();
            match tokio::time::timeout_at(deadline, waiting).await {
                Ok(Some(_)) => left -= 1,
                Ok(None) => break,
                Err(_) if drained == Drained::Cut => break,
                Err(_) => {
                    drained = Drained::Cut;
                    self.phase.send_replace(Phase::Cut);
                    while left > 0 && self.finished.recv().await.is_some() {
                        left -= 1;
                    }
                }
            }
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended in a panic");
            }
        }
        drained
    }
}

/// Why the workers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// A thread or a socket cannot be had.
    #[error("a worker cannot be started: {0}")]
    System(#[from] io::Error),
}
