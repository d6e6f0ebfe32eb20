//! The answer's body on its way to the client. It holds the connection that it comes from, and gives it back only when
//! it has ended cleanly: an error, a cut or a client that left closes the connection instead.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::watch::Watch;
use crate::upstream::error::StreamError;
use crate::upstream::headers::strip_response_trailers;
use crate::upstream::pool::Hold;

/// The body of an upstream's answer.
#[derive(Default)]
pub struct Body(Option<Streaming>);

struct Streaming {
    incoming: Incoming,
    watch: Watch,
    hold: Option<Hold>,
}

impl Body {
    pub(in crate::upstream) fn new(incoming: Incoming, mut watch: Watch, hold: Hold) -> Self {
        if incoming.is_end_stream() {
            hold.give_back(watch.take_timer(), Instant::now());
            return Self(None);
        }
        Self(Some(Streaming { incoming, watch, hold: Some(hold) }))
    }
}

impl Streaming {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let outcome = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending => match self.watch.waits(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(cut) => Err(cut),
            },
            Poll::Ready(None) => {
                self.ended(Instant::now());
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => Err(StreamError::Connection(error)),
            Poll::Ready(Some(Ok(frame))) => self.passes(frame),
        };
        if outcome.is_err() {
            self.hold = None;
        }
        Poll::Ready(Some(outcome))
    }

    fn passes(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, StreamError> {
        let now = self.watch.moved()?;
        if self.incoming.is_end_stream() {
            self.ended(now);
        }
        Ok(without_hop_by_hop(frame))
    }

    fn ended(&mut self, now: Instant) {
        if let Some(hold) = self.hold.take() {
            hold.give_back(self.watch.take_timer(), now);
        }
    }
}

fn without_hop_by_hop(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        strip_response_trailers(trailers);
    }
    frame
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let body = self.get_mut();
        let Some(streaming) = &mut body.0 else { return Poll::Ready(None) };
        let polled = streaming.poll(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            body.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |streaming| streaming.incoming.size_hint())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Body(streaming)" } else { "Body(ended)" })
    }
}
