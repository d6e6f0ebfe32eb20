//! Reloading: a new configuration is built off to the side and swapped in whole, or the old one stays.
//!
//! Three things ask for it: an order over the control socket, SIGHUP, and files that changed (see [`super::watch`]).

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch as news};

use super::StartError;
use super::build;
use super::files::affordable;
use super::handover::Common;
use super::handover::Held;
use super::lists::{Found, Lists};
use super::rollback::shown;
use super::surfaces::Bound;
use super::watch::Watch;
use crate::admin::{Order, Overview, Reply};
use crate::audit::Sink;
use crate::config::{self, Loaded, Wanted};
use crate::identity::Name;
use crate::listener::{self, Opened, Workers};
use crate::policy::Policy;
use crate::policy::alarm::Alarm;
use crate::policy::diff::differences;
use crate::route::Routes;
use crate::telemetry::{Clock, follow_log};
use crate::upstream::Caretaker;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Keeps the configuration in force, and the workers that serve it.
pub(super) struct Keeper {
    pub(super) loaded: Loaded,
    pub(super) common: Common,
    pub(super) clock: Clock,
    pub(super) overview: Arc<Overview>,
    /// Where the control socket leaves its orders.
    pub(super) orders: mpsc::Sender<Order>,
    /// How long a drain may take.
    pub(super) drain: news::Sender<Duration>,
    pub(super) workers: Workers,
    /// What the next process is handed.
    pub(super) held: Arc<Mutex<Held>>,
    pub(super) caretaker: Caretaker,
    pub(super) lists: Lists,
    pub(super) alarm: Option<Alarm>,
    pub(super) hangup: Option<Signal>,
    pub(super) upgrades: mpsc::Sender<oneshot::Sender<Reply>>,
}

