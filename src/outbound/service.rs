//! A server that is asked questions: so many at a time, not while it said "later", not often while it fails.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::{Answer, Outbound, OutboundError, OutboundSettings, Question};
use crate::telemetry::Clock;

/// The most calls to one server at a time.
const MOST_CALLS: usize = 64;
/// When to come back if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A server and how it fares.
#[derive(Debug)]
pub struct Service {
    outbound: Outbound,
    timeout: Duration,
    clock: Clock,
    calls: Semaphore,
    breaker: Mutex<Breaker>,
    history: Mutex<History>,
}

#[derive(Clone, Copy, Debug, Default)]
struct History {
    last_success: Option<Timestamp>,
    last_error: Option<&'static str>,
}

/// How a server fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When it last answered well.
    pub last_success: Option<Timestamp>,
    /// What went wrong since, as one word.
    pub last_error: Option<&'static str>,
    /// Whether it is left alone for now.
    pub is_left_alone: bool,
}

impl Service {
    /// A server that was never asked.
    ///
    /// # Errors
    /// [`OutboundError::Settings`].
    pub fn new(settings: &OutboundSettings, clock: &Clock) -> Result<Self, OutboundError> {
        Ok(Self {
            outbound: Outbound::new(settings)?,
            timeout: settings.timeout,
            clock: clock.clone(),
            calls: Semaphore::new(MOST_CALLS),
            breaker: Mutex::default(),
            history: Mutex::default(),
        })
    }

    /// Puts one question, which is made when its turn has come, and reads the answer.
    ///
    /// # Errors
    /// When the server gave no answer of use: after how long to come back.
    pub async fn ask<T, F>(
        &self,
        question: impl FnOnce() -> Result<Question, CallError>,
        read: impl FnOnce(Answer) -> F,
    ) -> Result<T, Duration>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let turn = tokio::time::timeout(self.timeout, self.calls.acquire());
        let Ok(Ok(_turn)) = turn.await else { return Err(RETRY_AFTER) };
        lock(&self.breaker).admit(Instant::now())?;
        let answered = match self.exchange(question).await {
            Ok(answer) => read(answer).await,
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let (mut breaker, mut history) = (lock(&self.breaker), lock(&self.history));
        match answered {
            Ok(found) => {
                breaker.succeeded();
                *history = History { last_success: Some(self.clock.now()), last_error: None };
                Ok(found)
            }
            Err(error) => {
                history.last_error = Some(error.as_str());
                match error {
                    CallError::Later(wait) => breaker.told_to_wait(now, wait),
                    CallError::Outbound(_) | CallError::Useless(_) => breaker.failed(now),
                }
                Err(if let CallError::Later(wait) = error { wait } else { RETRY_AFTER })
            }
        }
    }

    async fn exchange(&self, question: impl FnOnce() -> Result<Question, CallError>) -> Result<Answer, CallError> {
        let answer = self.outbound.send(question()?).await?;
        let later = retry_after(&answer.headers);
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => Err(CallError::Later(later.unwrap_or(Duration::from_secs(5)))),
            StatusCode::SERVICE_UNAVAILABLE => Err(later.map_or(CallError::Useless("status"), CallError::Later)),
            _ => Ok(answer),
        }
    }

    /// How it fares.
    pub fn standing(&self) -> Standing {
        let is_left_alone = lock(&self.breaker).is_open(Instant::now());
        let History { last_success, last_error } = *lock(&self.history);
        Standing { last_success, last_error, is_left_alone }
    }
}

/// RFC 9110 section 10.2.3, in seconds; a date is as good as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A panic while one of these locks was held leaves nothing half-done behind it: each write is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a call brought nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum CallError {
    /// There was no answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The server asks for patience.
    #[error("the server asks for patience")]
    Later(Duration),
    /// The answer is of no use, or the question cannot be put: why, in a word for states and metrics.
    #[error("the answer is of no use: {0}")]
    Useless(&'static str),
}

impl CallError {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound(error) => error.as_str(),
            Self::Later(_) => "too-many-requests",
            Self::Useless(word) => word,
        }
    }
}
