//! A new connection: name, TCP or Unix socket, TLS, HTTP handshake, all within one deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::body::RequestBody;
use super::endpoint::Endpoint;
use super::error::{Deadline, ForwardError};
use super::settings::{Address, Protocol, Settings};
use super::socket::Socket;

/// The head of an answer and what is read ahead of a body, at most.
const READ_BUFFER: usize = 128 * 1024;

/// A connection that nobody uses yet.
pub(super) enum Fresh {
    Http1(Sender1),
    Http2(Sender2),
}

/// The sending half of an HTTP/1.1 connection. Dropping it closes the connection at once, unless it was let go of.
pub(super) struct Sender1 {
    pub(super) send: http1::SendRequest<RequestBody>,
    pub(super) address: Option<SocketAddr>,
    task: Task,
}

/// The sending half of an HTTP/2 connection. The connection ends after its last stream.
pub(super) struct Sender2 {
    pub(super) send: http2::SendRequest<RequestBody>,
    pub(super) address: Option<SocketAddr>,
}

/// What drives a connection.
struct Task(Option<AbortHandle>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Sender1 {
    /// Closes the connection in an orderly way, after what it is doing.
    pub(super) fn let_go(mut self) {
        self.task.0 = None;
    }
}

/// A connection that speaks nothing yet.
pub(super) enum Wire {
    Unix(Socket<UnixStream>),
    Tcp(Socket<TcpStream>, SocketAddr),
    Tls(Box<TlsStream<Socket<TcpStream>>>, SocketAddr),
}

/// How a connection is made.
pub(super) struct Dial<'a> {
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) settings: &'a Settings,
    /// For an upgrade: HTTP/1.1, whatever the upstream speaks otherwise.
    pub(super) upgradeable: bool,
}

impl Dial<'_> {
    /// Opens the connection.
    pub(super) async fn open(&self) -> Result<Fresh, ForwardError> {
        let within = self.settings.timeouts.connect;
        // Boxed: few requests open a connection, and all of them would carry the room for it.
        match tokio::time::timeout(within, Box::pin(self.attempt())).await {
            Ok(opened) => opened,
            Err(_) => Err(ForwardError::Timeout { endpoint: self.endpoint.url(), which: Deadline::Connect }),
        }
    }

    async fn attempt(&self) -> Result<Fresh, ForwardError> {
        let wire = self.wire().await?;
        let http2 = self.speaks_http2(&wire);
        match wire {
            Wire::Unix(stream) => self.handshake(stream, None, http2).await,
            Wire::Tcp(stream, address) => self.handshake(stream, Some(address), http2).await,
            Wire::Tls(stream, address) => self.handshake(*stream, Some(address), http2).await,
        }
    }

    /// Everything below HTTP.
    pub(super) async fn wire(&self) -> Result<Wire, ForwardError> {
        match &self.endpoint.settings.address {
            Address::Unix(path) => UnixStream::connect(path)
                .await
                .map(Socket::new)
                .map(Wire::Unix)
                .map_err(|error| self.unreachable(error)),
            Address::Tcp { host, .. } => {
                let (stream, address) = self.tcp().await.map_err(|error| self.unreachable(error))?;
                if !self.endpoint.settings.encrypted {
                    return Ok(Wire::Tcp(stream, address));
                }
                let stream = self.tls(host, stream).await.map_err(|error| self.tls_failed(error))?;
                let wire = Wire::Tls(Box::new(stream), address);
                if self.prior() == Protocol::Http2 && !self.speaks_http2(&wire) {
                    return Err(self.tls_failed(io::Error::other("ALPN did not agree on h2")));
                }
                Ok(wire)
            }
        }
    }

    /// Which HTTP is spoken there: what ALPN agreed on, else what was agreed on before.
    pub(super) fn speaks_http2(&self, wire: &Wire) -> bool {
        match wire {
            Wire::Tls(stream, _) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            Wire::Unix(_) | Wire::Tcp(..) => self.prior() == Protocol::Http2,
        }
    }

    const fn prior(&self) -> Protocol {
        if self.upgradeable { Protocol::Http1 } else { self.settings.protocol }
    }

    /// Tries each address of the endpoint in turn, starting where the endpoint's id says, within the one deadline.
    async fn tcp(&self) -> io::Result<(Socket<TcpStream>, SocketAddr)> {
        let addresses = self.endpoint.addresses().await?;
        let share = self.settings.timeouts.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    prepare(&stream)?;
                    return Ok((Socket::new(stream), address));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    async fn tls(&self, host: &str, stream: Socket<TcpStream>) -> io::Result<TlsStream<Socket<TcpStream>>> {
        let tls = &self.settings.tls;
        let (Some(config), Some(name)) = (tls.config(self.upgradeable), tls.server_name(host)) else {
            return Err(io::Error::other("the upstream has no TLS settings"));
        };
        TlsConnector::from(config).connect(name, stream).await
    }

    async fn handshake<T>(&self, stream: T, address: Option<SocketAddr>, http2: bool) -> Result<Fresh, ForwardError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let failed = |error: hyper::Error| self.broke(&error);
        if http2 {
            let (send, connection) = http2_builder().handshake(io).await.map_err(failed)?;
            tokio::task::spawn_local(connection);
            return Ok(Fresh::Http2(Sender2 { send, address }));
        }
        let (send, connection) = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(io).await.map_err(failed)?;
        let task = if self.upgradeable {
            tokio::task::spawn_local(connection.with_upgrades()).abort_handle()
        } else {
            tokio::task::spawn_local(connection).abort_handle()
        };
        Ok(Fresh::Http1(Sender1 { send, address, task: Task(Some(task)) }))
    }

    fn unreachable(&self, source: io::Error) -> ForwardError {
        ForwardError::Unreachable { endpoint: self.endpoint.url(), source }
    }

    fn tls_failed(&self, source: io::Error) -> ForwardError {
        ForwardError::Tls { endpoint: self.endpoint.url(), source }
    }

    fn broke(&self, error: &hyper::Error) -> ForwardError {
        ForwardError::Protocol { endpoint: self.endpoint.url(), detail: error.to_string().into() }
    }
}

fn http2_builder() -> http2::Builder<Local> {
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));
    socket2::SockRef::from(stream).set_tcp_keepalive(&alive)
}

/// Runs hyper's tasks on this worker's thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> Executor<F> for Local
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
