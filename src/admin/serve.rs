//! Serves HTTP/1.1 to operators: few connections, small answers, a deadline for everything.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceBuilder;

/// How long a request may take, a reload included.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a client may take to send a request's head, and to stay idle.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests under way on one connection's service.
const CONCURRENCY: usize = 16;

/// An answer to an operator.
pub(super) type Answer = Response<Full<Bytes>>;

/// Serves one connection with `handler` until either side closes it.
pub(super) async fn serve_connection<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = ServiceBuilder::new().concurrency_limit(CONCURRENCY).timeout(DEADLINE).service_fn(
        move |request: Request<Incoming>| {
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        },
    );
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an admin connection ended");
    }
}

/// An answer with a body of the given type.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer in JSON, on one line.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    answer(status, "application/json", body)
}

/// An answer in plain text.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.into())
}
