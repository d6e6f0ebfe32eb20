//! The body of an answer on its way out: it keeps its exchange open until it ends, and shows when the client holds it up.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::pace::Exchange;

/// A body that is watched.
pub(super) struct Answer<B> {
    body: B,
    held: Held,
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, exchange: Exchange) -> Self {
        Self { body, held: Held { exchange, holds: false } }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        this.held.release();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        // In HTTP/2 the last piece, too, may wait for the client's window; in HTTP/1.1 it is in the socket's hands.
        let may_wait = !this.body.is_end_stream() || this.held.exchange.pace().is_http2();
        if may_wait && matches!(polled, Poll::Ready(Some(Ok(_)))) {
            this.held.hold();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The open exchange, and whether its body waits to be asked for more.
struct Held {
    exchange: Exchange,
    holds: bool,
}

impl Held {
    fn hold(&mut self) {
        self.holds = true;
        self.exchange.pace().holds();
    }

    fn release(&mut self) {
        if self.holds {
            self.holds = false;
            self.exchange.pace().no_longer_holds();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
