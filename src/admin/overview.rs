//! What an operator can see: gathered on demand from the parts that know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use serde::Serialize;

use super::Reply;
use super::notes::{
    AuditState, AuthorityNote, CertificateNote, DenialNote, EndpointNote, ListenerState, SourceNote, VersionsNote,
};
use crate::audit::AuditHandle;
use crate::authn::{Revocations, SourceKind, SourceState, SourceStatus};
use crate::gateway::Snapshot;
use crate::identity::Name;
use crate::listener::{ServerCertificate, Settings, TrustBundle};
use crate::telemetry::{Clock, Meters};
use crate::upstream::EndpointStatus;

/// How long the token sources have for their first keys before the gateway is ready without them.
const GRACE: Duration = Duration::from_secs(30);

/// The parts that know.
pub struct Overview {
    /// The configuration in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Each worker's counters.
    pub meters: Vec<Arc<Meters>>,
    /// The audit log.
    pub audit: AuditHandle,
    /// What was revoked.
    pub revocations: Arc<Revocations>,
    /// The wall clock.
    pub clock: Clock,
    /// Whether the server serves.
    pub readiness: Readiness,
    listeners: ArcSwap<Vec<(Name, SocketAddr)>>,
    last_reload: ArcSwapOption<ReloadNote>,
    versions: ArcSwap<VersionsNote>,
    denials: ArcSwapOption<DenialNote>,
    trust: ArcSwap<Vec<Arc<TrustBundle>>>,
    certificates: ArcSwap<Vec<(Name, ServerCertificate)>>,
    started: Instant,
}

/// How the last reload went.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadNote {
    /// When.
    pub at: Timestamp,
    /// Whether the new configuration is in force.
    pub applied: bool,
    /// What happened.
    pub message: String,
}

/// Whether the listeners are bound and the server is not on its way out.
#[derive(Debug, Default)]
pub struct Readiness {
    bound: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// The listeners are bound and the workers run.
    pub fn bound(&self) {
        self.bound.store(true, Ordering::Release);
    }

    /// The server stops.
    pub fn draining(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

/// `/status`: the whole state without a single identity.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
    /// The process: another one after an upgrade.
    pub process: u32,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Whether `/readyz` says yes.
    pub ready: bool,
    /// Why it says no.
    pub not_ready: Vec<String>,
    /// Whether everything that the configuration names is well. A gateway that is ready can be degraded.
    pub degraded: bool,
    /// The content hash of the policy in force.
    pub policy: String,
    /// The versions that a rollback can go back to, when there is a state directory.
    pub versions: VersionsNote,
    /// How many subjects are refused, when an alarm watches that.
    pub denials: Option<DenialNote>,
    /// The last reload, when there was one.
    pub last_reload: Option<ReloadNote>,
    /// The listeners and their addresses.
    pub listeners: Vec<ListenerState>,
    /// The token sources.
    pub token_sources: Vec<SourceNote>,
    /// The endpoints of the upstreams.
    pub endpoints: Vec<EndpointNote>,
    /// Who signs client certificates.
    pub authorities: Vec<AuthorityNote>,
    /// What the listeners show clients.
    pub certificates: Vec<CertificateNote>,
    /// The audit log.
    pub audit: AuditState,
    /// How many revocations are in force.
    pub revocations: usize,
    /// How many workers serve.
    pub workers: usize,
}

impl Overview {
    /// An overview of a server that begins now.
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        meters: Vec<Arc<Meters>>,
        audit: AuditHandle,
        revocations: Arc<Revocations>,
        clock: Clock,
        listeners: Vec<(Name, SocketAddr)>,
    ) -> Self {
        let (readiness, last_reload, trust) = (Readiness::default(), ArcSwapOption::empty(), ArcSwap::default());
        let (versions, denials) = (ArcSwap::default(), ArcSwapOption::empty());
        Self {
            trust,
            certificates: ArcSwap::default(),
            snapshot,
            meters,
            audit,
            revocations,
            clock,
            readiness,
            listeners: ArcSwap::from_pointee(listeners),
            last_reload,
            versions,
            denials,
            started: Instant::now(),
        }
    }

    /// The bound listeners and where they really listen.
    pub fn listeners(&self) -> Arc<Vec<(Name, SocketAddr)>> {
        self.listeners.load_full()
    }

    /// Notes that these are the listeners from here on.
    pub fn note_listeners(&self, listeners: Vec<(Name, SocketAddr)>) {
        self.listeners.store(Arc::new(listeners));
    }

    /// Notes how a reload went.
    pub fn note_reload(&self, at: Timestamp, reply: &Reply) {
        let note = ReloadNote { at, applied: reply.done, message: reply.message.clone() };
        self.last_reload.store(Some(Arc::new(note)));
    }

    /// Notes which versions of the policy are kept.
    pub fn note_versions(&self, versions: VersionsNote) {
        self.versions.store(Arc::new(versions));
    }

