//! Opaque tokens: asks the authorization server that stands behind them (RFC 7662), once for everybody who waits.
//!
//! The caches belong to one server as one client, so an answer can never be found under another server's or another
//! client's name. The call runs in a task of the control runtime: a client that hangs up neither ends it nor repeats it.

mod breaker;
mod client_auth;
mod response;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use moka::future::Cache;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use self::breaker::Breaker;
pub(super) use self::client_auth::Client;
pub use self::client_auth::ClientAuthError;
use super::error::AuthnError;
use super::facts;
use super::settings::IntrospectionSettings;
use super::status::SourceState;
use crate::identity::{Secret, TokenFacts};
use crate::outbound::{Outbound, OutboundError};
use crate::telemetry::Clock;

/// The most tokens that a server is being asked about, counting those whose turn has not come.
const MOST_FLIGHTS: usize = 1024;
/// The most calls to one server at a time.
const MOST_CALLS: usize = 64;
/// When to come back if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// SHA-256 of a token: where tokens are kept for long they are not kept themselves.
type TokenHash = [u8; 32];
type Outcome = Result<Arc<Known>, AuthnError>;

/// An authorization server and what it said.
pub(super) struct IntrospectionServer {
    settings: IntrospectionSettings,
    outbound: Outbound,
    client: Client,
    control: Handle,
    clock: Clock,
    good: Cache<TokenHash, Arc<Known>>,
    bad: Cache<TokenHash, Refused>,
    flights: Mutex<HashMap<TokenHash, watch::Receiver<Option<Outcome>>>>,
    calls: Semaphore,
    breaker: Mutex<Breaker>,
    history: Mutex<History>,
}

/// What is known of an active token.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) facts: Arc<TokenFacts>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) fresh_until: Timestamp,
}

/// An answer that refuses a token, until then.
#[derive(Clone, Debug)]
struct Refused {
    error: AuthnError,
    until: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct History {
    last_success: Option<Timestamp>,
    last_error: Option<&'static str>,
}

impl IntrospectionServer {
    pub(super) fn open(
        settings: &IntrospectionSettings,
        control: &Handle,
        clock: &Clock,
    ) -> Result<Arc<Self>, IntrospectionError> {
        let cache = &settings.cache;
        Ok(Arc::new(Self {
            settings: settings.clone(),
            outbound: Outbound::new(&settings.outbound)?,
            client: Client::new(&settings.client)?,
            control: control.clone(),
            clock: clock.clone(),
            good: Cache::builder()
                .max_capacity(cache.max_entries)
                .time_to_live(cache.positive.saturating_add(cache.stale_if_error))
                .build(),
            bad: Cache::builder().max_capacity(cache.max_entries).time_to_live(cache.negative).build(),
            flights: Mutex::default(),
            calls: Semaphore::new(MOST_CALLS),
            breaker: Mutex::default(),
            history: Mutex::default(),
        }))
    }

    pub(super) const fn settings(&self) -> &IntrospectionSettings {
        &self.settings
    }

    /// What the server says about a token, now or a moment ago.
    pub(super) async fn ask(self: &Arc<Self>, token: &str, hash: TokenHash, now: Timestamp) -> Outcome {
        if let Some(outcome) = self.remembered(&hash, now).await {
            return outcome;
        }
        let mut landing = self.join(token, hash)?;
        let landed = landing.wait_for(Option::is_some).await;
        landed.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(self.unavailable(RETRY_AFTER)))
    }

    async fn remembered(&self, hash: &TokenHash, now: Timestamp) -> Option<Outcome> {
        if let Some(known) = self.good.get(hash).await.filter(|known| now < known.fresh_until) {
            return Some(Ok(known));
        }
        let refused = self.bad.get(hash).await.filter(|refused| now < refused.until)?;
        Some(Err(refused.error))
    }

    /// Joins the call that is being made about this token, or starts it.
    fn join(self: &Arc<Self>, token: &str, hash: TokenHash) -> Result<watch::Receiver<Option<Outcome>>, AuthnError> {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&hash) {
            return Ok(flight.clone());
        }
        if flights.len() >= MOST_FLIGHTS {
            return Err(self.unavailable(RETRY_AFTER));
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(hash, receiver.clone());
        drop(flights);
        let flight = Flight { server: self.clone(), hash };
        let token = Secret::new(Box::<str>::from(token));
        self.control.spawn(async move {
            let outcome = flight.server.answer(token.expose(), hash).await;
            drop(flight);
            sender.send_replace(Some(outcome));
        });
        Ok(receiver)
    }

