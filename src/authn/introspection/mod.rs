//! Opaque tokens: asks the authorization server that stands behind them (RFC 7662), once for everybody who waits.
//!
//! The caches belong to one server as one client, so an answer can never be found under another server's or another
//! client's name. The call runs in a task of the control runtime: a client that hangs up neither ends it nor repeats it.

mod response;
mod signed;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use moka::future::Cache;
use tokio::runtime::Handle;

use super::cache::cost;
use super::client::{Client, ClientAuthError};
use super::error::AuthnError;
use super::facts;
use super::issuer::IssuerVerifier;
use super::settings::IntrospectionSettings;
use super::status::SourceState;
use crate::identity::{Secret, TokenFacts};
use crate::outbound::{Answer, CallError, Flights, OutboundError, Question, Service, Standing, Subject};
use crate::telemetry::Clock;

/// When to come back if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The room that the cache of good answers has for each, in bytes: larger answers take the room of several.
const ROOM: u64 = 2048;

/// What a flight brings.
type Outcome = Result<Arc<Known>, AuthnError>;

/// An authorization server and what it said.
pub(super) struct IntrospectionServer {
    settings: IntrospectionSettings,
    service: Service,
    client: Client,
    signer: Option<IssuerVerifier>,
    clock: Clock,
    good: Cache<Subject, Arc<Known>>,
    bad: Cache<Subject, Refused>,
    flights: Flights<Outcome>,
}

/// What is known of an active token.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) facts: Arc<TokenFacts>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) fresh_until: Timestamp,
    /// The length of the answer, in bytes.
    pub(super) size: usize,
}

/// An answer that refuses a token, until then.
#[derive(Clone, Debug)]
struct Refused {
    error: AuthnError,
    until: Timestamp,
}

impl IntrospectionServer {
    /// Opens a server. `signer` verifies its answers where [`IntrospectionSettings::signed_by`] wants that.
    pub(super) fn open(
        settings: &IntrospectionSettings,
        signer: Option<IssuerVerifier>,
        control: &Handle,
        clock: &Clock,
    ) -> Result<Arc<Self>, IntrospectionError> {
        let cache = &settings.cache;
        let weight = |_: &Subject, known: &Arc<Known>| u32::try_from(cost(known.size).max(ROOM)).unwrap_or(u32::MAX);
        Ok(Arc::new(Self {
            settings: settings.clone(),
            service: Service::new(&settings.outbound, clock)?,
            client: Client::new(&settings.client)?,
            signer,
            clock: clock.clone(),
            good: Cache::builder()
                .weigher(weight)
                .max_capacity(cache.max_entries.saturating_mul(ROOM))
                .time_to_live(cache.positive.saturating_add(cache.stale_if_error))
                .build(),
            bad: Cache::builder().max_capacity(cache.max_entries).time_to_live(cache.negative).build(),
            flights: Flights::new(control),
        }))
    }

    pub(super) const fn settings(&self) -> &IntrospectionSettings {
        &self.settings
    }

    /// What the server says about a token, now or a moment ago.
    pub(super) async fn ask(self: &Arc<Self>, token: &str, hash: Subject, now: Timestamp) -> Outcome {
        if let Some(outcome) = self.remembered(&hash, now).await {
            return outcome;
        }
        let flight = || {
            let (server, token) = (self.clone(), Secret::new(Box::<str>::from(token)));
            async move { server.answer(token.expose(), hash).await }
        };
        self.flights.join(hash, flight).await.unwrap_or_else(|| Err(self.unavailable(RETRY_AFTER)))
    }

    async fn remembered(&self, hash: &Subject, now: Timestamp) -> Option<Outcome> {
        if let Some(known) = self.good.get(hash).await.filter(|known| now < known.fresh_until) {
            return Some(Ok(known));
        }
        let refused = self.bad.get(hash).await.filter(|refused| now < refused.until)?;
        Some(Err(refused.error))
    }

    async fn answer(&self, token: &str, hash: Subject) -> Outcome {
        // A flight may have landed between the look into the caches and the start of this one.
        if let Some(outcome) = self.remembered(&hash, self.clock.now()).await {
            return outcome;
        }
        let said = self.service.ask(|| self.question(token), async |answer| self.read(&answer).await).await;
        match said {
            Ok(Ok(known)) => {
                let known = Arc::new(known);
                self.bad.invalidate(&hash).await;
                self.good.insert(hash, known.clone()).await;
                Ok(known)
            }
            Ok(Err(error)) => {
                let until = facts::later(self.clock.now(), self.settings.cache.negative);
                self.good.invalidate(&hash).await;
                self.bad.insert(hash, Refused { error: error.clone(), until }).await;
                Err(error)
            }
            Err(wait) => self.stale(&hash).await.ok_or_else(|| self.unavailable(wait)),
        }
    }

    /// A good answer past its life, where the configuration grants a grace. Never past the token's own end.
    async fn stale(&self, hash: &Subject) -> Option<Arc<Known>> {
        let (known, now) = (self.good.get(hash).await?, self.clock.now());
        let grace = facts::later(known.fresh_until, self.settings.cache.stale_if_error);
        (now < grace && now < known.facts.expires_at).then_some(known)
    }

    fn question(&self, token: &str) -> Result<Question, CallError> {
        let accept = if self.signer.is_some() { signed::MEDIA_TYPE } else { "application/json" };
        let fields = [("token", token), ("token_type_hint", "access_token")];
        let question = self.client.request(&self.settings.endpoint, accept, &fields, self.clock.now());
        question.map_err(|_| CallError::Useless("client-settings"))
    }

    /// What an answer says. The outer error is for one that says nothing.
    async fn read(&self, answer: &Answer) -> Result<Result<Known, AuthnError>, CallError> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(CallError::Useless("client-rejected")),
            _ => return Err(CallError::Useless("status")),
        }
        let now = self.clock.now();
        let verdict = match &self.signer {
            Some(signer) => {
                let said = signed::read(answer, signer, &self.settings, now).await?;
                response::verdict(said, &self.settings, now)
            }
            None => response::read(&answer.body, &self.settings, now),
        };
        let known = |active: response::Active| Known {
            facts: Arc::new(active.facts),
            not_before: active.not_before,
            fresh_until: active.fresh_until,
            size: answer.body.len(),
        };
        verdict.map(|verdict| verdict.map(known)).ok_or(CallError::Useless("malformed"))
    }

    fn unavailable(&self, wait: Duration) -> AuthnError {
        // In whole seconds, as `Retry-After` tells them: who comes back when told must not come too early.
        let retry_after = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        AuthnError::IntrospectionUnavailable { server: self.settings.name.clone(), retry_after }
    }

    /// How the server stands, when it last answered, and what went wrong since.
    pub(super) fn state(&self) -> (SourceState, Option<Timestamp>, Option<&'static str>) {
        let Standing { last_success, last_error, is_left_alone } = self.service.standing();
        let state = match (last_error, last_success) {
            (None, None) => SourceState::Never,
            (None, Some(_)) => SourceState::Fresh,
            (Some(_), _) if is_left_alone => SourceState::Down,
            (Some(_), _) => SourceState::Stale,
        };
        (state, last_success, last_error)
    }
}

/// Why a server cannot be used as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IntrospectionError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
}
