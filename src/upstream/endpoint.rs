//! One endpoint and what all workers know of it: open requests, health, ejection, addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::settings::{Address, EndpointSettings, Outlier};

/// How old a name's addresses become before they are looked up again.
const FRESH: Duration = Duration::from_secs(30);

/// One endpoint, shared by all workers. Its counters are hints for balancing, so their order does not matter.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Unique in this process: a pool is found by it, and an endpoint that changed in a reload has another.
    pub(super) id: u64,
    pub(super) settings: EndpointSettings,
    born: Instant,
    active: AtomicU32,
    well: AtomicBool,
    failures: AtomicU32,
    ejections: AtomicU32,
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
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            addresses: ArcSwapOption::empty(),
            resolving: AtomicBool::new(false),
        }
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
        self.addresses.store(Some(Arc::new(Addresses { list: list.clone(), since: Instant::now() })));
        Ok(list)
    }

    /// Whether `address` is still one of the endpoint's, so that a connection to it may be used again.
    pub(super) fn still_at(&self, address: Option<SocketAddr>) -> bool {
        let (Some(address), Some(known)) = (address, &*self.addresses.load()) else { return true };
        known.list.contains(&address)
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
