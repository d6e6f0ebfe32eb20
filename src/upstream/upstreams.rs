//! Every upstream of a configuration, shared by all workers. A reload makes a new set and takes over from the old one
//! whatever did not change: health, connections and all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::runtime::Handle;

use super::assertion::Signer;
use super::budget::Budget;
use super::endpoint::{Checked, Endpoint};
use super::headers::Reserved;
use super::settings::{EndpointSettings, Settings};
use super::token_exchange::Exchanger;
use crate::authn::SourceStatus;
use crate::identity::Name;
use crate::telemetry::Clock;

/// The upstreams of one configuration.
#[derive(Debug)]
pub struct Upstreams {
    by_name: HashMap<Name, Arc<Upstream>, foldhash::fast::RandomState>,
    pub(super) reserved: Arc<Reserved>,
    pub(super) budget: Arc<Budget>,
    pub(super) signer: Option<Arc<Signer>>,
    exchangers: HashMap<Name, Arc<Exchanger>>,
}

/// One upstream and the state of its endpoints.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) settings: Settings,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    pub(super) turn: AtomicUsize,
}

/// How an endpoint fares: for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its upstream.
    pub upstream: Name,
    /// Its URL, as it is configured.
    pub endpoint: Arc<str>,
    /// What its health check finds; true without one, and before it has found anything else.
    pub well: bool,
    /// How its last health check went: `passed`, `unreachable`, `tls`, `timeout`, `broken` or `status`.
    pub last_check: Option<&'static str>,
    /// Health checks that passed and that failed.
    pub checks: (u64, u64),
    /// Whether failures have put it out of service for now.
    pub ejected: bool,
    /// How often they have.
    pub ejections: u64,
    /// Requests in flight, over all workers.
    pub active: u32,
}

impl EndpointStatus {
    /// Whether requests are sent to it while there is another one.
    pub const fn in_service(&self) -> bool {
        self.well && !self.ejected
    }
}

impl Upstreams {
    /// Takes checked settings. An upstream that is as it was in `previous` keeps its state and its connections.
    pub fn new(settings: Vec<Settings>, previous: Option<&Self>) -> Self {
        let identity = settings.iter().flat_map(|upstream| &upstream.identity.fields).map(|(name, _)| name);
        let reserved = Arc::new(Reserved::new(identity));
        let by_name = settings
            .into_iter()
            .map(|settings| {
                let known = previous.and_then(|previous| previous.by_name.get(&settings.name));
                let upstream = match known.filter(|known| known.settings == settings) {
                    Some(unchanged) => unchanged.clone(),
                    None => Arc::new(Upstream::new(settings, known)),
                };
                (upstream.settings.name.clone(), upstream)
            })
            .collect();
        let budget = previous.map_or_else(Arc::default, |previous| previous.budget.clone());
        Self { by_name, reserved, budget, signer: None, exchangers: HashMap::new() }
    }

    /// With what exchanges tokens for the upstreams that want it; where nothing changed since `previous`, with what was
    /// issued there. Calls run on `control`.
    ///
    /// # Errors
    /// Every exchange that cannot be set up, and why.
    pub fn exchanging(mut self, control: &Handle, clock: &Clock, previous: Option<&Self>) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        for upstream in self.by_name.values() {
            let (name, Some(wanted)) = (&upstream.settings.name, &upstream.settings.token_exchange) else { continue };
            let known = previous.and_then(|previous| previous.exchanger(name));
            let opened = match known.filter(|known| known.settings() == wanted) {
                Some(known) => Ok(known.clone()),
                None => Exchanger::open(name, wanted, control, clock),
            };
            match opened {
                Ok(exchanger) => drop(self.exchangers.insert(name.clone(), exchanger)),
                Err(error) => faults.push(format!("`exchange` of [upstream.{name}]: {error}")),
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    pub(super) fn exchanger(&self, upstream: &Name) -> Option<&Arc<Exchanger>> {
        self.exchangers.get(upstream)
    }

    /// How the servers fare that exchange tokens, in the order of names.
    pub fn exchange_status(&self) -> Vec<SourceStatus> {
        let mut all: Vec<_> = self.exchangers.values().map(|exchanger| exchanger.status()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// With a signer of assertions.
    #[must_use]
    pub fn signed_by(self, signer: Option<Arc<Signer>>) -> Self {
        Self { signer, ..self }
    }

    /// The signer of assertions.
    pub const fn signer(&self) -> Option<&Arc<Signer>> {
        self.signer.as_ref()
    }

    /// How every endpoint fares, in the order of names.
    pub fn status(&self) -> Vec<EndpointStatus> {
        let mut upstreams: Vec<_> = self.by_name.values().collect();
        upstreams.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        let status = |upstream: &Upstream, endpoint: &Endpoint| EndpointStatus {
            upstream: upstream.settings.name.clone(),
            endpoint: endpoint.url(),
            well: endpoint.is_well(),
            last_check: endpoint.last_check().map(Checked::as_str),
            checks: endpoint.checks(),
            ejected: endpoint.is_ejected(),
            ejections: endpoint.ejections(),
            active: endpoint.active(),
        };
        let of = |upstream: &'_ Arc<Upstream>| {
            upstream.endpoints.iter().map(|endpoint| status(upstream, endpoint)).collect::<Vec<_>>()
        };
        upstreams.into_iter().flat_map(of).collect()
    }

    pub(super) fn find(&self, name: &Name) -> Option<&Arc<Upstream>> {
        self.by_name.get(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.by_name.values()
    }

    /// Whether an endpoint is part of this configuration.
    pub(super) fn has_endpoint(&self, id: u64) -> bool {
        self.all().any(|upstream| upstream.endpoints.iter().any(|endpoint| endpoint.id == id))
    }
}

impl Upstream {
    /// An endpoint that `before` has as well goes on as it was.
    fn new(settings: Settings, before: Option<&Arc<Self>>) -> Self {
        let make = |endpoint: &EndpointSettings| {
            let same = |known: &&Arc<Endpoint>| known.settings == *endpoint;
            let known = before.and_then(|before| before.endpoints.iter().find(same));
            Arc::new(known.map_or_else(
                || Endpoint::new(endpoint.clone()),
                |known| Endpoint::inheriting(endpoint.clone(), known, settings.health.is_some()),
            ))
        };
        let endpoints = settings.endpoints.iter().map(make).collect();
        Self { settings, endpoints, turn: AtomicUsize::new(0) }
    }

    /// An endpoint failed a request: takes it out of service when that is once too often and it can be spared.
    pub(super) fn failed(&self, endpoint: &Endpoint) {
        let outlier = &self.settings.outlier;
        let total = u64::try_from(self.endpoints.len()).unwrap_or(u64::MAX);
        let spared = || {
            let out = self.endpoints.iter().filter(|other| other.is_ejected() || !other.is_well()).count();
            let out = u64::try_from(out).unwrap_or(u64::MAX).saturating_add(1);
            out < total && out.saturating_mul(100) <= total.saturating_mul(u64::from(outlier.most_percent))
        };
        if endpoint.failed(outlier, spared) {
            tracing::warn!(upstream = %self.settings.name, endpoint = %endpoint.settings.url, "ejected after failures");
        }
    }
}
