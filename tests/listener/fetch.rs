//! Revocation lists that are fetched from where the configuration says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use crate::certificates::{Ca, DAY, Identity, set_dates};
use crate::support::{Client, Exchange, SERVER_CA};

const POLICY: &str = r#"
[[route]]
name     = "open"
host     = "edge.test"
path     = "/{rest...}"
methods  = ["GET"]
upstream = "app"

[[allow]]
name      = "everybody"
routes    = ["open"]
anonymous = true
"#;

/// Serves one list, when it is told to; says what it was asked.
async fn list_server(list: String, go: oneshot::Receiver<()>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        asked.truncate(length);
        go.await.unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{list}", list.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    (port, served)
}

/// A service that answers everything.
pub async fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            });
        }
    });
    port
}

/// A gate for `edge.test` before the service at a port, which asks for certificates of `clients.pem`; `trust` says more
/// of these.
pub fn configure(directory: &Path, trust: &str, service: u16) {
    SERVER_CA.server(&["edge.test"]).write(directory, "server");
    fs::create_dir(directory.join("policies")).unwrap();
    fs::write(directory.join("policies/app.toml"), POLICY).unwrap();
    let main = format!(
        r#"
[[listener]]
name = "edge"
address = "127.0.0.1:0"
tls = {{ certificates = [{{ chain = "server.pem", key = "server.key" }}] }}
client_certificates = {{ mode = "optional", trust = ["corp"] }}
[trust.corp]
ca = "clients.pem"
{trust}
[upstream.app]
endpoints = ["http://127.0.0.1:{service}"]
[audit]
file = {{ path = "audit.jsonl" }}
[admin]
probes = "127.0.0.1:0"
"#
    );
    fs::write(directory.join("portcullis.toml"), main).unwrap();
}

async fn status(address: std::net::SocketAddr, identity: &Identity) -> StatusCode {
    let socket = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Client::with(identity).config);
    let stream = connector.connect("edge.test".try_into().unwrap(), socket).await.unwrap();
    Exchange::over(stream).await.unwrap().ask("edge.test").await.unwrap().status()
}

/// The server reads the clock of the system here, and the clients believe in another time: their certificates are made
/// for the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_a_list_was_fetched_nobody_is_known_not_to_be_revoked() {
    let now = Timestamp::now().as_second();
    let (ca, directory) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let client = || ca.client(|params| set_dates(params, now - DAY, now + DAY));
    let (good, bad) = (client(), client());
    let (go, told) = oneshot::channel();
    let (lists, served) = list_server(ca.list(now - DAY, now + DAY, &[&bad]), told).await;
    ca.write(directory.path(), "clients");
    configure(directory.path(), &format!("crl = {{ urls = [\"http://127.0.0.1:{lists}/ca.crl\"] }}"), service().await);
    let server = portcullis::server::start(directory.path()).await.unwrap();
    let address = server.address("edge").unwrap();
    assert_ne!(status(address, &good).await, StatusCode::OK);
    let state = server.overview().status();
    assert!(state.degraded && state.authorities.iter().all(|authority| authority.list_missing));

    go.send(()).unwrap();
    for _ in 0..500 {
        if server.overview().status().authorities.iter().all(|authority| !authority.list_missing) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status(address, &good).await, StatusCode::OK);
    assert_ne!(status(address, &bad).await, StatusCode::OK);
    let asked = served.await.unwrap();
    assert!(asked.starts_with("GET /ca.crl HTTP/1.1\r\n"), "{asked}");

    // A reload keeps what was fetched: nobody is locked out until the next fetch.
    fs::write(directory.path().join("policies/app.toml"), POLICY.replace("everybody", "everyone")).unwrap();
    let reply = server.reload().await;
    assert!(reply.done, "{}", reply.message);
    assert_eq!(status(address, &good).await, StatusCode::OK);
    assert_ne!(status(address, &bad).await, StatusCode::OK);
    server.shutdown().await;
}
