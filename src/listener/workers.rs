//! The workers: one thread with one current-thread runtime each, which share nothing on the way of a request.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use super::accept::{Doorway, accept};
use super::entrance::{Entrance, ListenerError, Opening};
use super::hall::{Common, Hall};
use super::service::Service;
use super::{BindError, Inherited, Limits, Observer, Settings, Sockets};
use crate::identity::Name;
use crate::telemetry::{Clock, Meters};

/// How long connections have to say that they were cut.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
    /// Each worker's counters, in the order of their numbers.
    pub meters: Vec<Arc<Meters>>,
}

/// The running workers.
pub struct Workers {
    entrances: Vec<Arc<Entrance>>,
    clock: Clock,
    phase: watch::Sender<Phase>,
    cut: Arc<AtomicUsize>,
    finished: mpsc::UnboundedReceiver<usize>,
    threads: Vec<Thread>,
}

struct Thread {
    handle: JoinHandle<()>,
    news: mpsc::UnboundedSender<News>,
}

/// What a worker is told while it runs.
enum News {
    /// Another socket to accept from.
    Door(Doorway),
    /// Other limits.
    Limits(Limits),
}

/// The listeners that a reload opened.
#[derive(Debug)]
pub struct Opened {
    /// Where they really listen.
    pub addresses: Vec<(Name, SocketAddr)>,
    /// Their sockets once more, to be handed over later.
    pub copies: Vec<Inherited>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request that was open came to its end.
    Complete,
    /// The limit passed in the middle of requests, and they were cut.
    Cut,
}

