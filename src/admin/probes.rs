//! `/livez`, `/readyz`, `/metrics`, `/status`: read-only, and no identity in any of them.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::serve::{Answer, answer, json, serve_connection, text};
use super::{Overview, metrics};
use crate::telemetry::Exposition;

/// Serves the probes until the task is dropped.
pub async fn serve_probes(listener: TcpListener, overview: Arc<Overview>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let overview = overview.clone();
                tokio::spawn(serve_connection(stream, move |request| {
                    let answer = probe(&request, &overview);
                    async move { answer }
                }));
            }
            // Out of file descriptors: leave the other sockets a moment to close.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

fn probe(request: &Request<Incoming>, overview: &Overview) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET here\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" => match overview.not_ready() {
            reasons if reasons.is_empty() => text(StatusCode::OK, "ready\n"),
            reasons => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", reasons.join("; "))),
        },
        "/metrics" => answer(StatusCode::OK, Exposition::CONTENT_TYPE, metrics::expose(overview)),
        "/status" => json(StatusCode::OK, &overview.status()),
        _ => text(StatusCode::NOT_FOUND, "here are /livez, /readyz, /metrics and /status\n"),
    }
}
