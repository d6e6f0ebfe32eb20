//! The control socket: orders from whoever may open it, which is the user that Portcullis runs as.
//!
//! HTTP/1.1 over a Unix socket of mode 0600: `POST /reload`, `POST /rollback`, `POST /explain`, `POST /revoke`,
//! `POST /upgrade`, `GET /status`. A request with an `Origin` comes from a
//! browser and is refused.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::Overview;
use super::revoke::revoke;
use super::serve::{Answer, json, serve_connection};

/// The largest answer that `portcullis status` reads, in bytes.
const MAX_REPLY: usize = 4 * 1024 * 1024;
/// The largest order, in bytes.
const MAX_ORDER: usize = 128 * 1024;

/// An order that only the server itself can carry out.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration again.
    Reload(oneshot::Sender<Reply>),
    /// Put another version of the policy that was in force before back in force: the one before, or the one that is named.
    Rollback {
        /// The version.
        to: Option<String>,
        /// Where the outcome goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Explain a decision under the policy in force.
    Explain {
        /// Which one.
        order: ExplainOrder,
        /// Where the explanation goes, or why there is none.
        reply: oneshot::Sender<Result<serde_json::Value, String>>,
    },
    /// Hand over to a new process of the program as it is on disk now.
    Upgrade(oneshot::Sender<Reply>),
}

/// Which version of the policy shall be in force again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackOrder {
    /// The version; the one before when it is not stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What shall be explained: one of the two.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainOrder {
    /// The id of a request whose decision is in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// A request, described by the keys of a `[[test]]` in TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether it was carried out.
    pub done: bool,
    /// What happened, for a person to read; several lines when a configuration has faults.
    pub message: String,
}

/// Binds the control socket with mode 0600. A socket that a dead process left behind is replaced.
///
/// # Errors
/// When another process serves the socket, or the path cannot be bound.
pub fn bind_control(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Between bind and listen nobody can connect, so the mode is never wider than 0600 while it matters.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// Serves the control socket until the task is dropped.
pub async fn serve_control(listener: UnixListener, overview: Arc<Overview>, orders: mpsc::Sender<Order>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (overview, orders) = (overview.clone(), orders.clone());
                tokio::spawn(serve_connection(stream, move |request| {
                    let (overview, orders) = (overview.clone(), orders.clone());
                    async move { obey(request, &overview, &orders).await }
                }));
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn obey(request: Request<Incoming>, overview: &Overview, orders: &mpsc::Sender<Order>) -> Answer {
    let refused = |message: &str| Reply { done: false, message: message.into() };
    if request.headers().contains_key(ORIGIN) {
        return json(StatusCode::FORBIDDEN, &refused("the control socket does not serve browsers"));
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/status") => json(StatusCode::OK, &overview.status()),
        (&Method::POST, "/reload") => pass_on(orders, Order::Reload).await,
        (&Method::POST, "/upgrade") => pass_on(orders, Order::Upgrade).await,
        (&Method::POST, order @ ("/revoke" | "/rollback" | "/explain")) => {
            let order = order.to_owned();
            let Ok(body) = Limited::new(request.into_body(), MAX_ORDER).collect().await else {
                return json(StatusCode::PAYLOAD_TOO_LARGE, &refused("the order is too large"));
            };
            let body = body.to_bytes();
            if order == "/revoke" {
                return told(&revoke(&body, &overview.revocations, overview.clock.now()));
            }
            if order == "/explain" {
                return explain(&body, orders).await;
            }
            match serde_json::from_slice::<RollbackOrder>(if body.is_empty() { b"{}" } else { &body }) {
                Ok(RollbackOrder { to }) => pass_on(orders, |reply| Order::Rollback { to, reply }).await,
                Err(_) => told(&refused("the order is not JSON with `to`, a version, or nothing")),
            }
        }
        _ => json(
            StatusCode::NOT_FOUND,
            &refused(
                "here are GET /status, POST /reload, POST /rollback, POST /explain, POST /revoke and POST /upgrade",
            ),
        ),
    }
}

async fn explain(body: &[u8], orders: &mpsc::Sender<Order>) -> Answer {
    let refused = |message: String| told(&Reply { done: false, message });
    let Ok(order) = serde_json::from_slice::<ExplainOrder>(body) else {
        return refused(
            "the order is not JSON with `decision`, a request id, or `request`, the keys of a [[test]]".into(),
        );
    };
    let (reply, outcome) = oneshot::channel();
    if orders.send(Order::Explain { order, reply }).await.is_err() {
        return refused("the server is stopping".into());
    }
    match outcome.await {
        Ok(Ok(explanation)) => json(StatusCode::OK, &explanation),
        Ok(Err(message)) => refused(message),
        Err(_) => refused("the server is stopping".into()),
    }
}

fn told(reply: &Reply) -> Answer {
    json(if reply.done { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, reply)
}

async fn pass_on(orders: &mpsc::Sender<Order>, order: impl FnOnce(oneshot::Sender<Reply>) -> Order) -> Answer {
    let stopping = || Reply { done: false, message: "the server is stopping".into() };
    let (reply, outcome) = oneshot::channel();
    if orders.send(order(reply)).await.is_err() {
        return json(StatusCode::SERVICE_UNAVAILABLE, &stopping());
    }
    match outcome.await {
        Ok(reply) => told(&reply),
        Err(_) => json(StatusCode::SERVICE_UNAVAILABLE, &stopping()),
    }
}

/// Sends one order to a running Portcullis and gives the status and the body of its answer.
///
/// # Errors
/// When nothing serves the socket, or the answer is not HTTP.
pub async fn call(socket: &Path, method: Method, path: &str, body: Bytes) -> io::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "localhost")
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_REPLY).collect().await.map_err(io::Error::other)?;
    Ok((status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::bind_control;

    #[tokio::test]
    async fn a_socket_that_a_dead_process_left_is_replaced_and_nothing_else_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let serving = bind_control(&path).unwrap();
        assert!(bind_control(&path).unwrap_err().to_string().contains("another process"));
        drop(serving);

        let precious = place.path().join("precious.txt");
        std::fs::write(&precious, "precious").unwrap();
        assert!(bind_control(&precious).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    }
}
