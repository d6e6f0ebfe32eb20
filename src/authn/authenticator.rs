//! The room's door: a request with at most one credential goes in, a request whose maker is proved comes out.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::runtime::Handle;

use super::cache::{Entry, SourceId, TokenCache};
use super::dpop::{ProofMemory, Wanted};
use super::error::AuthnError;
use super::introspection::IntrospectionServer;
use super::issuer::IssuerVerifier;
use super::jwt::Compact;
use super::revocations::{Revocations, sha256};
use super::settings::{IssuerSettings, TokenRules};
use super::sources::TokenSources;
use super::status::{SourceKind, SourceStatus};
use super::{Identified, binding, dpop, facts};
use crate::credential::{Credential, Presented, Token};
use crate::identity::{Name, PeerCertificate, TokenFacts};
use crate::route::Routed;
use crate::telemetry::Clock;

/// How long a verified token is remembered at the most, in seconds.
const MOST_MEMORY: i64 = 300;

/// Verifies credentials. Part of the snapshot that all workers share.
pub struct Authenticator {
    sources: Vec<Source>,
    revocations: Arc<Revocations>,
    proofs: Arc<ProofMemory>,
    clock: Clock,
    most_bytes: usize,
}

pub(super) struct Source {
    id: SourceId,
    pub(super) name: Name,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Issuer(IssuerVerifier),
    Server(Arc<IntrospectionServer>),
}

/// A token that its source vouches for.
struct Vouched {
    facts: Arc<TokenFacts>,
    not_before: Option<Timestamp>,
    until: Timestamp,
    keys: u64,
    answer: usize,
}

/// What a token says, and what names it among revocations.
type Hashed = (Arc<TokenFacts>, [u8; 32]);