impl Keeper {
    /// Reloads whenever something asks for it; when told to stop, gives the workers back.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Order>,
        mut stopping: oneshot::Receiver<()>,
        give_back: oneshot::Sender<Workers>,
        mut found: mpsc::Receiver<Found>,
    ) {
        self.put_in_force();
        let mut watch = self.watch();
        let mut tick = tokio::time::interval(PERIOD);
        let mut hangup = self.hangup.take();
        loop {
            tokio::select! {
                _ = &mut stopping => break,
                Some(order) = inbox.recv() => {
                    let reply = match order {
                        Order::Reload(reply) => reply,
                        Order::Rollback { to, reply } => {
                            let _ = reply.send(self.rollback(to.as_deref()));
                            continue;
                        }
                        Order::Explain { order, reply } => {
                            self.explain(order, reply);
                            continue;
                        }
                        // Full means that one is under way: the sender is dropped, and whoever asked is told.
                        Order::Upgrade(reply) => {
                            let _ = self.upgrades.try_send(reply);
                            continue;
                        }
                    };
                    let outcome = self.reload("the control socket").await;
                    watch = if outcome.done { self.watch() } else { Watch::begin(&self.loaded.files) };
                    let _ = reply.send(outcome);
                }
                Some(found) = found.recv() => self.take_list(&found),
                () = hung_up(&mut hangup) => {
                    let outcome = self.reload("SIGHUP").await;
                    watch = if outcome.done { self.watch() } else { Watch::begin(&self.loaded.files) };
                }
                _ = tick.tick() => {
                    if let Err(error) = self.common.revocations.follow(self.clock.now()) {
                        tracing::error!(%error, "revocations of other processes cannot be read");
                    }
                    self.look_at_denials();
                    if watch.is_due() && watch.settled_change(&self.loaded.files) && self.reload("changed files").await.done {
                        watch = self.watch();
                    }
                }
            }
        }
        let _ = give_back.send(self.workers);
    }

    /// Watches the files of the configuration in force. One that changed after it was read and before it was watched is
    /// noticed, too.
    fn watch(&self) -> Watch {
        let watch = Watch::begin(&self.loaded.files);
        if config::digest(&self.loaded.files) == self.loaded.digest { watch } else { watch.forgetting() }
    }

    async fn reload(&mut self, cause: &'static str) -> Reply {
        let (directory, bundles, now) = (self.loaded.directory.clone(), self.loaded.bundles.clone(), self.clock.now());
        // Parsing thousands of rules and running their tests takes a while; the control runtime goes on meanwhile.
        let read = move || config::load(&directory, now, Some(&bundles), Wanted::InForce);
        let loaded = tokio::task::spawn_blocking(read).await;
        let outcome = match loaded {
            Ok(Ok(loaded)) => self.apply(loaded),
            Ok(Err(faults)) => Err(shown(&faults)),
            Err(_) => Err(vec!["reading the configuration failed; this is a fault of the program".into()]),
        };
        let reply = match outcome {
            Ok(message) => {
                tracing::info!(cause, "{message}");
                Reply { done: true, message }
            }
            Err(faults) => {
                let message =
                    format!("the configuration in force stays; the new one has faults\n{}", faults.join("\n"));
                tracing::error!(cause, "{message}");
                Reply { done: false, message }
            }
        };
        self.overview.note_reload(self.clock.now(), &reply);
        reply
    }

    fn apply(&mut self, loaded: Loaded) -> Result<String, Vec<String>> {
        // The same files, and the same version of them: a rollback that this process does not know yet is a change.
        let version = loaded.settings.policy.version();
        if loaded.digest == self.loaded.digest && version == self.loaded.settings.policy.version() {
            return Ok("nothing has changed".into());
        }
        if let Some(fault) = needs_upgrade(&self.loaded, &loaded) {
            return Err(vec![fault]);
        }
        let before = self.overview.snapshot.load_full();
        let snapshot = build::snapshot(&loaded.settings, &self.common, &self.clock, Some(&before))?;
        let (old, new) = (&self.loaded.settings, &loaded.settings);
        let audit = &self.overview.audit;
        let failed = |error: &dyn std::fmt::Display| vec![error.to_string()];
        let moved = (old.audit.sink != new.audit.sink).then(|| Sink::open(&new.audit.sink)).transpose();
        let sink = moved.map_err(|error| failed(&StartError::Audit(error)))?;
        let surfaces = Bound::for_reload(&old.admin, &new.admin).map_err(|error| failed(&error))?;
        // The listeners last: they can still refuse, and after them nothing can.
        let opened = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            match self.workers.reload(&new.listeners, &held.listeners) {
                Ok(opened) => {
                    surfaces.serve(&new.admin, &mut held, &self.overview, &self.orders);
                    opened
                }
                Err(error) => {
                    surfaces.discard();
                    return Err(failed(&error));
                }
            }
        };
        audit.follow(&new.audit, sink);
        if old.limits != new.limits {
            self.workers.limit(&affordable(&new.limits));
        }
        self.drain.send_replace(new.drain);
        follow_log(new.log);
        let moved = self.follow_listeners(&new.listeners, opened);
        let message = format!(
            "policy {} is in force{}{moved}",
            snapshot.policy.version(),
            changes(
                (&self.loaded.settings.routes, &self.loaded.settings.policy),
                (&loaded.settings.routes, &loaded.settings.policy),
            )
        );
        self.caretaker.follow(&snapshot.upstreams);
        self.lists.follow(loaded.bundles.values());
        self.overview.note_trust(loaded.bundles.values());
        self.overview.note_certificates(&loaded.settings.listeners);
        self.overview.snapshot.store(Arc::new(snapshot));
        // At a start whoever starts the process is told.
        for warning in shown(&loaded.warnings) {
            tracing::warn!("{warning}");
        }
        self.loaded = loaded;
        self.put_in_force();
        Ok(message)
    }

    /// Notes which listeners there are from here on; what came and went, for the operator.
    fn follow_listeners(&self, listeners: &[listener::Settings], opened: Opened) -> String {
        let Opened { addresses, copies } = opened;
        let before = self.overview.listeners();
        let mut moved = String::new();
        for (name, address) in &addresses {
            let _ = write!(moved, "; listener `{name}` opened on {address}");
        }
        let stays = |name: &Name| listeners.iter().any(|listener| listener.name == *name);
        let is_new = |name: &Name| addresses.iter().any(|(new, _)| new == name);
        for (name, address) in before.iter().filter(|(name, _)| !stays(name) || is_new(name)) {
            let _ = write!(moved, "; listener `{name}` on {address} closed");
        }
        let kept = before.iter().filter(|(name, _)| stays(name) && !is_new(name)).cloned();
        self.overview.note_listeners(kept.chain(addresses.iter().cloned()).collect());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).follow(listeners, copies);
        moved
    }

    /// What begins with a version: it is kept, and whoever is refused is counted anew.
    fn put_in_force(&mut self) {
        self.watch_denials();
        let (policy, on_disk) = (self.loaded.settings.policy.version(), &self.loaded.on_disk);
        if policy != on_disk {
            tracing::warn!(%policy, %on_disk, "a rollback set the policy files aside: they count again when they change");
        }
        if let Err(error) = self.keep(None) {
            tracing::error!(%error, "the version in force is not kept, and no rollback will go back to it");
        }
    }

    /// A revocation list was fetched: a newer one than before counts from the next handshake and request on.
    fn take_list(&mut self, found: &Found) {
        let Found { trust, url, bytes } = found;
        let Some(bundle) = self.loaded.bundles.get(trust) else { return };
        let newer = match bundle.with_list(url, bytes, self.clock.now()) {
            Ok(Some(newer)) => Arc::new(newer),
            Ok(None) => return,
            Err(fault) => return tracing::error!(%trust, %url, %fault, "the fetched revocation list does not count"),
        };
        let listeners: Vec<_> =
            self.loaded.settings.listeners.iter().map(|listener| listener.trusting(&newer)).collect();
        if let Err(error) = self.workers.reload(&listeners, &[]) {
            return tracing::error!(%trust, %url, %error, "the fetched revocation list cannot be put in force");
        }
        self.loaded.settings.listeners = listeners;
        self.loaded.bundles.insert(trust.clone(), newer);
        self.overview.note_trust(self.loaded.bundles.values());
        tracing::info!(%trust, %url, "a newer revocation list is in force");
    }
}

/// Which routes and rules came, went and changed, and what that means for who is admitted.
pub(super) fn changes(old: (&Routes, &Policy), new: (&Routes, &Policy)) -> String {
    const MOST: usize = 20;
    let found = differences((old.0, old.1.rules()), (new.0, new.1.rules()));
    let mut text = String::new();
    for change in found.iter().take(MOST) {
        let sign = if text.is_empty() { ": " } else { ", " };
        let _ = write!(text, "{sign}{} `{}` {} ({})", change.kind, change.name, change.became, change.meaning);
    }
    if let Some(more) = found.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// What only another process can change: threads are started once, and what was revoked is kept in one place.
fn needs_upgrade(old: &Loaded, new: &Loaded) -> Option<String> {
    let (old, new) = (&old.settings, &new.settings);
    let what = if old.state != new.state {
        "`state`"
    } else if old.workers != new.workers {
        "`workers`"
    } else if old.log.format != new.log.format {
        "[log] `format`"
    } else {
        return None;
    };
    Some(format!(
        "{what} changed, which takes another process: `portcullis upgrade` serves with it and drops nothing; the rest of the change waits for it"
    ))
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
