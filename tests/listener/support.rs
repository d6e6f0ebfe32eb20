//! A running listener and clients for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use portcullis::identity::{Name, PeerCertificate};
use portcullis::listener::{
    ClientPolicy, ConnectionEvent, Door, EventKind, HostSettings, Limits, Plan, ServerCertificate, Settings, Sockets,
    Sources, TlsSettings, TlsVersion, TrustBundle, Workers,
};
use portcullis::request::Connection;
use portcullis::telemetry::Clock;
use rustls::ClientConfig;
use rustls::client::WantsClientCert;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{Ca, Identity, NOW};

pub static SERVER_CA: LazyLock<Ca> = LazyLock::new(|| Ca::new("server authority"));

/// What the tests vary.
pub struct House {
    pub clock: Clock,
    pub limits: Limits,
    pub settings: Settings,
}

impl House {
    /// A TLS listener for `edge.test`, `strict.test` and everything below `soft.test`, with a client policy.
    pub fn new(client: ClientPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = SERVER_CA.server(&["edge.test", "strict.test", "*.soft.test"]);
        let (chain, key) = server.write(folder.path(), "server");
        let certificates = vec![ServerCertificate::load(&chain, &key).unwrap()];
        let settings = Settings {
            name: Name::new("edge"),
            address: ([127, 0, 0, 1], 0).into(),
            door: Door::Tls(TlsSettings {
                certificates,
                least: TlsVersion::Tls12,
                client,
                hosts: Vec::new(),
                hsts: None,
                resumption: true,
            }),
            proxy_protocol: Vec::new(),
            trusted_proxies: Vec::new(),
        };
        let clock = Clock::fixed(Timestamp::from_second(NOW).unwrap());
        Self { clock, limits: Limits::default(), settings }
    }

    pub fn tls(&mut self) -> &mut TlsSettings {
        match &mut self.settings.door {
            Door::Tls(tls) => tls,
            _ => panic!("no TLS here"),
        }
    }

    /// Gives a host a client policy of its own.
    pub fn host(mut self, pattern: &str, client: ClientPolicy) -> Self {
        let host = HostSettings { names: vec![pattern.into()], client };
        self.tls().hosts.push(host);
        self
    }

    pub fn run(self) -> Running {
        let events = Arc::new(Mutex::new(Vec::new()));
        let observer = {
            let events = events.clone();
            Arc::new(move |event: ConnectionEvent| events.lock().unwrap().push(event))
        };
        let listeners = vec![self.settings.clone()];
        let sockets = Sockets::bind(&listeners, 1).unwrap();
        let address = sockets.address(&self.settings.name).unwrap();
        let plan =
            Plan { listeners, limits: self.limits.clone(), clock: self.clock.clone(), observer, meters: Vec::new() };
        let workers = Workers::start(sockets, plan, 1, |_| answer).unwrap();
        Running { house: self, address, events, workers }
    }
}

/// Requests that are open for good, in this test's own process.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Holds a tunnel, and all that came with its request, until the client ends it.
fn tunnel(mut request: Request<hyper::body::Incoming>) {
    let client = hyper::upgrade::on(&mut request);
    let along = std::mem::take(request.extensions_mut());
    tokio::task::spawn_local(async move {
        let mut said = Vec::new();
        TokioIo::new(client.await.unwrap()).read_to_end(&mut said).await.unwrap();
        drop(along);
    });
}

/// Answers with what is known of the connection; a request for `held.test` is never answered.
async fn answer(request: Request<hyper::body::Incoming>, connection: Arc<Connection>) -> Response<Full<Bytes>> {
    let peer = match &connection.peer {
        PeerCertificate::Absent => String::from("absent"),
        PeerCertificate::Refused(why) => format!("refused {}", why.as_str()),
        PeerCertificate::Verified(identity) => format!("verified {}", identity.facts().trust),
    };
    if request.method() == http::Method::CONNECT {
        tunnel(request);
        return Response::new(Full::default());
    }
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).or(request.uri().host());
    if host == Some("held.test") {
        HELD.fetch_add(1, Ordering::Release);
        return std::future::pending().await;
    }
    let (profile, resumed) =
        connection.tls.as_ref().map_or((String::new(), false), |tls| (tls.profile.to_string(), tls.resumed));
    Response::builder()
        .header("x-peer", peer)
        .header("x-profile", profile)
        .header("x-resumed", resumed.to_string())
        .header("x-serves", connection.serves(host.unwrap_or_default()).to_string())
        .header("x-client", connection.client.to_string())
        .header("x-connection", connection.id.to_string())
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap()
}

