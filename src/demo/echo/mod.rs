//! The service behind the demo's gateway: it answers what it received.
//!
//! A path that ends in `/events` is a stream of server-sent events; a WebSocket handshake (RFC 6455) on any path gets its
//! messages back; everything else gets a JSON description of its own request.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Map, Value};

use super::loopback::{HangUp, Loopback};

mod websocket;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A running echo service. It stops when this is dropped.
#[derive(Debug)]
pub struct Echo {
    server: Loopback,
}

/// What the service received.
#[derive(Debug, Serialize)]
struct Received {
    method: String,
    target: String,
    headers: Map<String, Value>,
    body_bytes: usize,
}

impl Echo {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(0).await
    }

    /// Starts on `port` of 127.0.0.1, 0 for a free one.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_at(port: u16) -> io::Result<Self> {
        Ok(Self { server: Loopback::bind(port).await?.serve(answer) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, HangUp> {
    if websocket::is_handshake(&request) {
        return Ok(websocket::accept(request).map(|body| body.boxed()));
    }
    if request.uri().path().ends_with("/events") {
        return Ok(events(pace(request.uri().query())));
    }
    let (head, mut body) = request.into_parts();
    let mut body_bytes = 0;
    while let Some(frame) = body.frame().await {
        body_bytes += frame.map_err(|_| HangUp)?.data_ref().map_or(0, Bytes::len);
    }
    let target = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let received = Received { method: head.method.to_string(), target, headers: shown(&head.headers), body_bytes };
    let text = serde_json::to_string_pretty(&received).map_err(|_| HangUp)?;
    let mut answer = Response::new(Full::from(text + "\n").boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// Header fields by name: one value, or a list where the field occurs more than once.
fn shown(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    headers
        .keys()
        .map(|name| {
            let mut values: Vec<_> = headers.get_all(name).iter().map(text).collect();
            let one = values.len() == 1;
            (
                name.to_string(),
                values.pop().filter(|_| one).unwrap_or_else(|| headers.get_all(name).iter().map(text).collect()),
            )
        })
        .collect()
}

/// How long between two events: `every=MILLISECONDS` in the query, else a second.
fn pace(query: Option<&str>) -> Duration {
    let every = query.and_then(|query| query.strip_prefix("every=")?.parse().ok());
    Duration::from_millis(every.map_or(1000, |every: u64| every.clamp(1, 60_000)))
}

/// One event now and more at this pace, until the client goes away.
fn events(pace: Duration) -> Answer {
    let ticks = stream::unfold(0_u64, move |number| async move {
        if number > 0 {
            tokio::time::sleep(pace).await;
        }
        let event = Bytes::from(format!("event: tick\ndata: {number}\n\n"));
        Some((Ok(Frame::data(event)), number + 1))
    });
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(ticks)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests;
