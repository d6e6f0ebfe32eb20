//! Keeps the keys of one issuer fresh, in the background, on the control runtime.
//!
//! Workers read the current set without waiting. A token under an unknown key makes one of them ask for a fetch: at most
//! one runs at a time, one starts every 5 s at the most, and everybody who waits gets its result.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::fetch::{FetchError, Fetched, Place, fetch};
use super::{KeySet, Lookup};
use crate::authn::algorithm::Algorithm;
use crate::authn::settings::{KeyOrigin, RefreshSettings};
use crate::authn::status::SourceState;
use crate::outbound::{Outbound, OutboundError};
use crate::telemetry::Clock;

/// The least time between the starts of two fetches of one issuer, whatever tokens ask for.
const FETCH_SPACING: Duration = Duration::from_secs(5);
/// A key set is fetched again after this at the earliest, whatever its Cache-Control says.
const LEAST_INTERVAL: Duration = Duration::from_secs(30);
/// The longest wait between two attempts while an issuer fails.
const MOST_BACKOFF: Duration = Duration::from_secs(60);
/// The most key identifiers that are remembered as false, between two fetches.
const MOST_FALSE: usize = 1024;
/// A key identifier is not held to be false for longer than this.
const FALSE_LIFE: Duration = Duration::from_secs(30);
/// The longest that a request waits for one: the spacing and two slow exchanges fit in.
const MOST_WAIT: Duration = Duration::from_secs(20);
/// The most requests that wait for a fetch of one issuer.
const MOST_WAITING: usize = 4096;

/// The keys of one issuer, and the task that keeps them fresh. Dropping it ends the task.
#[derive(Debug)]
pub(in crate::authn) struct KeySource {
    shared: Arc<Shared>,
    refresher: Option<AbortHandle>,
}

#[derive(Debug)]
struct Shared {
    current: ArcSwap<Fresh>,
    wanted: Notify,
    attempts: watch::Sender<Attempts>,
    waiting: Semaphore,
    false_keys: Mutex<FalseKeys>,
    history: Mutex<History>,
}

/// The keys that count now.
#[derive(Debug)]
pub(in crate::authn) struct Fresh {
    /// `None` before the first fetch succeeds, and when the last success is too long ago.
    pub(in crate::authn) keys: Option<KeySet>,
    /// Grows whenever a key stops counting; a token that was verified under an older generation is verified anew.
    pub(in crate::authn) generation: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    started: u64,
    finished: u64,
    last_failed: bool,
}

#[derive(Debug)]
struct FalseKeys {
    since: Instant,
    ids: HashSet<(Option<Box<str>>, Algorithm)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct History {
    last_success: Option<Timestamp>,
    last_error: Option<&'static str>,
    next_attempt: Option<Instant>,
}

/// What asking for an unknown key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::authn) enum Asked {
    /// The keys are fresh now: look again, the answer is final.
    Refreshed,
    /// The issuer does not answer, or too many wait already.
    Unavailable,
}

impl KeySource {
    /// Opens the source: at once for a document or a secret, else with a background task on `control`.
    pub(in crate::authn) fn open(
        origin: &KeyOrigin,
        algorithms: &[Algorithm],
        control: &Handle,
        clock: &Clock,
    ) -> Result<Self, KeySourceError> {
        let (place, refresh) = match origin {
            KeyOrigin::Document(text) => {
                return Ok(Self::fixed(KeySet::parse(text.as_bytes(), algorithms)?));
            }
            KeyOrigin::Secret(secret) => return Ok(Self::fixed(KeySet::shared_secret(secret.expose(), algorithms))),
            KeyOrigin::Discovery { issuer, jwks_hosts, refresh } => {
                (Place::Discovery { issuer: issuer.clone(), jwks_hosts: jwks_hosts.clone() }, refresh)
            }
            KeyOrigin::Url { url, refresh } => (Place::Url(url.clone()), refresh),
        };
        let shared = Arc::new(Shared::new(None));
        let refresher = Refresher {
            shared: shared.clone(),
            outbound: Outbound::new(&refresh.outbound)?,
            place,
            algorithms: algorithms.to_vec(),
            settings: refresh.clone(),
            clock: clock.clone(),
        };
        let task = control.spawn(refresher.run());
        Ok(Self { shared, refresher: Some(task.abort_handle()) })
    }

