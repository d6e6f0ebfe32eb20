//! A small HTTP/1.1 server for the demo's own services. It binds the loopback address and no other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// Connections at one time; the next one waits to be accepted.
const CONNECTIONS: usize = 512;

/// How long a client may take over the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The service gives no answer: the connection is closed as it stands.
#[derive(Debug, thiserror::Error)]
#[error("the demo service hangs up")]
pub(super) struct HangUp;

/// A bound port that nobody is served on yet.
#[derive(Debug)]
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// A running service. It stops, with all of its connections, when this is dropped.
#[derive(Debug)]
pub(super) struct Loopback {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Loopback {
    /// Binds 127.0.0.1 and `port`, 0 for a free one.
    pub(super) async fn bind(port: u16) -> io::Result<Bound> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Bound {
    /// Where it will listen.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with `service`, on the current runtime.
    pub(super) fn serve<S, F, B>(self, service: S) -> Loopback
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<B>, HangUp>> + Send + 'static,
        B: Body<Error: std::error::Error + Send + Sync, Data: Send> + Send + 'static,
    {
        let accepting = tokio::spawn(accept(self.listener, service)).abort_handle();
        Loopback { address: self.address, accepting }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<S, F, B>(listener: TcpListener, service: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, HangUp>> + Send + 'static,
    B: Body<Error: std::error::Error + Send + Sync, Data: Send> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(slot) = slots.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: wait for connections to end rather than spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = service.clone();
        connections.spawn(async move {
            converse(stream, service).await;
            drop(slot);
        });
    }
}

async fn converse<S, F, B>(stream: TcpStream, service: S)
where
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<B>, HangUp>> + Send + 'static,
    B: Body<Error: std::error::Error + Send + Sync, Data: Send> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service_fn(service))
        .with_upgrades();
    // A client that breaks off is the client's affair, and this is a demo: nothing to record.
    let _ = connection.await;
}
