//! `/livez`, `/readyz`, `/metrics`, `/status`: read-only, and no identity in any of them.
//!
//! On a loopback address nobody is served who calls it by another name: a page in a browser on this machine could have
//! its own name lead here (DNS rebinding), and read what is for this machine alone. On other addresses names are the
//! network's, and so is who may come.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::serve::{Answer, answer, json, serve_connection, text};
use super::{Overview, metrics};
use crate::request::Host;
use crate::telemetry::Exposition;

/// Serves the probes until the task is dropped.
pub async fn serve_probes(listener: TcpListener, overview: Arc<Overview>) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let overview = overview.clone();
                tokio::spawn(serve_connection(stream, move |request| {
                    let answer = probe(&request, is_local, &overview);
                    async move { answer }
                }));
            }
            // Out of file descriptors: leave the other sockets a moment to close.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

fn probe(request: &Request<Incoming>, is_local: bool, overview: &Overview) -> Answer {
    if is_local && !request.headers().get_all(HOST).iter().all(names_this_machine) {
        return text(StatusCode::MISDIRECTED_REQUEST, "ask for localhost or for the address itself\n");
    }
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

/// Names that nobody else can give to an address of theirs.
fn names_this_machine(host: &HeaderValue) -> bool {
    let Ok((host, _)) = Host::parse_authority(host.as_bytes()) else { return false };
    let name = host.as_str().trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::names_this_machine;

    #[test]
    fn only_this_machine_is_called_so() {
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "127.1.2.3", "[::1]:9090", "[::ffff:127.0.0.1]"] {
            assert!(names_this_machine(&HeaderValue::from_static(host)), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "", "127.1", "a b"]
        {
            assert!(!names_this_machine(&HeaderValue::from_static(host)), "{host}");
        }
    }
}