    fn fixed(keys: KeySet) -> Self {
        Self { shared: Arc::new(Shared::new(Some(keys))), refresher: None }
    }

    /// The keys that count now.
    pub(in crate::authn) fn current(&self) -> Guard<Arc<Fresh>> {
        self.shared.current.load()
    }

    /// Waits until the first attempt to fetch the keys is over.
    pub(in crate::authn) async fn first_attempt(&self) {
        if self.refresher.is_some() {
            // It fails only when the refresher has ended, and then there is nothing to wait for.
            let _ = self.shared.attempts.subscribe().wait_for(|attempts| attempts.finished > 0).await;
        }
    }

    /// Waits for a fetch that began after this call, unless the key is already known to be false.
    pub(in crate::authn) async fn ask_for(&self, id: Option<&str>, algorithm: Algorithm) -> Asked {
        timeout(MOST_WAIT, self.await_fetch(id, algorithm)).await.unwrap_or(Asked::Unavailable)
    }

    async fn await_fetch(&self, id: Option<&str>, algorithm: Algorithm) -> Asked {
        if self.refresher.is_none() || self.shared.is_false(id, algorithm) {
            return Asked::Refreshed;
        }
        let Ok(_place) = self.shared.waiting.try_acquire() else { return Asked::Unavailable };
        let mut attempts = self.shared.attempts.subscribe();
        let target = attempts.borrow_and_update().started + 1;
        self.shared.wanted.notify_one();
        loop {
            if attempts.changed().await.is_err() {
                return Asked::Unavailable;
            }
            let now = *attempts.borrow_and_update();
            if self.shared.knows(id, algorithm) {
                return Asked::Refreshed;
            }
            if now.finished >= target {
                if now.last_failed {
                    return Asked::Unavailable;
                }
                self.shared.remember_false(id, algorithm);
                return Asked::Refreshed;
            }
        }
    }

    /// When a request that found no keys may try again: at least 1 s.
    pub(in crate::authn) fn retry_after(&self) -> Duration {
        let next = lock(&self.shared.history).next_attempt;
        let wait = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()));
        Duration::from_secs(wait.as_secs() + 1)
    }

    /// How the source stands, when it last succeeded, and what went wrong since.
    pub(in crate::authn) fn state(&self) -> (SourceState, Option<Timestamp>, Option<&'static str>) {
        let history = *lock(&self.shared.history);
        let has_keys = self.current().keys.is_some();
        let state = match (self.refresher.is_some(), has_keys, history.last_error) {
            (false, ..) | (true, true, None) => SourceState::Fresh,
            (true, true, Some(_)) => SourceState::Stale,
            (true, false, _) if history.last_success.is_some() => SourceState::Down,
            (true, false, _) => SourceState::Never,
        };
        (state, history.last_success, history.last_error)
    }
}

impl Drop for KeySource {
    fn drop(&mut self) {
        if let Some(refresher) = &self.refresher {
            refresher.abort();
        }
    }
}

impl Shared {
    fn new(keys: Option<KeySet>) -> Self {
        Self {
            current: ArcSwap::from_pointee(Fresh { keys, generation: 0 }),
            wanted: Notify::new(),
            attempts: watch::Sender::default(),
            waiting: Semaphore::new(MOST_WAITING),
            false_keys: Mutex::new(FalseKeys { since: Instant::now(), ids: HashSet::new() }),
            history: Mutex::default(),
        }
    }

    fn knows(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let current = self.current.load();
        current.keys.as_ref().is_some_and(|keys| !matches!(keys.find(id, algorithm), Lookup::Unknown))
    }

