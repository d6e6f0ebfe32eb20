//! The body of a request, streamed and never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// A request body as it comes from the client, or none.
#[derive(Debug, Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// Streamed from the connection.
    Incoming(Incoming),
    /// Streamed from the connection, its bytes counted as they pass.
    Counted(Incoming, Arc<AtomicU64>),
}

impl Body {
    /// A body whose bytes are added to a counter as they pass; none is made for a body that has nothing.
    pub fn counted(body: Incoming, counter: impl FnOnce() -> Arc<AtomicU64>) -> Self {
        if http_body::Body::is_end_stream(&body) { Self::Empty } else { Self::Counted(body, counter()) }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Incoming(body) => Pin::new(body).poll_frame(context),
            Self::Counted(body, counter) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    counter.fetch_add(data.len() as u64, Ordering::Relaxed);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Incoming(body) | Self::Counted(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Incoming(body) | Self::Counted(body, _) => body.size_hint(),
        }
    }
}