    /// Notes how many subjects are refused; `None` when nothing was counted yet.
    pub fn note_denials(&self, denials: Option<DenialNote>) {
        self.denials.store(denials.map(Arc::new));
    }

    /// How many subjects are refused, when an alarm watches that.
    pub fn denials(&self) -> Option<DenialNote> {
        self.denials.load_full().as_deref().copied()
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Why the gateway is not ready; empty when it is.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.readiness.bound.load(Ordering::Acquire) {
            reasons.push("listeners are not bound yet".to_owned());
        }
        if self.readiness.draining.load(Ordering::Acquire) {
            reasons.push("the server is stopping".to_owned());
        }
        if self.audit.failed() {
            reasons.push("the audit log cannot be written".to_owned());
        }
        if self.started.elapsed() < GRACE {
            let waiting = self.sources().into_iter().filter(awaits_keys);
            reasons.extend(waiting.map(|source| format!("issuer `{}` has had no keys yet", source.name)));
        }
        reasons
    }

    /// The state of every token source, and of every server that exchanges tokens.
    pub fn sources(&self) -> Vec<SourceStatus> {
        let snapshot = self.snapshot.load();
        let mut all = snapshot.authenticator.source_status();
        all.extend(snapshot.upstreams.exchange_status());
        all
    }

    /// Notes whose certificates are trusted.
    pub fn note_trust<'b>(&self, bundles: impl IntoIterator<Item = &'b Arc<TrustBundle>>) {
        self.trust.store(Arc::new(bundles.into_iter().cloned().collect()));
    }

    /// Every authority of every bundle, with the revocation list that speaks for it.
    pub fn trust(&self) -> Vec<AuthorityNote> {
        let now = self.clock.now();
        let bundles = self.trust.load();
        bundles.iter().flat_map(|bundle| AuthorityNote::of(bundle, now)).collect()
    }

    /// Notes which certificates the listeners show.
    pub fn note_certificates(&self, listeners: &[Settings]) {
        let shown = listeners.iter().flat_map(|listener| {
            listener.certificates().iter().map(|certificate| (listener.name.clone(), certificate.clone()))
        });
        self.certificates.store(Arc::new(shown.collect()));
    }

    /// Every server certificate of every listener.
    pub fn certificates(&self) -> Vec<CertificateNote> {
        let now = self.clock.now();
        let shown = self.certificates.load();
        shown.iter().map(|(listener, certificate)| CertificateNote::of(listener, certificate, now)).collect()
    }

    /// For each listener when the first of its server certificates ends: there may be thousands.
    pub fn first_ends(&self) -> BTreeMap<Name, Timestamp> {
        let mut ends = BTreeMap::new();
        for (listener, certificate) in &**self.certificates.load() {
            let not_after = certificate.validity().not_after;
            let first = ends.entry(listener.clone()).or_insert(not_after);
            *first = not_after.min(*first);
        }
        ends
    }

    /// How every endpoint fares.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.snapshot.load().upstreams.status()
    }

    /// The whole state.
    pub fn status(&self) -> Status {
        let not_ready = self.not_ready();
        let health = self.audit.health();
        let (sources, endpoints, authorities) = (self.sources(), self.endpoints(), self.trust());
        let certificates = self.certificates();
        let audit = AuditState {
            writable: health.failure.is_none(),
            failure: health.failure,
            bytes_written: health.written,
            records_lost: health.lost,
        };
        Status {
            version: env!("CARGO_PKG_VERSION"),
            process: std::process::id(),
            uptime_seconds: self.uptime(),
            ready: not_ready.is_empty(),
            degraded: !audit.writable
                || sources.iter().any(is_degraded)
                || !endpoints.iter().all(EndpointStatus::in_service)
                || authorities.iter().any(|authority| authority.list_missing || authority.expired)
                || certificates.iter().any(|certificate| certificate.expired || certificate.not_yet_valid),
            not_ready,
            policy: self.snapshot.load().policy.version().to_string(),
            versions: VersionsNote::clone(&self.versions.load()),
            denials: self.denials(),
            last_reload: self.last_reload.load_full().as_deref().cloned(),
            listeners: self
                .listeners()
                .iter()
                .map(|(name, address)| ListenerState { name: name.clone(), address: *address })
                .collect(),
            token_sources: sources.into_iter().map(SourceNote::from).collect(),
            authorities,
            certificates,
            endpoints: endpoints.into_iter().map(EndpointNote::from).collect(),
            audit,
            revocations: self.revocations.len(),
            workers: self.meters.len(),
        }
    }
}

/// A server that nobody asked yet is as well as one can know.
fn is_degraded(source: &SourceStatus) -> bool {
    match source.state {
        SourceState::Fresh => false,
        SourceState::Never => source.kind == SourceKind::Issuer,
        SourceState::Stale | SourceState::Down => true,
    }
}

fn awaits_keys(source: &SourceStatus) -> bool {
    source.kind == SourceKind::Issuer && source.state == SourceState::Never
}
