//! The request's body on its way to the service: counted, bounded, timed, its trailers filtered.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::pace::Pace;
use super::watch::Watch;
use crate::identity::Reason;
use crate::request;
use crate::upstream::error::StreamError;
use crate::upstream::headers::Reserved;

/// A request body that hyper sends.
pub(in crate::upstream) struct RequestBody(Option<Box<Streaming>>);

struct Streaming {
    body: request::Body,
    watch: Watch,
    limits: Limits,
    progress: Rc<Progress>,
}

/// What a request body must keep to.
pub(in crate::upstream) struct Limits {
    /// Bytes.
    pub(in crate::upstream) most: u64,
    /// How slowly they may come; none for a stream whose sender may have nothing to say.
    pub(in crate::upstream) pace: Option<Pace>,
    /// Names that no trailer may have.
    pub(in crate::upstream) reserved: Arc<Reserved>,
    /// Names that rules set, and that no trailer may have either.
    pub(in crate::upstream) owned: Vec<HeaderName>,
}

/// How far a request body has come: for whoever waits for the answer.
#[derive(Debug)]
pub(in crate::upstream) struct Progress {
    state: Cell<State>,
    moved: Cell<Instant>,
    owed: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Untouched,
    Streaming,
    Whole,
    Failed(Failure),
}

/// Why a request body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Failure {
    /// The client went away or broke its framing.
    Client,
    /// It came too slowly.
    Timeout,
    /// It is too large.
    TooLarge,
    /// The grant ended.
    Lease(Reason),
}

impl Progress {
    /// Whether nobody has asked for a piece yet: the request can still be sent elsewhere.
    pub(in crate::upstream) fn untouched(&self) -> bool {
        self.state.get() == State::Untouched
    }

    /// Whether the last piece was handed over.
    pub(in crate::upstream) fn whole(&self) -> bool {
        self.state.get() == State::Whole
    }

    /// Why it failed, when it did.
    pub(in crate::upstream) fn failure(&self) -> Option<Failure> {
        match self.state.get() {
            State::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the service has taken all that came and waits for the client: what is late then is not its fault.
    pub(in crate::upstream) fn owed(&self) -> bool {
        self.owed.get()
    }

    /// When the last piece was handed over.
    pub(in crate::upstream) fn moved(&self) -> Instant {
        self.moved.get()
    }
}

impl RequestBody {
    /// No body.
    pub(in crate::upstream) const fn empty() -> Self {
        Self(None)
    }

    /// A body and the view of its progress; none for a body that is empty from the start.
    pub(in crate::upstream) fn new(
        body: request::Body,
        mut watch: Watch,
        limits: Limits,
    ) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self(None), None);
        }
        if let Some(pace) = &limits.pace {
            watch.begin_again(pace.patience());
        }
        let (state, moved) = (Cell::new(State::Untouched), Cell::new(Instant::now()));
        let progress = Rc::new(Progress { state, moved, owed: Cell::new(false) });
        (Self(Some(Box::new(Streaming { body, watch, limits, progress: progress.clone() }))), Some(progress))
    }
}

impl Streaming {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if self.progress.untouched() {
            self.progress.state.set(State::Streaming);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.progress.owed.set(polled.is_pending());
        let outcome = match polled {
            Poll::Pending => match self.watch.waits(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(cut) => Err(cut),
            },
            Poll::Ready(None) => {
                self.progress.state.set(State::Whole);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => Err(StreamError::Connection(error)),
            Poll::Ready(Some(Ok(frame))) => self.pass(frame),
        };
        if let Err(cut) = &outcome {
            self.progress.state.set(State::Failed(Failure::of(cut)));
        } else if self.body.is_end_stream() {
            self.progress.state.set(State::Whole);
        }
        Poll::Ready(Some(outcome))
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, StreamError> {
        let since = self.watch.waiting_since();
        let now = self.watch.moved()?;
        self.progress.moved.set(now);
        match frame.into_data() {
            Ok(bytes) => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                if let Some(pace) = &mut self.limits.pace {
                    pace.came(length, since.map_or(Duration::ZERO, |since| now.duration_since(since)));
                    self.watch.begin_again(pace.patience());
                }
                match self.limits.most.checked_sub(length) {
                    Some(left) => self.limits.most = left,
                    None => return Err(StreamError::TooLarge { limit: self.limits.most }),
                }
                Ok(Frame::data(bytes))
            }
            Err(other) => match other.into_trailers() {
                Ok(mut trailers) => {
                    self.limits.reserved.strip_trailers(&mut trailers, &self.limits.owned);
                    Ok(Frame::trailers(trailers))
                }
                Err(unknown) => Ok(unknown),
            },
        }
    }
}

impl Failure {
    const fn of(cut: &StreamError) -> Self {
        match cut {
            StreamError::Connection(_) => Self::Client,
            StreamError::Timeout(_) => Self::Timeout,
            StreamError::TooLarge { .. } => Self::TooLarge,
            StreamError::LeaseEnded(reason) => Self::Lease(*reason),
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match &mut self.get_mut().0 {
            None => Poll::Ready(None),
            Some(streaming) => streaming.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |streaming| streaming.body.size_hint())
    }
}
