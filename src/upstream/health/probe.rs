//! One question to one endpoint, over a connection of its own: the way that requests take, TLS and all.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Version, uri};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::upstream::connect::{Dial, Wire};
use crate::upstream::endpoint::{Checked, Endpoint};
use crate::upstream::error::ForwardError;
use crate::upstream::settings::HealthCheck;
use crate::upstream::target::own_host;
use crate::upstream::upstreams::Upstream;

/// The head of an answer, at most; its body is not read.
const HEAD: usize = 16 * 1024;

pub(super) struct Probe<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) check: &'a HealthCheck,
}

impl Probe<'_> {
    pub(super) async fn run(&self) -> Checked {
        match tokio::time::timeout(self.check.timeout, self.ask()).await {
            Err(_) => Checked::Timeout,
            Ok(Err(fault)) => fault,
            Ok(Ok(status)) => {
                let (from, to) = self.check.statuses;
                if (from..=to).contains(&status.as_u16()) { Checked::Good } else { Checked::Status }
            }
        }
    }

    async fn ask(&self) -> Result<StatusCode, Checked> {
        let dial = Dial { endpoint: self.endpoint, settings: &self.upstream.settings, upgradeable: false };
        let wire = dial.wire().await.map_err(|error| match error {
            ForwardError::Tls { .. } => Checked::Tls,
            _ => Checked::Unreachable,
        })?;
        let http2 = dial.speaks_http2(&wire);
        match wire {
            Wire::Unix(stream) => self.over(stream, http2).await,
            Wire::Tcp(stream, _) => self.over(stream, http2).await,
            Wire::Tls(stream, _) => self.over(stream, http2).await,
        }
        .map_err(|_| Checked::Broken)
    }

    async fn over<T>(&self, stream: T, http2: bool) -> Result<StatusCode, Fault>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let request = self.request(http2)?;
        // Dropped at the end, it drops the connection.
        let mut driver = JoinSet::new();
        let response = if http2 {
            let handshake = http2::Builder::new(TokioExecutor::new()).max_header_list_size(HEAD_LIST).handshake(io);
            let (mut send, connection) = handshake.await?;
            driver.spawn(connection);
            send.send_request(request).await?
        } else {
            let (mut send, connection) = http1::Builder::new().max_buf_size(HEAD).handshake(io).await?;
            driver.spawn(connection);
            send.send_request(request).await?
        };
        Ok(response.status())
    }

    fn request(&self, http2: bool) -> Result<Request<Empty<Bytes>>, Fault> {
        let host = match &self.check.host {
            Some(host) => HeaderValue::from_str(host)?,
            None => own_host(self.endpoint).ok_or("the endpoint has no host")?,
        };
        let agent = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"), " (health check)"));
        let mut request = Request::new(Empty::new());
        request.headers_mut().insert(USER_AGENT, agent);
        if http2 {
            let mut parts = uri::Parts::default();
            let encrypted = self.endpoint.settings.encrypted;
            parts.scheme = Some(if encrypted { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
            parts.authority = Some(host.to_str()?.parse()?);
            parts.path_and_query = Some(self.check.path.parse()?);
            *request.uri_mut() = http::Uri::from_parts(parts)?;
            *request.version_mut() = Version::HTTP_2;
        } else {
            *request.uri_mut() = self.check.path.parse()?;
            request.headers_mut().insert(HOST, host);
        }
        Ok(request)
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

const HEAD_LIST: u32 = 16 * 1024;