    fn is_false(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let mut known = lock(&self.false_keys);
        if known.since.elapsed() >= FALSE_LIFE {
            known.forget();
        }
        known.ids.contains(&(id.map(Box::from), algorithm))
    }

    fn remember_false(&self, id: Option<&str>, algorithm: Algorithm) {
        let mut known = lock(&self.false_keys);
        if known.ids.len() < MOST_FALSE {
            known.ids.insert((id.map(Box::from), algorithm));
        }
    }

    /// Puts a new set in force, or none.
    fn replace(&self, keys: Option<KeySet>) {
        let before = self.current.load();
        let lost = match (&before.keys, &keys) {
            (Some(before), Some(after)) => before.loses_a_key_in(after),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let generation = before.generation + u64::from(lost);
        self.current.store(Arc::new(Fresh { keys, generation }));
    }
}

impl FalseKeys {
    fn forget(&mut self) {
        self.since = Instant::now();
        self.ids.clear();
    }
}

struct Refresher {
    shared: Arc<Shared>,
    outbound: Outbound,
    place: Place,
    algorithms: Vec<Algorithm>,
    settings: RefreshSettings,
    clock: Clock,
}

impl Refresher {
    async fn run(self) {
        // When the keys at hand stop counting, unless a fetch succeeds before.
        let mut good_until: Option<Instant> = None;
        let mut failures = 0u32;
        loop {
            if good_until.is_some_and(|until| until <= Instant::now()) {
                self.shared.replace(None);
                good_until = None;
            }
            // Whoever asked up to here is served by this attempt. Forgetting the wish must come before counting the
            // start: the other way round a wish in between would be lost.
            let _ = self.shared.wanted.notified().now_or_never();
            let started = Instant::now();
            self.shared.attempts.send_modify(|attempts| attempts.started += 1);
            let outcome = self.attempt().await;
            let failed = outcome.is_err();
            let next = match outcome {
                Ok(fetched) => {
                    let age = fetched.max_age.unwrap_or(self.settings.interval);
                    let due = Instant::now() + age.min(self.settings.interval).max(LEAST_INTERVAL);
                    failures = 0;
                    good_until = Some(due + self.settings.stale_if_error);
                    self.succeeded(fetched.keys);
                    due
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.failed(error);
                    let retry = Instant::now() + backoff(failures);
                    good_until.map_or(retry, |until| retry.min(until))
                }
            };
            lock(&self.shared.history).next_attempt = Some(next);
            self.shared.attempts.send_modify(|attempts| {
                attempts.finished = attempts.started;
                attempts.last_failed = failed;
            });
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.shared.wanted.notified() => sleep_until(started + FETCH_SPACING).await,
            }
        }
    }

    /// One fetch in a task of its own, so that a fault in reading what a stranger sent cannot end the refreshing.
    async fn attempt(&self) -> Result<Fetched, FetchError> {
        let (outbound, place, algorithms) = (self.outbound.clone(), self.place.clone(), self.algorithms.clone());
        let task = tokio::spawn(async move { fetch(&outbound, &place, &algorithms).await });
        task.await.map_err(|_| FetchError::Internal)?
    }

    fn succeeded(&self, keys: KeySet) {
        self.shared.replace(Some(keys));
        lock(&self.shared.false_keys).forget();
        let mut history = lock(&self.shared.history);
        history.last_success = Some(self.clock.now());
        if history.last_error.take().is_some() {
            tracing::info!(from = %self.place, "the issuer's keys can be fetched again");
        }
    }

    /// Told once for each cause: an issuer that stays away for a day must not fill the log.
    fn failed(&self, error: FetchError) {
        let word = error.as_str();
        if lock(&self.shared.history).last_error.replace(word) != Some(word) {
            tracing::warn!(from = %self.place, cause = word, "the issuer's keys cannot be fetched: {error}");
        }
    }
}

fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(MOST_BACKOFF)
}

/// A panic while one of these locks was held leaves nothing half-done behind it: each write is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a source of keys cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::authn) enum KeySourceError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    KeySet(#[from] super::KeySetError),
}