impl Authenticator {
    /// Opens every source. Sources whose settings are those of `previous` go on as they are, with their keys and answers.
    ///
    /// Background work runs on `control`. Nothing waits for an identity provider.
    ///
    /// # Errors
    /// Every source that cannot be opened, and why.
    pub fn open(
        settings: &TokenSources,
        revocations: Arc<Revocations>,
        proofs: Arc<ProofMemory>,
        control: &Handle,
        clock: &Clock,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<SourceError>> {
        let (mut sources, mut faults) = (Vec::new(), Vec::new());
        let before = previous.map_or(&[] as &[Source], |previous| &previous.sources);
        for issuer in settings.issuers() {
            let kept = before.iter().find_map(|source| match &source.kind {
                Kind::Issuer(verifier) if *verifier.settings() == *issuer => Some((source.id, verifier.clone())),
                _ => None,
            });
            let keys = before.iter().find_map(|source| match &source.kind {
                Kind::Issuer(verifier) => verifier.keys_for(issuer),
                Kind::Server(_) => None,
            });
            let opened = kept.map_or_else(
                || Ok((SourceId::fresh(), IssuerVerifier::open(issuer, keys, control, clock)?)),
                Ok::<_, String>,
            );
            match opened {
                Ok((id, verifier)) => {
                    sources.push(Source { id, name: issuer.name.clone(), kind: Kind::Issuer(verifier) });
                }
                Err(message) => faults.push(SourceError { name: issuer.name.clone(), message }),
            }
        }
        for server in settings.servers() {
            let kept = before.iter().find_map(|source| match &source.kind {
                Kind::Server(known) if known.settings() == server => Some((source.id, known.clone())),
                _ => None,
            });
            let opened = || {
                let signer = server.signed_by.as_ref().map(|issuer| signer(issuer, &sources, control, clock));
                IntrospectionServer::open(server, signer.transpose()?, control, clock)
                    .map_err(|error| error.to_string())
            };
            match kept.map_or_else(|| Ok((SourceId::fresh(), opened()?)), Ok::<_, String>) {
                Ok((id, known)) => sources.push(Source { id, name: server.name.clone(), kind: Kind::Server(known) }),
                Err(message) => faults.push(SourceError { name: server.name.clone(), message }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let most_bytes = sources.iter().map(|source| source.rules().max_bytes).max().unwrap_or_default();
        Ok(Self { sources, revocations, proofs, clock: clock.clone(), most_bytes })
    }

    /// Proves who makes a request, or refuses it. Nothing presented is anonymous; anything presented that fails, fails
    /// the request, on every route.
    ///
    /// # Errors
    /// [`AuthnError`].
    pub async fn identify(
        &self,
        presented: Presented,
        tokens: &TokenCache,
        now: Timestamp,
    ) -> Result<Identified, AuthnError> {
        let (routed, credential) = presented.into_parts();
        if let PeerCertificate::Refused(refusal) = &routed.request().connection().peer {
            return Err(AuthnError::Certificate(*refusal));
        }
        let Some(credential) = credential else {
            return Ok(Identified { routed, token: None, hash: None, credential: None });
        };
        let (facts, hash) = self.token(&routed, credential.token(), tokens, now).await?;
        self.check_binding(&routed, &credential, &facts, tokens, now)?;
        Ok(Identified { routed, token: Some(facts), hash: Some(hash), credential: Some(credential) })
    }

    /// Whether a token that was verified before has been revoked since, or its source is no longer one of ours.
    pub fn is_revoked(&self, hash: &[u8; 32], facts: &TokenFacts) -> bool {
        let source = self.sources.iter().find(|source| source.name == facts.source);
        source.is_none_or(|source| self.revocations.contains(hash, facts, source.rules().clock_skew))
    }

    /// Grows with every revocation.
    pub fn revocations(&self) -> u64 {
        self.revocations.generation()
    }

    /// The `iss` of those of `names` that are issuers: where a client can get a token (RFC 9728 `authorization_servers`).
    pub fn issuer_urls(&self, names: &[Name]) -> Vec<String> {
        let named = self.sources.iter().filter(|source| names.contains(&source.name));
        named
            .filter_map(|source| match &source.kind {
                Kind::Issuer(issuer) => Some(issuer.settings().issuer.to_string()),
                Kind::Server(_) => None,
            })
            .collect()
    }

    /// How every source stands.
    pub fn source_status(&self) -> Vec<SourceStatus> {
        self.sources.iter().map(Source::status).collect()
    }

    async fn token(
        &self,
        routed: &Routed,
        token: &Token,
        tokens: &TokenCache,
        now: Timestamp,
    ) -> Result<Hashed, AuthnError> {
        let (route, bytes) = (&routed.route().tokens, token.expose_bytes());
        if let Some(known) = tokens.get(bytes, |entry| self.still_good(entry, bytes, route, now)).flatten() {
            return known;
        }
        let token = token.expose();
        if token.len() > self.most_bytes {
            return Err(AuthnError::TooLarge);
        }
        let connection = routed.request().connection().id;
        if !tokens.may_try(connection, now) {
            return Err(AuthnError::Flood);
        }
        // Boxed: a token that is remembered does not carry the room for verifying it.
        let verified = Box::pin(self.verify(token, route, now)).await;
        match verified {
            Ok((facts, entry)) => {
                let hash = entry.hash;
                tokens.insert(bytes, entry);
                Ok((facts, hash))
            }
            Err(error) => {
                if error.costs_us_work() {
                    tokens.failed(connection, now);
                }
                Err(error)
            }
        }
    }

    /// What a remembered token is worth for this route now: its facts, a refusal, or nothing, and then it is verified anew.
    fn still_good(
        &self,
        entry: &Entry,
        token: &[u8],
        route: &[Name],
        now: Timestamp,
    ) -> Option<Result<Hashed, AuthnError>> {
        let source = match self.select(token, entry.claimed.as_deref(), route) {
            Ok(source) => source,
            Err(error) => return Some(Err(error)),
        };
        let in_time = now < entry.until && entry.from.is_none_or(|from| from <= now);
        if source.id != entry.source || !in_time || source.key_generation() != entry.keys {
            return None;
        }
        let revocations = self.revocations.generation();
        if entry.revocations.get() != revocations {
            if self.revocations.contains(&entry.hash, &entry.facts, source.rules().clock_skew) {
                return Some(Err(AuthnError::Revoked));
            }
            entry.revocations.set(revocations);
        }
        Some(Ok((entry.facts.clone(), entry.hash)))
    }

    /// The long way: the one source that stands behind the token vouches for it, or the token fails.
    async fn verify(
        &self,
        token: &str,
        route: &[Name],
        now: Timestamp,
    ) -> Result<(Arc<TokenFacts>, Entry), AuthnError> {
        let compact = Compact::parse(token);
        let claimed = compact.as_ref().and_then(|compact| compact.claimed_issuer()).map(Arc::<str>::from);
        let source = self.source_for(token, compact.as_ref(), route)?;
        if token.len() > source.rules().max_bytes {
            return Err(AuthnError::TooLarge);
        }
        let generation = self.revocations.generation();
        let vouched = match &source.kind {
            Kind::Issuer(issuer) => {
                let verified = issuer.verify(compact.ok_or(AuthnError::Malformed)?, now, &self.clock).await?;
                let end = facts::later(verified.facts.expires_at, issuer.settings().token.clock_skew);
                let memory = facts::later(now, std::time::Duration::from_secs(MOST_MEMORY.unsigned_abs()));
                let facts = Arc::new(verified.facts);
                Vouched {
                    facts,
                    not_before: verified.not_before,
                    until: end.min(memory),
                    keys: verified.keys,
                    answer: 0,
                }
            }
            Kind::Server(server) => {
                let known = server.ask(token, sha256(token.as_bytes()), now).await?;
                let facts = known.facts.clone();
                Vouched { facts, not_before: known.not_before, until: known.fresh_until, keys: 0, answer: known.size }
            }
        };
        let hash = Revocations::hash(token);
        let skew = source.rules().clock_skew;
        if self.revocations.contains(&hash, &vouched.facts, skew) {
            return Err(AuthnError::Revoked);
        }
        let entry = Entry {
            source: source.id,
            claimed,
            facts: vouched.facts.clone(),
            from: vouched.not_before.map(|instant| facts::earlier(instant, skew)),
            until: vouched.until,
            keys: vouched.keys,
            revocations: Cell::new(generation),
            hash,
            answer: vouched.answer,
        };
        Ok((vouched.facts, entry))
    }

    /// The source that stands behind a token that is seen for the first time.
    pub(super) fn source_for(
        &self,
        token: &str,
        compact: Option<&Compact<'_>>,
        route: &[Name],
    ) -> Result<&Source, AuthnError> {
        let claimed = compact.and_then(|compact| compact.claimed_issuer());
        self.select(token.as_bytes(), claimed, route).map_err(|error| match compact {
            None if self.takes_signed_only(route) => AuthnError::Malformed,
            _ => error,
        })
    }

    /// POLICY semantics 11. `claimed` is the `iss` that a JWS states of itself: it chooses who judges, and proves nothing.
    fn select(&self, token: &[u8], claimed: Option<&str>, route: &[Name]) -> Result<&Source, AuthnError> {
        let has_prefix = |source: &&Source| source.prefix().is_some_and(|prefix| token.starts_with(prefix.as_bytes()));
        if let Some(source) = self.sources.iter().find(has_prefix) {
            return if route.contains(&source.name) { Ok(source) } else { Err(AuthnError::Source) };
        }
        let on_route = || self.sources.iter().filter(|source| route.contains(&source.name));
        if let Some(claimed) = claimed
            && let Some(issuer) = only(on_route().filter(|source| source.issues_as(claimed)))?
        {
            return Ok(issuer);
        }
        // A token of an issuer of ours that does not count here is shown to nobody else.
        let ours = |claimed| self.sources.iter().any(|source| source.issues_as(claimed));
        let open = only(on_route().filter(|source| source.takes_any()))?.ok_or(AuthnError::Source)?;
        match claimed {
            Some(claimed) if ours(claimed) && !open.answers_for(claimed) => Err(AuthnError::Source),
            _ => Ok(open),
        }
    }

    /// Whether a token that is no JWS can mean nothing to a route.
    fn takes_signed_only(&self, route: &[Name]) -> bool {
        let server = |source: &Source| matches!(source.kind, Kind::Server(_)) && route.contains(&source.name);
        !route.is_empty() && !self.sources.iter().any(server)
    }

    /// Runs on every request, however well the token is known: the same token on another connection is another question.
    fn check_binding(
        &self,
        routed: &Routed,
        credential: &Credential,
        facts: &TokenFacts,
        tokens: &TokenCache,
        now: Timestamp,
    ) -> Result<(), AuthnError> {
        let source = self.sources.iter().find(|source| source.name == facts.source).ok_or(AuthnError::Source)?;
        let rules = source.rules();
        let rule = routed.route().binding.unwrap_or(rules.binding);
        let peer = &routed.request().connection().peer;
        let under_dpop = matches!(credential, Credential::Dpop { .. });
        let bound = binding::check(facts.confirmation.as_ref(), rule, peer, under_dpop).map_err(AuthnError::Binding)?;
        let (Some(bound), Credential::Dpop { token, proof }) = (bound, credential) else { return Ok(()) };
        let connection = routed.request().connection().id;
        if !tokens.may_try(connection, now) {
            return Err(AuthnError::Flood);
        }
        let wanted = Wanted {
            key: bound,
            token: token.expose(),
            request: routed.request(),
            clock_skew: rules.clock_skew,
            nonce: rules.dpop_nonce,
        };
        let proved = dpop::verify(proof.expose(), &wanted, &self.proofs, now);
        if proved.as_ref().is_err_and(AuthnError::costs_us_work) {
            tokens.failed(connection, now);
        }
        proved
    }
}

/// Whoever signs a server's answers: an issuer that is open already, with its keys.
fn signer(issuer: &IssuerSettings, open: &[Source], control: &Handle, clock: &Clock) -> Result<IssuerVerifier, String> {
    let known = open.iter().find_map(|source| match &source.kind {
        Kind::Issuer(verifier) if verifier.settings() == issuer => Some(verifier.clone()),
        _ => None,
    });
    known.map_or_else(|| IssuerVerifier::open(issuer, None, control, clock), Ok)
}

/// The only candidate. Two are a fault at load; should they get here all the same, neither is taken.
fn only<'s>(mut candidates: impl Iterator<Item = &'s Source>) -> Result<Option<&'s Source>, AuthnError> {
    match (candidates.next(), candidates.next()) {
        (first, None) => Ok(first),
        _ => Err(AuthnError::Source),
    }
}

impl Source {
    pub(super) fn rules(&self) -> &TokenRules {
        match &self.kind {
            Kind::Issuer(issuer) => &issuer.settings().token,
            Kind::Server(server) => &server.settings().token,
        }
    }

    pub(super) fn prefix(&self) -> Option<&str> {
        match &self.kind {
            Kind::Issuer(_) => None,
            Kind::Server(server) => server.settings().prefix.as_deref(),
        }
    }

    fn issues_as(&self, claimed: &str) -> bool {
        matches!(&self.kind, Kind::Issuer(issuer) if issuer.settings().issuer.as_str() == claimed)
    }

    fn answers_for(&self, claimed: &str) -> bool {
        matches!(&self.kind, Kind::Server(server) if server.settings().issuer.as_str() == claimed)
    }

    fn takes_any(&self) -> bool {
        matches!(&self.kind, Kind::Server(server) if server.settings().prefix.is_none())
    }

    fn key_generation(&self) -> u64 {
        match &self.kind {
            Kind::Issuer(issuer) => issuer.key_generation(),
            Kind::Server(_) => 0,
        }
    }

    fn status(&self) -> SourceStatus {
        let (kind, (state, last_success, last_error), (keys, skipped_keys)) = match &self.kind {
            Kind::Issuer(issuer) => (SourceKind::Issuer, issuer.state(), issuer.key_counts()),
            Kind::Server(server) => (SourceKind::Introspection, server.state(), (0, 0)),
        };
        SourceStatus { name: self.name.clone(), kind, state, keys, skipped_keys, last_success, last_error }
    }
}

impl SourceId {
    fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A token source that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {message}")]
pub struct SourceError {
    /// The `[issuer.NAME]` or `[introspection.NAME]`.
    pub name: Name,
    /// What is wrong.
    pub message: String,
}
