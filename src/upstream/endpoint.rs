//! One endpoint and what all workers know of it: open requests, health, ejection, addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::settings::{Address, EndpointSettings, Outlier};

/// How old a name's addresses become before they are looked up again.
pub(super) const FRESH: Duration = Duration::from_secs(30);

/// One endpoint, shared by all workers. Its counters are hints for balancing, so their order does not matter.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Unique in this process: a pool is found by it, and an endpoint that changed in a reload has another.
    pub(super) id: u64,
    pub(super) settings: EndpointSettings,
    born: Instant,
    active: AtomicU32,
    well: AtomicBool,
    last_check: AtomicU8,
    checks: [AtomicU64; 2],
    failures: AtomicU32,
    ejections: AtomicU32,
    ejected: AtomicU64,
    ejected_until: AtomicU64,
    addresses: ArcSwapOption<Addresses>,
    resolving: AtomicBool,
}

/// What a name resolved to.
#[derive(Debug)]
struct Addresses {
    list: Vec<SocketAddr>,
    since: Instant,
}

impl Endpoint {
    pub(super) fn new(settings: EndpointSettings) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            settings,
            born: Instant::now(),
            active: AtomicU32::new(0),
            well: AtomicBool::new(true),
            last_check: AtomicU8::new(0),
            checks: Default::default(),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            addresses: ArcSwapOption::empty(),
            resolving: AtomicBool::new(false),
        }
    }

    /// The same endpoint under other settings of its upstream: what its health check found stands until the next answer,
    /// if it is still asked at all.
    pub(super) fn inheriting(settings: EndpointSettings, before: &Self, is_checked: bool) -> Self {
        let endpoint = Self::new(settings);
        if is_checked {
            endpoint.set_well(before.is_well());
        }
        endpoint
    }

    /// Its URL, as it is configured.
    pub(super) fn url(&self) -> Arc<str> {
        self.settings.url.clone()
    }

    /// Open requests, over all workers.
    pub(super) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts one open request until the guard is dropped.
    pub(super) fn count(self: &Arc<Self>) -> Counted {
        self.active.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Whether its health check finds it well; true before the first answer.
    pub(super) fn is_well(&self) -> bool {
        self.well.load(Ordering::Relaxed)
    }

    pub(super) fn set_well(&self, well: bool) {
        self.well.store(well, Ordering::Relaxed);
    }

    /// Its health check had this outcome.
    pub(super) fn checked(&self, outcome: Checked) {
        self.last_check.store(outcome.number(), Ordering::Relaxed);
        let [passed, failed] = &self.checks;
        (if outcome.is_good() { passed } else { failed }).fetch_add(1, Ordering::Relaxed);
    }

    /// The last outcome; `None` before the first.
    pub(super) fn last_check(&self) -> Option<Checked> {
        let number = self.last_check.load(Ordering::Relaxed);
        Checked::ALL.into_iter().find(|outcome| outcome.number() == number)
    }

    /// Health checks that passed and that failed.
    pub(super) fn checks(&self) -> (u64, u64) {
        let [passed, failed] = &self.checks;
        (passed.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
    }

    /// How often failures have put it out of service.
    pub(super) fn ejections(&self) -> u64 {
        self.ejected.load(Ordering::Relaxed)
    }

    /// Whether failures have put it out of service for now.
    pub(super) fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0 && self.age() < until
    }

    /// It answered.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 || self.ejections.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            if !self.is_ejected() {
                self.ejections.store(0, Ordering::Relaxed);
            }
        }
    }

    /// It failed. True when that is once too often and `may_eject` agrees that it can be spared.
    pub(super) fn failed(&self, outlier: &Outlier, may_eject: impl FnOnce() -> bool) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if outlier.failures == 0 || failures < outlier.failures || self.is_ejected() || !may_eject() {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.ejected.fetch_add(1, Ordering::Relaxed);
        let times = self.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1).min(30);
        let span = u64::try_from(outlier.eject.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(times));
        self.ejected_until.store(self.age().saturating_add(span).max(1), Ordering::Relaxed);
        true
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Where it listens now. A name is looked up at the first call and again, in the background, when its addresses are
    /// 30 s old; a name that can no longer be resolved keeps the addresses it had.
    pub(super) async fn addresses(self: &Arc<Self>) -> std::io::Result<Vec<SocketAddr>> {
        let Address::Tcp { host, port } = &self.settings.address else { return Ok(Vec::new()) };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, *port)]);
        }
        match self.addresses.load_full() {
            None => self.resolve().await,
            Some(known) => {
                if known.since.elapsed() > FRESH && !self.resolving.swap(true, Ordering::Relaxed) {
                    let endpoint = self.clone();
                    tokio::spawn(async move { endpoint.resolve().await });
                }
                Ok(known.list.clone())
            }
        }
    }

    /// Looks the name up.
    pub(super) async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let Address::Tcp { host, port } = &self.settings.address else { return Ok(Vec::new()) };
        let found = tokio::net::lookup_host((&**host, *port)).await.map(Iterator::collect::<Vec<_>>);
        self.resolving.store(false, Ordering::Relaxed);
        let list = found?;
        if list.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        self.is_at(list.clone());
        Ok(list)
    }

    /// Its addresses from here on.
    pub(super) fn is_at(&self, list: Vec<SocketAddr>) {
        self.addresses.store(Some(Arc::new(Addresses { list, since: Instant::now() })));
    }

    /// Whether `address` is still one of the endpoint's, so that a connection to it may be used again.
    pub(super) fn still_at(&self, address: Option<SocketAddr>) -> bool {
        let (Some(address), Some(known)) = (address, &*self.addresses.load()) else { return true };
        known.list.contains(&address)
    }
}

/// How a health check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Good,
    Unreachable,
    Tls,
    Timeout,
    Broken,
    Status,
}

impl Checked {
    const ALL: [Self; 6] = [Self::Good, Self::Unreachable, Self::Tls, Self::Timeout, Self::Broken, Self::Status];

    pub(super) const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }

    /// From 1: 0 is nothing yet.
    const fn number(self) -> u8 {
        match self {
            Self::Good => 1,
            Self::Unreachable => 2,
            Self::Tls => 3,
            Self::Timeout => 4,
            Self::Broken => 5,
            Self::Status => 6,
        }
    }

    /// A word for status and log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "passed",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Status => "status",
        }
    }
}

/// One open request of an endpoint.
#[derive(Debug)]
pub(super) struct Counted(Arc<Endpoint>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
