//! One pooled client a source: takes a request, gives the whole answer or an error, always within its deadline.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Roots {
    /// Those of the operating system.
    #[default]
    System,
    /// These alone.
    Only(Vec<CertificateDer<'static>>),
}

/// The certificate with which this proxy shows itself to an identity provider (RFC 8705 section 2).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientIdentity {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// How one source is called.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundSettings {
    /// Whose server certificates are believed.
    pub roots: Roots,
    /// The certificate to show.
    pub identity: Option<ClientIdentity>,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long the whole exchange may take, body included.
    pub timeout: Duration,
    /// The most bytes of an answer's body.
    pub most_body: usize,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            roots: Roots::System,
            identity: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            most_body: 1 << 20,
        }
    }
}

/// A whole question.
pub type Question = Request<Full<Bytes>>;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status; 3xx comes back like any other and is never followed.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A client for one source of the configuration.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    most_body: usize,
}

impl Outbound {
    /// Builds a client. Opens nothing yet.
    ///
    /// # Errors
    /// [`OutboundError::Settings`] when a certificate or the key cannot be used.
    pub fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(settings.connect_timeout));
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self { client, timeout: settings.timeout, most_body: settings.most_body })
    }

    /// Sends one request and collects the answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`OutboundError`]; none of its texts holds anything of the request.
    pub async fn send(&self, mut request: Question) -> Result<Answer, OutboundError> {
        let agent = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        tokio::time::timeout(self.timeout, self.exchange(request)).await.map_err(|_| OutboundError::Timeout)?
    }

    async fn exchange(&self, request: Question) -> Result<Answer, OutboundError> {
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| if error.is_connect() { OutboundError::Connect } else { OutboundError::Broken })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.most_body).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { OutboundError::TooLarge } else { OutboundError::Broken }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

fn tls(settings: &OutboundSettings) -> Result<ClientConfig, OutboundError> {
    let roots = match &settings.roots {
        Roots::System => system_roots(),
        Roots::Only(certificates) => {
            let mut store = RootCertStore::empty();
            for certificate in certificates {
                store.add(certificate.clone()).map_err(|_| OutboundError::Settings)?;
            }
            Arc::new(store)
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| OutboundError::Settings)?
        .with_root_certificates(roots);
    match &settings.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|_| OutboundError::Settings),
    }
}

/// The operating system's roots, read once. Where there are none, every `https` call fails: closed, and visible as
/// `connect` in the source's state.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    };
    ROOTS.get_or_init(read).clone()
}

/// Why a call gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// A certificate or key of the configuration cannot be used.
    #[error("the client's certificates or key cannot be used")]
    Settings,
    /// No connection: refused, unknown host, or the server's certificate is not believed.
    #[error("no connection: refused, no such host, or a certificate that `ca` does not vouch for")]
    Connect,
    /// The deadline passed.
    #[error("no answer in time")]
    Timeout,
    /// The body is larger than allowed.
    #[error("the answer is too large")]
    TooLarge,
    /// The connection broke, or what came is not HTTP.
    #[error("the answer broke off")]
    Broken,
}

impl OutboundError {
    /// A word for states and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::Broken => "broken",
        }
    }
}
