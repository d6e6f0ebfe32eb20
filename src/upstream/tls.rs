//! TLS to endpoints: an own authority or the system's, always with verification (RFC 9110 section 4.3.4).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::settings::Protocol;

/// How an upstream proves itself to us, and we to it. There is no way to switch verification off.
#[derive(Clone)]
pub struct Tls {
    configs: Option<Configs>,
    server_name: Option<ServerName<'static>>,
    fingerprint: [u8; 32],
}

#[derive(Clone)]
struct Configs {
    /// Offers HTTP/1.1 alone: for upstreams that speak it, and for upgrades.
    http1: Arc<ClientConfig>,
    /// Offers what `protocol` says.
    offered: Arc<ClientConfig>,
}

/// What [`Tls::new`] is built from.
#[derive(Debug)]
pub struct TlsParts {
    /// The authorities that may have signed the endpoint's certificate; at least one.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The name that the certificate must have; the endpoint's host when absent.
    pub server_name: Option<ServerName<'static>>,
    /// Our own certificate and its key, for services that ask.
    pub client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Which HTTP is offered.
    pub protocol: Protocol,
}

/// Why [`Tls::new`] refuses.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Without an authority nothing could be verified.
    #[error("there is no authority to verify the endpoints with")]
    NoAuthority,
    /// An authority that rustls cannot read.
    #[error("an authority is not usable: {0}")]
    Authority(#[source] rustls::Error),
    /// A certificate and a key that do not fit together, or a key that is not usable.
    #[error("the client certificate is not usable: {0}")]
    Client(#[source] rustls::Error),
    /// A cryptography provider without TLS 1.2 and 1.3.
    #[error("TLS is not usable: {0}")]
    Provider(#[source] rustls::Error),
}

impl Tls {
    /// For an upstream without `https` endpoints.
    pub const fn none() -> Self {
        Self { configs: None, server_name: None, fingerprint: [0; 32] }
    }

    /// Builds the settings of an upstream with `https` endpoints.
    ///
    /// # Errors
    /// [`TlsError`] when a part is unusable: an upstream is never spoken to with less than it was configured with.
    pub fn new(parts: TlsParts) -> Result<Self, TlsError> {
        let fingerprint = fingerprint(&parts);
        if parts.authorities.is_empty() {
            return Err(TlsError::NoAuthority);
        }
        let mut roots = RootCertStore::empty();
        for authority in parts.authorities {
            roots.add(authority).map_err(TlsError::Authority)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .with_root_certificates(roots);
        let mut http1 = match parts.client {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(TlsError::Client)?,
            None => builder.with_no_client_auth(),
        };
        http1.resumption = Resumption::in_memory_sessions(64);
        let mut offered = http1.clone();
        offered.resumption = Resumption::in_memory_sessions(64);
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        offered.alpn_protocols = match parts.protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
            Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let configs = Configs { http1: Arc::new(http1), offered: Arc::new(offered) };
        Ok(Self { configs: Some(configs), server_name: parts.server_name, fingerprint })
    }

    /// The configuration for a new connection: `upgradeable` ones offer HTTP/1.1 alone.
    pub(super) fn config(&self, upgradeable: bool) -> Option<Arc<ClientConfig>> {
        let configs = self.configs.as_ref()?;
        Some(if upgradeable { configs.http1.clone() } else { configs.offered.clone() })
    }

    /// The name that the certificate must have, for an endpoint at `host`.
    pub(super) fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        match &self.server_name {
            Some(name) => Some(name.clone()),
            None => ServerName::try_from(host.to_owned()).ok(),
        }
    }
}

/// Two settings are equal when they were built from the same bytes: only then may they share connections.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

fn fingerprint(parts: &TlsParts) -> [u8; 32] {
    let mut sum = Context::new(&SHA256);
    let mut add = |label: u8, bytes: &[u8]| {
        sum.update(&[label]);
        sum.update(&bytes.len().to_be_bytes());
        sum.update(bytes);
    };
    for authority in &parts.authorities {
        add(1, authority);
    }
    if let Some(name) = &parts.server_name {
        add(2, name.to_str().as_bytes());
    }
    if let Some((chain, key)) = &parts.client {
        for certificate in chain {
            add(3, certificate);
        }
        add(4, key.secret_der());
    }
    add(5, &[parts.protocol as u8]);
    let mut out = [0; 32];
    out.copy_from_slice(sum.finish().as_ref());
    out
}
