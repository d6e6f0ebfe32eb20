//! Request targets with a fragment, as raw bytes through a whole gate.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use crate::certificates::Ca;
use crate::fetch::configure;
use crate::floods::{DATA, END_STREAM, HEADERS, PREFACE, SETTINGS, frame};
use crate::support::Client;

/// A service that tells the first line of every request.
async fn telling() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                let line =
                    String::from_utf8_lossy(head.get(..length).unwrap()).lines().next().unwrap_or_default().to_owned();
                tell.send(line).unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            });
        }
    });
    (port, told)
}

async fn say(address: SocketAddr, alpn: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let socket = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Client::new(None, &[alpn]).config);
    let mut stream = connector.connect("edge.test".try_into().unwrap(), socket).await.unwrap();
    for piece in pieces {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    // HTTP/2 goes on; it has said enough with the end of a stream.
    let mut space = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut space).await {
        answer.extend_from_slice(space.get(..length).unwrap());
        if alpn == "h2" && has_ended(&answer) {
            break;
        }
    }
    answer
}

fn has_ended(mut frames: &[u8]) -> bool {
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = frames {
        if (*kind == DATA || *kind == HEADERS) && flags & END_STREAM != 0 {
            return true;
        }
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}

async fn gate(directory: &Path) -> (portcullis::server::Server, SocketAddr, mpsc::UnboundedReceiver<String>) {
    Ca::new("clients").write(directory, "clients");
    let (port, told) = telling().await;
    configure(directory, "", port);
    let server = portcullis::server::start(directory).await.unwrap();
    let address = server.address("edge").unwrap();
    (server, address, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_with_a_fragment_is_refused_and_reaches_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address, mut told) = gate(directory.path()).await;
    let rest = " HTTP/1.1\r\nHost: edge.test\r\n\r\n";
    for target in ["/a#b", "/a#", "/a?b#c", "/#/../../x?y", "https://edge.test/a#b", "https://edge.test#/a"] {
        let request = format!("GET {target}{rest}");
        let (one, other) = request.as_bytes().split_at(7);
        for pieces in [vec![request.as_bytes()], vec![one, other]] {
            let answer = String::from_utf8(say(address, "http/1.1", &pieces).await).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        }
    }
    // In the second of two requests, and nothing behind it is read.
    let raw = format!("GET /first{rest}GET /second#x{rest}GET /third{rest}");
    let answer = String::from_utf8(say(address, "http/1.1", &[raw.as_bytes()]).await).unwrap();
    assert_eq!((answer.matches("HTTP/1.1 200").count(), answer.matches("HTTP/1.1 400").count()), (1, 1), "{answer}");
    assert_eq!(told.recv().await.unwrap(), "GET /first HTTP/1.1");
    server.shutdown().await;
    assert!(told.try_recv().is_err(), "and nothing else has reached the service");
}

/// The library for HTTP/2 cuts it off before anyone sees it. What is decided on is what is forwarded: without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_fragment_over_http2_nothing_is_decided_on_or_forwarded() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address, mut told) = gate(directory.path()).await;
    for (target, forwarded) in
        [("/a#b", "/a"), ("/a?b#c", "/a?b"), ("/a#/../../x?y", "/a"), ("/a#?access_token=x", "/a")]
    {
        let length = u8::try_from(target.len()).unwrap();
        let head = [b"\x82\x87\x41\x09edge.test\x04", &[length][..], target.as_bytes()].concat();
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 5, 1, &head)].concat();
        say(address, "h2", &[&hello]).await;
        assert_eq!(told.recv().await.unwrap(), format!("GET {forwarded} HTTP/1.1"), "{target}");
    }
    server.shutdown().await;
    let records = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    assert!(!records.contains('#') && !records.contains(".."), "{records}");
}
