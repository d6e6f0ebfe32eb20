//! Exchanges that are open when their client's certificate stops counting: they end within moments, and no others do.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificates::{Ca, DAY, Identity, set_dates};
use crate::fetch::configure;
use crate::support::{Client, Exchange};

/// A service whose answers begin and do not end.
async fn endless() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
                let _ = stream.write_all(first).await;
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    port
}

/// Opens a stream and waits for its beginning.
async fn open(address: SocketAddr, identity: &Identity, alpn: &str) -> Incoming {
    let socket = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Client::new(Some(identity), &[alpn]).config);
    let stream = connector.connect("edge.test".try_into().unwrap(), socket).await.unwrap();
    let request = Request::builder().uri("/").header("host", "edge.test").body(Empty::<Bytes>::new()).unwrap();
    let answer = match Exchange::over(stream).await.unwrap() {
        Exchange::Http1(mut sender) => sender.send_request(request).await.unwrap(),
        Exchange::Http2(mut sender) => {
            let request = Request::builder().uri("https://edge.test/").body(Empty::<Bytes>::new()).unwrap();
            sender.send_request(request).await.unwrap()
        }
    };
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    body
}

/// Changes what a running server reads in the middle of two streams. The second's certificate no longer counts then.
async fn hold(trust: &str, good: &Identity, bad: &Identity, files: &Path, change: impl Fn()) {
    configure(files, trust, endless().await);
    let server = portcullis::server::start(files).await.unwrap();
    let address = server.address("edge").unwrap();
    // Until a list was fetched, nobody is known not to be revoked.
    let fetched = async {
        while server.overview().status().authorities.iter().any(|authority| authority.list_missing) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), fetched).await.unwrap();
    let mut goes_on = open(address, good, "h2").await;
    let mut ends = Vec::new();
    for alpn in ["http/1.1", "h2"] {
        ends.push(open(address, bad, alpn).await);
    }
    change();
    let reply = server.reload().await;
    assert!(reply.done, "{}", reply.message);
    for body in &mut ends {
        timeout(Duration::from_secs(20), body.frame()).await.unwrap().unwrap().unwrap_err();
    }
    timeout(Duration::from_millis(1_500), goes_on.frame()).await.unwrap_err();
    drop(goes_on);
    server.shutdown().await;
    let records = fs::read_to_string(files.join("audit.jsonl")).unwrap();
    assert_eq!(records.matches("\"certificate-refused\"").count(), 2, "{records}");
}

fn client(ca: &Ca) -> Identity {
    let now = Timestamp::now().as_second();
    ca.client(|params| set_dates(params, now - DAY, now + DAY))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_revoked_client_has_open_ends() {
    let (ca, directory) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let (good, bad) = (client(&ca), client(&ca));
    let now = Timestamp::now().as_second();
    let list = directory.path().join("clients.crl");
    ca.write(directory.path(), "clients");
    fs::write(&list, ca.list(now - DAY, now + DAY, &[])).unwrap();
    let revoke = || fs::write(&list, ca.list(now - 1, now + DAY, &[&bad])).unwrap();
    hold("crl = { files = [\"clients.crl\"] }", &good, &bad, directory.path(), revoke).await;
}

/// Answers every request with the list as it is now.
async fn list_server(list: Arc<Mutex<String>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let list = list.lock().unwrap().clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", list.len());
                let _ = stream.write_all(format!("{head}{list}").as_bytes()).await;
            });
        }
    });
    port
}

/// The reload alone changes nothing: with another period the list is asked for at once, and that fetch ends the streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_has_open_ends_when_a_fetched_list_names_it() {
    let (ca, directory) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let (good, bad) = (client(&ca), client(&ca));
    let now = Timestamp::now().as_second();
    let list = Arc::new(Mutex::new(ca.list(now - DAY, now + DAY, &[])));
    let port = list_server(list.clone()).await;
    ca.write(directory.path(), "clients");
    let revoke = || {
        *list.lock().unwrap() = ca.list(now - 1, now + DAY, &[&bad]);
        let main = directory.path().join("portcullis.toml");
        fs::write(&main, fs::read_to_string(&main).unwrap().replace("\"1h\"", "\"2h\"")).unwrap();
    };
    let crl = format!("crl = {{ urls = [\"http://127.0.0.1:{port}/ca.crl\"], refresh = \"1h\" }}");
    hold(&crl, &good, &bad, directory.path(), revoke).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_of_an_authority_that_is_no_longer_trusted_has_open_ends() {
    let (ours, theirs, directory) = (Ca::new("ours"), Ca::new("theirs"), tempfile::tempdir().unwrap());
    let [one, other] = [&ours, &theirs].map(|ca| fs::read_to_string(ca.write(directory.path(), "one")).unwrap());
    fs::write(directory.path().join("clients.pem"), format!("{one}{other}")).unwrap();
    let distrust = || fs::write(directory.path().join("clients.pem"), &one).unwrap();
    hold("", &client(&ours), &client(&theirs), directory.path(), distrust).await;
}
