//! A client for the tour: one connection, one request, and the whole answer. HTTP/1.1 over TLS or without.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For everything: connecting, the handshake, the answer with its body.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most that an answer may hold.
const BODY: usize = 1024 * 1024;

/// Whom to call, and how.
#[derive(Clone)]
pub struct Caller {
    address: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection or the TLS handshake failed.
    #[error("no connection")]
    Connection(#[source] io::Error),
    /// The connection ended, or what came back is no HTTP.
    #[error("no answer")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Ten seconds went by.
    #[error("no answer in time")]
    Timeout,
}

impl Caller {
    /// Without TLS: for the demo's own services.
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// With TLS. The name that the server must prove is the request's host.
    pub const fn secure(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Self {
        Self { address, tls: Some(config) }
    }

    /// Sends one request with an absolute URI on a connection of its own.
    ///
    /// # Errors
    /// When there is no whole answer within ten seconds.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        tokio::time::timeout(DEADLINE, self.converse(request)).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn converse(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let stream = TcpStream::connect(self.address).await.map_err(CallError::Connection)?;
        let Some(config) = &self.tls else { return exchange(stream, request).await };
        let host = request.uri().host().unwrap_or_default().to_owned();
        let name = ServerName::try_from(host).map_err(|error| CallError::Connection(io::Error::other(error)))?;
        let connector = TlsConnector::from(config.clone());
        exchange(connector.connect(name, stream).await.map_err(CallError::Connection)?, request).await
    }
}

/// Writes the request in origin form with a `Host` of its own, and collects the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, CallError> {
    let http = |error: hyper::Error| CallError::Http(error.into());
    let (mut head, body) = request.into_parts();
    if let Some(authority) = head.uri.authority() {
        let host = http::HeaderValue::from_str(authority.as_str());
        head.headers.insert(http::header::HOST, host.map_err(|error| CallError::Http(error.into()))?);
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = target.parse().map_err(|error: http::uri::InvalidUri| CallError::Http(error.into()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let connection = tokio::spawn(connection);
    let answered = sender.send_request(Request::from_parts(head, Full::new(body))).await;
    let collected = match answered {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, BODY).collect().await.map_err(CallError::Http);
            body.map(|body| Response::from_parts(head, body.to_bytes()))
        }
        Err(error) => Err(http(error)),
    };
    connection.abort();
    collected
}
