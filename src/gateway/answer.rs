//! The body of an answer, which carries the request's trail to its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::audit::Trail;
use crate::rejection::trailers;
use crate::request::RequestId;
use crate::upstream::{self, Forwarded, StreamError};

/// What the client is sent: bytes of our own, or the upstream's stream. When it ends, fails or is dropped, the request's
/// one record is written.
#[derive(Debug)]
pub struct AnswerBody {
    content: Content,
    trail: Option<Trail>,
    /// Of a gRPC call: how its client knows it. When it breaks off, its trailers say why.
    call: Option<RequestId>,
}

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Upstream(upstream::Body),
}

impl AnswerBody {
    /// A short answer of our own: a refusal, or an endpoint of the gateway itself.
    pub(super) fn own(response: Response<Bytes>, mut trail: Trail) -> Response<Self> {
        trail.status(response.status());
        response.map(|bytes| Self { content: Content::Own(bytes), trail: Some(trail), call: None })
    }

    /// The upstream's answer, streamed. The trail of an upgraded connection stays with its tunnel. A `call` is a gRPC call
    /// over HTTP/2, which can say how it ended when it has begun.
    pub(super) fn forwarded(forwarded: Forwarded, mut trail: Trail, call: Option<RequestId>) -> Response<Self> {
        trail.forwarded(&forwarded.upstream, &forwarded.endpoint);
        trail.status(forwarded.response.status());
        let trail = match forwarded.tunnel {
            None => Some(trail),
            Some(tunnel) => {
                tokio::task::spawn_local(async move {
                    // A tunnel that was dropped without an end was cut; so is the trail then.
                    if let Ok(ended) = tunnel.await {
                        trail.tunnelled(&ended);
                        trail.complete();
                    }
                });
                None
            }
        };
        // An answer that states its length has no room for other words.
        let call = call.filter(|_| forwarded.response.body().size_hint().exact().is_none());
        forwarded.response.map(|body| Self { content: Content::Upstream(body), trail, call })
    }

    fn ended(&mut self) {
        if let Some(trail) = self.trail.take() {
            trail.complete();
        }
    }

    fn failed(&mut self, error: &StreamError) {
        if let Some(mut trail) = self.trail.take() {
            trail.ended(error.reason(), Some(error.to_string()));
            trail.complete();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let frame = match &mut self.content {
            Content::Own(bytes) if bytes.is_empty() => None,
            Content::Own(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Content::Upstream(body) => ready!(Pin::new(body).poll_frame(context)),
        };
        match &frame {
            None => self.ended(),
            Some(Err(error)) => {
                self.failed(error);
                if let Some(id) = self.call {
                    self.content = Content::Own(Bytes::new());
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(error, &id)))));
                }
            }
            Some(Ok(frame)) => {
                if let (Some(data), Some(trail)) = (frame.data_ref(), &self.trail) {
                    trail.count_out(data.len());
                }
                // The connection may never ask again once it has all that it needs.
                if self.is_end_stream() {
                    self.ended();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(bytes) => bytes.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // A body without bytes (HEAD, 204, 304) is never polled: dropping it is its end. So is one of our own that a
        // HEAD request keeps back.
        if self.is_end_stream() || matches!(self.content, Content::Own(_)) {
            self.ended();
        }
    }
}
