//! A whole gate before a service that tells what it receives.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis::server::Server;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

const POLICY: &str = r#"
[[route]]
name     = "open"
host     = "**"
path     = "/{rest...}"
methods  = ["*"]
upstream = "app"

[[allow]]
name      = "everybody"
routes    = ["open"]
anonymous = true
"#;

pub(crate) struct Gate {
    _directory: TempDir,
    server: Server,
    address: SocketAddr,
    connector: TlsConnector,
    arrived: mpsc::UnboundedReceiver<String>,
}

impl Gate {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, arrived) = service().await;
        let root = configure(directory.path(), port);
        let server = portcullis::server::start(directory.path()).await.unwrap();
        let address = server.address("edge").unwrap();
        Self { _directory: directory, server, address, connector: connector(root), arrived }
    }

    /// Sends raw bytes over a new connection and reads until so many answers have come or the gate closes. The answers,
    /// and every request that the service received whole: method, host, target and body.
    pub(crate) async fn send(&mut self, raw: &[u8], answers: usize) -> (String, Vec<String>) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let mut stream = self.connector.connect("a.example".try_into().unwrap(), socket).await.unwrap();
        // A gate that refuses may close while there is more to say.
        let _ = stream.write_all(raw).await;
        let mut answer = Vec::new();
        while answers == 0 || whole(&answer) < answers {
            match stream.read_buf(&mut answer).await {
                Ok(1..) => {}
                _ => break,
            }
        }
        let mut arrived = Vec::new();
        while let Ok(line) = self.arrived.try_recv() {
            arrived.push(line);
        }
        (String::from_utf8_lossy(&answer).into_owned(), arrived)
    }

    /// Nothing may have come late.
    pub(crate) async fn close(mut self) {
        self.server.shutdown().await;
        assert_eq!(self.arrived.try_recv().ok(), None);
    }
}

/// How many answers are there from head to end.
fn whole(answer: &[u8]) -> usize {
    let text = String::from_utf8_lossy(answer);
    let (mut rest, mut count) = (&*text, 0);
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let Some(after) = after.get(length..) else { break };
        (rest, count) = (after, count + 1);
    }
    count
}

/// Answers 204 to everything.
async fn service() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, arrived) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tell = tell.clone();
            let service = service_fn(move |request| answer(request, tell.clone()));
            // The gate adds to the fields of a request; one that takes a request back closes the connection.
            tokio::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new()
                    .max_headers(200)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (port, arrived)
}

async fn answer(
    request: Request<Incoming>,
    tell: mpsc::UnboundedSender<String>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if let Ok(body) = body.collect().await {
        let body = body.to_bytes();
        let space = if body.is_empty() { "" } else { " " };
        let host = head.headers.get("host").unwrap().to_str().unwrap();
        let body = String::from_utf8_lossy(&body);
        tell.send(format!("{} {host} {}{space}{body}", head.method, head.uri)).unwrap();
    }
    Ok(Response::builder().status(204).body(Empty::new()).unwrap())
}

/// Writes the configuration; the authority that signs for `a.example`.
fn configure(directory: &Path, port: u16) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(directory.join("server.pem"), leaf.pem()).unwrap();
    fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
    fs::write(directory.join("clients.pem"), authority.pem()).unwrap();
    fs::create_dir(directory.join("policies")).unwrap();
    fs::write(directory.join("policies/app.toml"), POLICY).unwrap();
    let main = format!(
        r#"
[[listener]]
name = "edge"
address = "127.0.0.1:0"
tls = {{ certificates = [{{ chain = "server.pem", key = "server.key" }}] }}
[[listener.host]]
names = ["strict.example"]
client_certificates = {{ mode = "optional", trust = ["corp"] }}
[trust.corp]
ca = "clients.pem"
[upstream.app]
endpoints = ["http://127.0.0.1:{port}"]
timeouts = {{ idle = "200ms" }}
[timeouts]
head = "200ms"
[audit]
file = {{ path = "audit.jsonl" }}
[admin]
probes = "127.0.0.1:0"
"#
    );
    fs::write(directory.join("portcullis.toml"), main).unwrap();
    authority.der().clone()
}

fn connector(root: CertificateDer<'static>) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