    async fn answer(&self, token: &str, hash: TokenHash) -> Outcome {
        // A flight may have landed between the look into the caches and the start of this one.
        if let Some(outcome) = self.remembered(&hash, self.clock.now()).await {
            return outcome;
        }
        match self.call(token).await {
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
    async fn stale(&self, hash: &TokenHash) -> Option<Arc<Known>> {
        let (known, now) = (self.good.get(hash).await?, self.clock.now());
        let grace = facts::later(known.fresh_until, self.settings.cache.stale_if_error);
        (now < grace && now < known.facts.expires_at).then_some(known)
    }

    /// One call. The outer error is the server's, with the time after which to come back.
    async fn call(&self, token: &str) -> Result<Result<Known, AuthnError>, Duration> {
        let queue = tokio::time::timeout(self.settings.outbound.timeout, self.calls.acquire());
        let Ok(Ok(_turn)) = queue.await else { return Err(RETRY_AFTER) };
        lock(&self.breaker).admit(Instant::now())?;
        let answered = self.exchange(token).await;
        let now = Instant::now();
        let mut breaker = lock(&self.breaker);
        let mut history = lock(&self.history);
        match answered {
            Ok(verdict) => {
                breaker.succeeded();
                *history = History { last_success: Some(self.clock.now()), last_error: None };
                Ok(verdict)
            }
            Err(error) => {
                history.last_error = Some(error.as_str());
                match error {
                    CallError::TooMany(wait) => breaker.told_to_wait(now, wait),
                    _ => breaker.failed(now),
                }
                Err(if let CallError::TooMany(wait) = error { wait } else { RETRY_AFTER })
            }
        }
    }

    async fn exchange(&self, token: &str) -> Result<Result<Known, AuthnError>, CallError> {
        let request = self.client.request(&self.settings.endpoint, token, self.clock.now());
        let answer = self.outbound.send(request.map_err(CallError::Client)?).await?;
        match answer.status {
            StatusCode::OK => {
                let verdict = response::read(&answer.body, &self.settings, self.clock.now());
                let known = |active: response::Active| Known {
                    facts: Arc::new(active.facts),
                    not_before: active.not_before,
                    fresh_until: active.fresh_until,
                };
                verdict.map(|verdict| verdict.map(known)).ok_or(CallError::Malformed)
            }
            StatusCode::TOO_MANY_REQUESTS => Err(CallError::TooMany(retry_after(&answer.headers))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Rejected),
            _ => Err(CallError::Status),
        }
    }

    fn unavailable(&self, wait: Duration) -> AuthnError {
        // In whole seconds, as `Retry-After` tells them: who comes back when told must not come too early.
        let retry_after = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        AuthnError::IntrospectionUnavailable { server: self.settings.name.clone(), retry_after }
    }

    /// How the server stands, when it last answered, and what went wrong since.
    pub(super) fn state(&self) -> (SourceState, Option<Timestamp>, Option<&'static str>) {
        let open = lock(&self.breaker).is_open(Instant::now());
        let history = *lock(&self.history);
        let state = match (history.last_error, history.last_success) {
            (None, None) => SourceState::Never,
            (None, Some(_)) => SourceState::Fresh,
            (Some(_), _) if open => SourceState::Down,
            (Some(_), _) => SourceState::Stale,
        };
        (state, history.last_success, history.last_error)
    }
}

/// A call under way. Its end, by whatever cause, makes room for the next.
struct Flight {
    server: Arc<IntrospectionServer>,
    hash: TokenHash,
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(&self.server.flights).remove(&self.hash);
    }
}

/// RFC 9110 section 10.2.3, in seconds; a date, or nothing, is a short while.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::from_secs(5), Duration::from_secs)
}

/// A panic while one of these locks was held leaves nothing half-done behind it: each write is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a call says nothing about a token.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Client(ClientAuthError),
    #[error("the server asks for patience")]
    TooMany(Duration),
    #[error("the server does not accept this client")]
    Rejected,
    #[error("the server answers with another status than 200")]
    Status,
    #[error("the answer is malformed")]
    Malformed,
}

impl CallError {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound(error) => error.as_str(),
            Self::Client(_) => "client-settings",
            Self::TooMany(_) => "too-many-requests",
            Self::Rejected => "client-rejected",
            Self::Status => "status",
            Self::Malformed => "malformed",
        }
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