pub struct Running {
    pub house: House,
    pub address: SocketAddr,
    pub events: Arc<Mutex<Vec<ConnectionEvent>>>,
    pub workers: Workers,
}

impl Running {
    /// Waits until the next request that is never answered is here.
    pub async fn begun(&self) {
        while HELD.load(Ordering::Acquire) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        HELD.store(0, Ordering::Release);
    }

    /// Waits for the first event of a kind that fits.
    pub async fn event(&self, fits: impl Fn(EventKind) -> bool) -> ConnectionEvent {
        for _ in 0..500 {
            if let Some(event) = self.events.lock().unwrap().iter().find(|event| fits(event.kind)) {
                return event.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no such event: {:?}", self.events.lock().unwrap());
    }

    pub async fn connect(&self, client: &Client, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(client.config.clone()).connect(name, socket).await
    }

    /// One request over a new connection; the answer's head.
    pub async fn ask(&self, client: &Client, name: &str) -> Result<Response<()>, String> {
        let stream = self.connect(client, name).await.map_err(|error| error.to_string())?;
        let mut exchange = Exchange::over(stream).await?;
        exchange.ask(name).await
    }

    pub async fn peer(&self, client: &Client) -> Result<String, String> {
        self.ask(client, "edge.test").await.map(|answer| answer.headers()["x-peer"].to_str().unwrap().to_owned())
    }
}

/// A client with its session cache.
#[derive(Clone)]
pub struct Client {
    pub config: Arc<ClientConfig>,
}

impl Client {
    pub fn new(identity: Option<&Identity>, alpn: &[&str]) -> Self {
        Self::built(identity, alpn, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub fn built(
        identity: Option<&Identity>,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let builder = builder(versions);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key()).unwrap(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config) }
    }

    /// Shows a chain to which its key does not belong.
    pub fn thief(identity: &Identity, version: &'static rustls::SupportedProtocolVersion) -> Self {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(identity.key()).unwrap();
        let stolen = rustls::sign::CertifiedKey::new(identity.chain.clone(), key);
        let resolver = rustls::sign::SingleCertAndKey::from(stolen);
        let config = builder(&[version]).with_client_cert_resolver(Arc::new(resolver));
        Self { config: Arc::new(config) }
    }

    pub fn anonymous() -> Self {
        Self::new(None, &["h2", "http/1.1"])
    }

    pub fn with(identity: &Identity) -> Self {
        Self::new(Some(identity), &["h2", "http/1.1"])
    }
}

fn builder(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(SERVER_CA.issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_details(provider, Arc::new(Standing))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
}

/// The clients' clock stands at [`NOW`], like the server's.
#[derive(Debug)]
struct Standing;

impl rustls::time_provider::TimeProvider for Standing {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(NOW.try_into().unwrap())))
    }
}

/// An HTTP conversation over one connection, in the version that ALPN chose.
pub enum Exchange {
    Http1(hyper::client::conn::http1::SendRequest<Empty<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Empty<Bytes>>),
}

impl Exchange {
    pub async fn over(stream: TlsStream<TcpStream>) -> Result<Self, String> {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if is_http2 {
            let executor = TokioExecutor::new();
            let (sender, driver) = hyper::client::conn::http2::handshake(executor, io).await.map_err(said)?;
            tokio::spawn(driver);
            return Ok(Self::Http2(sender));
        }
        let (sender, driver) = hyper::client::conn::http1::handshake(io).await.map_err(said)?;
        tokio::spawn(driver);
        Ok(Self::Http1(sender))
    }

    pub async fn ask(&mut self, host: &str) -> Result<Response<()>, String> {
        let request = Request::builder();
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(said)?;
                let request = request.uri("/").header("host", host).body(Empty::new()).unwrap();
                sender.send_request(request).await.map_err(said)?
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(said)?;
                let request = request.uri(format!("https://{host}/")).body(Empty::new()).unwrap();
                sender.send_request(request).await.map_err(said)?
            }
        };
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(said)?;
        Ok(Response::from_parts(head, ()))
    }
}

impl Exchange {
    /// Whether the server has ended it.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

fn said(error: hyper::Error) -> String {
    use std::error::Error as _;
    format!("{error}: {:?}", error.source())
}

/// A bundle that trusts one authority.
pub fn bundle(folder: &Path, name: &str, ca: &Ca) -> Arc<TrustBundle> {
    bundle_from(name, &Sources { authorities: vec![ca.write(folder, name)], ..Sources::default() })
}

pub fn bundle_from(name: &str, sources: &Sources) -> Arc<TrustBundle> {
    Arc::new(TrustBundle::load(Name::new(name), sources, Timestamp::from_second(NOW).unwrap()).unwrap())
}
