//! Token exchange (RFC 8693): for a service that wants tokens of its own, the client's token is exchanged for one of them,
//! once for everybody who waits. What cannot be exchanged is a refusal: the client's own token never goes on.
//!
//! The memory belongs to one upstream, so what was issued for one service can never be found under another. Only a request
//! that was allowed looks into it: a client's token that was revoked, or whose key has vanished, is refused before.

mod answer;
mod ask;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use moka::future::Cache;
use tokio::runtime::Handle;

pub use self::answer::ExchangedToken;
use crate::authn::{Client, ClientAuthError, ClientSettings, SourceKind, SourceState, SourceStatus};
use crate::identity::{Name, Secret};
use crate::outbound::{
    Answer, CallError, Endpoint, Flights, OutboundError, OutboundSettings, Question, Service, Standing, Subject,
};
use crate::telemetry::Clock;

/// When to come back if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most bytes of tokens that are remembered for one service.
const MOST_BYTES: u64 = 64 << 20;
/// What a token costs to remember beside its text, in bytes.
const ENTRY_BYTES: usize = 512;
/// The most refusals that are remembered for one service, and for how long.
const MOST_REFUSALS: u64 = 10_000;
const REFUSAL_LIFE: Duration = Duration::from_secs(10);

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Where a client's token is exchanged for one that is the service's own.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenExchangeSettings {
    /// The token endpoint of the authorization server.
    pub endpoint: Endpoint,
    /// As whom it is asked.
    pub client: ClientSettings,
    /// For whom the token is to be.
    pub audience: Box<str>,
    /// What it may be good for; what the server thinks fit, where nothing is said.
    pub scope: Option<Box<str>>,
    /// The longest time for which a token is used; its own end and that of the client's token may be sooner.
    pub cache: Duration,
    /// How the server is called.
    pub outbound: OutboundSettings,
}

/// An authorization server, and what it issued for one service.
pub(super) struct Exchanger {
    upstream: Name,
    settings: TokenExchangeSettings,
    service: Service,
    client: Client,
    clock: Clock,
    issued: Cache<Subject, Arc<Issued>>,
    refused: Cache<Subject, &'static str>,
    flights: Flights<Outcome>,
}

/// A token for the service.
#[derive(Debug)]
pub(super) struct Issued {
    authorization: HeaderValue,
    until: Timestamp,
}

type Outcome = Result<Arc<Issued>, NotExchanged>;

/// Why there is no token for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExchanged {
    /// The authorization server will not exchange this token: its word for why.
    #[error("the authorization server refuses: {0}")]
    Refused(&'static str),
    /// It gives no answer of use. After how long to come back.
    #[error("the authorization server does not answer")]
    Unavailable(Duration),
}

impl Exchanger {
    pub(super) fn open(
        upstream: &Name,
        settings: &TokenExchangeSettings,
        control: &Handle,
        clock: &Clock,
    ) -> Result<Arc<Self>, ExchangeError> {
        let weight = |_: &Subject, issued: &Arc<Issued>| {
            u32::try_from(issued.authorization.len().saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX)
        };
        Ok(Arc::new(Self {
            upstream: upstream.clone(),
            settings: settings.clone(),
            service: Service::new(&settings.outbound, clock)?,
            client: Client::new(&settings.client)?,
            clock: clock.clone(),
            issued: Cache::builder().weigher(weight).max_capacity(MOST_BYTES).time_to_live(settings.cache).build(),
            refused: Cache::builder().max_capacity(MOST_REFUSALS).time_to_live(REFUSAL_LIFE).build(),
            flights: Flights::new(control),
        }))
    }

    pub(super) const fn settings(&self) -> &TokenExchangeSettings {
        &self.settings
    }

    /// `Authorization` for the service, got for a client's token that ends at `ends`.
    pub(super) async fn authorization(
        self: &Arc<Self>,
        token: &str,
        ends: Timestamp,
    ) -> Result<HeaderValue, NotExchanged> {
        let mut subject = Subject::default();
        subject.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let outcome = match self.remembered(&subject).await {
            Some(outcome) => outcome,
            None => {
                let flight = || {
                    let (exchanger, token) = (self.clone(), Secret::new(Box::<str>::from(token)));
                    async move { exchanger.exchange(token.expose(), subject, ends).await }
                };
                let unavailable = || Err(NotExchanged::Unavailable(RETRY_AFTER));
                self.flights.join(subject, flight).await.unwrap_or_else(unavailable)
            }
        };
        outcome.map(|issued| issued.authorization.clone())
    }

    async fn remembered(&self, subject: &Subject) -> Option<Outcome> {
        let now = self.clock.now();
        if let Some(issued) = self.issued.get(subject).await.filter(|issued| now < issued.until) {
            return Some(Ok(issued));
        }
        self.refused.get(subject).await.map(|word| Err(NotExchanged::Refused(word)))
    }

    async fn exchange(&self, token: &str, subject: Subject, ends: Timestamp) -> Outcome {
        // A flight may have landed between the look into the memory and the start of this one.
        if let Some(outcome) = self.remembered(&subject).await {
            return outcome;
        }
        // A life is counted from before the server was asked.
        let asked = self.clock.now();
        match self.service.ask(|| self.question(token), async |answer| read(&answer)).await {
            Ok(Ok(given)) => {
                let lasts = given.lasts.unwrap_or(self.settings.cache).min(self.settings.cache);
                let until = asked.checked_add(lasts).unwrap_or(Timestamp::MAX).min(ends);
                let issued = Arc::new(Issued { authorization: given.authorization, until });
                self.issued.insert(subject, issued.clone()).await;
                Ok(issued)
            }
            Ok(Err(word)) => {
                self.refused.insert(subject, word).await;
                Err(NotExchanged::Refused(word))
            }
            Err(wait) => Err(NotExchanged::Unavailable(wait)),
        }
    }

    /// RFC 8693 section 2.1.
    fn question(&self, token: &str) -> Result<Question, CallError> {
        let mut fields = vec![
            ("grant_type", GRANT),
            ("subject_token", token),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("audience", &*self.settings.audience),
        ];
        fields.extend(self.settings.scope.as_deref().map(|scope| ("scope", scope)));
        let question = self.client.request(&self.settings.endpoint, "application/json", &fields, self.clock.now());
        question.map_err(|_| CallError::Useless("client-settings"))
    }

    /// How the server fares.
    pub(super) fn status(&self) -> SourceStatus {
        let Standing { last_success, last_error, is_left_alone } = self.service.standing();
        let state = match (last_error, last_success) {
            (None, None) => SourceState::Never,
            (None, Some(_)) => SourceState::Fresh,
            (Some(_), _) if is_left_alone => SourceState::Down,
            (Some(_), _) => SourceState::Stale,
        };
        let (name, kind) = (self.upstream.clone(), SourceKind::Exchange);
        SourceStatus { name, kind, state, keys: 0, skipped_keys: 0, last_success, last_error }
    }
}

impl std::fmt::Debug for Exchanger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchanger").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// What an answer says. The outer error is for one that says nothing about the token.
fn read(answer: &Answer) -> Result<Result<ExchangedToken, &'static str>, CallError> {
    match answer.status {
        StatusCode::OK => ExchangedToken::read(&answer.body).map(Ok).ok_or(CallError::Useless("malformed")),
        StatusCode::BAD_REQUEST => answer::refusal(&answer.body).map(Err).ok_or(CallError::Useless("client-rejected")),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Useless("client-rejected")),
        _ => Err(CallError::Useless("status")),
    }
}

/// Why a server cannot be used as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Client(#[from] ClientAuthError),
}
