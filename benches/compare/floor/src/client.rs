//! A client that says exactly what it offers: one key-exchange group, and sessions of its own or none.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Fault;

/// Which proxy, and where the certificates and tokens are.
pub struct Target {
    pub port: u16,
    pub folder: PathBuf,
}

impl Target {
    /// What every request asks for, unless its load says otherwise.
    pub const PATH: &str = "/api/orders";

    pub fn token(&self) -> Result<String, Fault> {
        Ok(std::fs::read_to_string(self.folder.join("token"))?)
    }
}

/// Connects again and again with the same settings. Sessions are its own: two clients never resume each other's.
pub struct Client {
    port: u16,
    connector: TlsConnector,
}

impl Client {
    pub fn new(target: &Target, group: &str, resume: bool, protocol: &str) -> Result<Self, Fault> {
        let mut provider = default_provider();
        provider.kx_groups = match group {
            "X25519" => vec![kx_group::X25519],
            "X25519MLKEM768" => vec![kx_group::X25519MLKEM768],
            _ => return Err(format!("no group {group}").into()),
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(target.folder.join("ca.pem"))?)?;
        let chain = vec![CertificateDer::from_pem_file(target.folder.join("client.pem"))?];
        let key = PrivateKeyDer::from_pem_file(target.folder.join("client.key"))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![protocol.into()];
        config.resumption = if resume { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
        Ok(Self { port: target.port, connector: Arc::new(config).into() })
    }

    /// For a load whose handshakes do not count.
    pub fn usual(target: &Target, protocol: &str) -> Result<Self, Fault> {
        Self::new(target, "X25519", false, protocol)
    }

    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, Fault> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(self.connector.connect(ServerName::try_from("localhost")?, stream).await?)
    }
}

/// HTTP/1.1 over one connection.
pub struct Http1(SendRequest<Empty<Bytes>>);

impl Http1 {
    pub async fn over(stream: TlsStream<TcpStream>) -> Result<Self, Fault> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(Self(sender))
    }

    /// One request; an answer that is not 200 is an error.
    pub async fn get(&mut self, token: &str, connection: &str) -> Result<(), Fault> {
        let request = Request::get(Target::PATH)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .header("connection", connection)
            .body(Empty::new())?;
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status == 200 { Ok(()) } else { Err(format!("status {status}").into()) }
    }
}
