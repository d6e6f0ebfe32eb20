//! The PROXY protocol before TLS: who is believed, and what becomes of everybody else.

use portcullis::listener::{ClientPolicy, EventKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Client, Exchange, House, Running};

const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x67\x01\xbb";

fn house(trusted: &str) -> Running {
    let mut house = House::new(ClientPolicy::Off);
    house.settings.proxy_protocol = vec![trusted.parse().unwrap()];
    house.run()
}

/// The client's address as the service sees it, of a connection that begins with these bytes.
async fn client(running: &Running, first: &[u8]) -> Option<String> {
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket.write_all(first).await.unwrap();
    let connector = TlsConnector::from(Client::anonymous().config);
    let stream = connector.connect("edge.test".try_into().unwrap(), socket).await.ok()?;
    let answer = Exchange::over(stream).await.unwrap().ask("edge.test").await.unwrap();
    Some(answer.headers().get("x-client").unwrap().to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_trusted_sender_states_the_client_in_either_version() {
    let running = house("127.0.0.0/8");
    for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"[..], BINARY] {
        assert_eq!(client(&running, header).await.as_deref(), Some("192.0.2.1:4711"));
    }
    // One that speaks for itself is its own client.
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        assert!(client(&running, header).await.unwrap().starts_with("127.0.0.1:"));
    }
}

#[tokio::test]
async fn a_trusted_sender_without_a_header_is_nobody() {
    let running = house("127.0.0.0/8");
    for header in [&b""[..], b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n", b"PROXY TCP4 ::1 ::2 4711 443\r\n"] {
        assert_eq!(client(&running, header).await, None);
        running.event(|kind| kind == EventKind::ProxyHeader).await;
    }
}

#[tokio::test]
async fn from_anybody_else_a_header_is_no_header() {
    let running = house("192.0.2.0/24");
    assert_eq!(client(&running, b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n").await, None);
    running.event(|kind| kind == EventKind::HandshakeFailed).await;
    assert!(client(&running, b"").await.unwrap().starts_with("127.0.0.1:"));
}

/// A header must not hide a second one, nor what follows be read as a part of it.
#[tokio::test]
async fn one_header_is_read_and_not_a_byte_more() {
    let running = house("127.0.0.0/8");
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n";
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket.write_all(&[&line[..], line].concat()).await.unwrap();
    let mut said = Vec::new();
    // An alert or a reset.
    let _ = socket.read_to_end(&mut said).await;
    running.event(|kind| kind == EventKind::HandshakeFailed).await;
}
