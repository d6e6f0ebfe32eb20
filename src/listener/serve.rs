//! HTTP/1.1 and HTTP/2 on a connection that is known (RFC 9112, RFC 9113): hyper, with every limit set.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use super::limits::Limits;
use super::stream::Stream;
use super::workers::Phase;
use crate::request::{Connection, HttpVersion};

/// Serves every request of a connection, until either side ends it, a deadline passes, or the worker drains.
pub(super) async fn serve<S, F, B>(
    stream: Stream,
    connection: Arc<Connection>,
    service: Rc<S>,
    limits: &Limits,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), hyper::Error>
where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let http = connection.http;
    let answer = service_fn(move |request| {
        let answer = service(request, connection.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let io = TokioIo::new(stream);
    macro_rules! drive {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            tokio::select! {
                result = connection.as_mut() => return result,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection => result,
                _ = phase.wait_for(|phase| *phase == Phase::Cut) => Ok(()),
            }
        }};
    }
    match http {
        HttpVersion::Http1 => drive!(http1_builder(limits).serve_connection(io, answer).with_upgrades()),
        HttpVersion::Http2 => drive!(http2_builder(limits).serve_connection(io, answer)),
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes.max(8192))
        .half_close(false);
    if limits.header_fields != 100 {
        builder.max_headers(limits.header_fields);
    }
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<OnThisThread> {
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(64 * 1024)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .enable_connect_protocol();
    builder
}

/// Runs the streams of an HTTP/2 connection on the worker's own thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