impl Workers {
    /// Starts `count` workers on the sockets. `make` builds the service of each worker on its own thread.
    ///
    /// # Errors
    /// [`StartError`] when TLS cannot be set up or a thread or runtime cannot be had.
    pub fn start<M, S>(sockets: Sockets, plan: Plan, count: usize, make: M) -> Result<Self, StartError>
    where
        M: Fn(WorkerSeat) -> S + Send + Sync + 'static,
        S: Service,
    {
        let count = count.max(1);
        let mut entrances = Vec::new();
        for settings in &plan.listeners {
            entrances.push(Arc::new(Entrance::new(settings, &plan.clock)?));
        }
        let (phase, watching) = watch::channel(Phase::Serving);
        let (done, finished) = mpsc::unbounded_channel();
        let common = Common {
            limits: plan.limits,
            clock: plan.clock.clone(),
            observer: plan.observer,
            next: Arc::new(AtomicU64::new(1)),
            cut: Arc::default(),
        };
        let (make, cut) = (Arc::new(make), common.cut.clone());
        let mut threads = Vec::new();
        for (index, hand) in sockets.deal(&entrances, count)?.into_iter().enumerate() {
            let (make, done, common) = (make.clone(), done.clone(), common.clone());
            let meters = plan.meters.get(index).cloned().unwrap_or_default();
            let seat = WorkerSeat { index, phase: watching.clone() };
            let (news, told) = mpsc::unbounded_channel();
            for door in hand {
                let _ = news.send(News::Door(door));
            }
            let body = move || {
                let phase = seat.phase.clone();
                let work = async {
                    let hall = Rc::new(Hall::new(make(seat), common, meters, count, phase));
                    attend_doors(told, hall).await;
                };
                match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => runtime.block_on(work),
                    Err(error) => tracing::error!(%error, "a worker has no runtime"),
                }
                let _ = done.send(index);
            };
            let handle = std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?;
            threads.push(Thread { handle, news });
        }
        Ok(Self { entrances, clock: plan.clock, phase, cut, finished, threads })
    }

    /// Gives the next connections new certificates, authorities, revocation lists and policies; opens new listeners and
    /// closes those that are gone. Nothing that is open is cut. All or nothing: on an error everything stays. `held` are
    /// copies of the sockets that listen: one whose address goes to another listener is served on.
    ///
    /// # Errors
    /// [`ReloadError`] when a listener's TLS cannot be set up, or a new address cannot be had.
    pub fn reload(&mut self, listeners: &[Settings], held: &[Inherited]) -> Result<Opened, ReloadError> {
        let mut kept = Vec::new();
        let mut swaps = Vec::new();
        let mut fresh = Vec::new();
        for settings in listeners {
            let known =
                |entrance: &&Arc<Entrance>| entrance.name == settings.name && entrance.address == settings.address;
            match self.entrances.iter().find(known) {
                Some(entrance) => {
                    swaps.push((entrance.clone(), Opening::build(settings, &self.clock)?));
                    kept.push(entrance.clone());
                }
                None => fresh.push(settings.clone()),
            }
        }
        let opened = fresh.iter().map(|settings| Ok(Arc::new(Entrance::new(settings, &self.clock)?)));
        let opened = opened.collect::<Result<Vec<_>, ListenerError>>()?;
        let moved = held.iter().filter(|held| fresh.iter().any(|settings| held.is_for(settings)));
        let moved = moved.map(Inherited::copy).collect::<io::Result<Vec<_>>>()?;
        let sockets = Sockets::take_over(moved, &fresh, self.threads.len()).map_err(ReloadError::Bind)?;
        let address = |settings: &Settings| Some((settings.name.clone(), sockets.address(&settings.name)?));
        let news = Opened { addresses: fresh.iter().filter_map(address).collect(), copies: sockets.copies(&fresh)? };
        let hands = sockets.deal(&opened, self.threads.len())?;
        // From here on nothing can fail.
        for (thread, hand) in self.threads.iter().zip(hands) {
            for door in hand {
                let _ = thread.news.send(News::Door(door));
            }
        }
        for (entrance, opening) in swaps {
            entrance.swap(opening);
        }
        let gone = self.entrances.iter().filter(|entrance| !kept.iter().any(|kept| Arc::ptr_eq(kept, entrance)));
        for entrance in gone {
            entrance.close();
        }
        kept.extend(opened);
        self.entrances = kept;
        Ok(news)
    }

    /// Other limits hold from here on, for the connections that are open, too. What a connection was told in the beginning
    /// stays as it is there: how large a head may be, how many fields it may have, how many streams may be open.
    pub fn limit(&self, limits: &Limits) {
        for thread in &self.threads {
            let _ = thread.news.send(News::Limits(limits.clone()));
        }
    }

    /// The names of the listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Name> {
        self.entrances.iter().map(|entrance| &entrance.name)
    }

    /// Stops accepting, lets what is open come to its end, and cuts the rest after `limit`. An idle connection is kept
    /// until it can be told to close, or until the limit.
    pub async fn drain(mut self, limit: Duration) -> Drained {
        self.phase.send_replace(Phase::Draining);
        let finished = async {
            for _ in &self.threads {
                self.finished.recv().await;
            }
        };
        if tokio::time::timeout(limit, finished).await.is_err() {
            self.phase.send_replace(Phase::Cut);
        }
        for thread in self.threads {
            // A worker ends within a moment of the cut; joined elsewhere, so that this thread stays free.
            let joined = tokio::task::spawn_blocking(move || thread.handle.join().is_ok()).await;
            if !matches!(joined, Ok(true)) {
                tracing::error!("a worker ended in a panic");
            }
        }
        if self.cut.load(Ordering::Relaxed) == 0 { Drained::Complete } else { Drained::Cut }
    }
}

/// Runs every accept loop of a worker and all of its connections, until it is drained or cut.
async fn attend_doors<S: Service>(mut told: mpsc::UnboundedReceiver<News>, hall: Rc<Hall<S>>) {
    let mut phase = hall.phase.clone();
    let mut loops = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(news) = told.recv() => match news {
                News::Door(door) => loops.push(tokio::task::spawn_local(accept(door, hall.clone()))),
                News::Limits(limits) => hall.limit(limits),
            },
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
        }
    }
    for accepting in loops {
        if let Err(error) = accepting.await {
            tracing::error!(%error, "an accept loop ended");
        }
    }
    tokio::select! {
        () = hall.census.empty() => return,
        _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
    }
    // Each connection sees the cut for itself and says so; what does not is dropped with the runtime.
    let _ = tokio::time::timeout(LAST_WORDS, hall.census.empty()).await;
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

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// A new address cannot be had.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bind(Vec<BindError>),
    /// A socket cannot be shared among the workers.
    #[error("a socket cannot be shared: {0}")]
    System(#[from] io::Error),
}
