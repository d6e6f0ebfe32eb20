//! What outlives its answer's head: upgraded connections, and streams that end with the grant they rest on.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::harness::{Gate, Local, Peer, Seen, Who, service, settings};
use crate::identity::Reason;
use crate::lease::Ended;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Agrees to what a head asks for.
async fn agree(peer: &mut Peer, head: &str) {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    peer.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
    .await;
}

/// Tells every head with the number of its connection; after an upgrade it sends back what it gets, else it says "ok".
async fn chat() -> (SocketAddr, mpsc::UnboundedReceiver<(usize, String)>) {
    let (told, heads) = mpsc::unbounded_channel();
    let address = service(move |number, mut peer| {
        let told = told.clone();
        async move {
            loop {
                let head = peer.head().await;
                if head.is_empty() {
                    return;
                }
                told.send((number, head.clone())).unwrap();
                if head.contains("upgrade: websocket") {
                    agree(&mut peer, &head).await;
                    loop {
                        let piece = peer.piece().await;
                        if piece.is_empty() {
                            return;
                        }
                        peer.send(piece).await;
                    }
                }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (address, heads)
}

async fn ended(gate: &mut Gate) -> Ended {
    match gate.seen().await {
        Seen::Ended(ended) => ended,
        other => panic!("not ended but {other:?}"),
    }
}

#[tokio::test(flavor = "local")]
async fn a_websocket_has_a_connection_of_its_own_that_nobody_else_ever_gets() {
    let (address, mut heads) = chat().await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.get("").await;
    assert_eq!(heads.recv().await.unwrap().0, 0);
    gate.seen().await;

    let mut client = Peer::connect(gate.address).await;
    client.send(ASK).await;
    let answer = client.head().await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{answer}");
    let (number, head) = heads.recv().await.unwrap();
    assert_eq!(number, 1, "the kept connection was used");
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    client.send("ping").await;
    assert_eq!(client.bytes(4).await, b"ping");
    assert!(matches!(gate.seen().await, Seen::Answered(101)));
    drop(client);
    assert_eq!(ended(&mut gate).await, Ended { reason: None, to_upstream: 4, to_client: 4 });

    gate.get("").await;
    assert_eq!(heads.recv().await.unwrap().0, 0, "the upgraded connection came back");
}

/// RUSTSEC-2026-0033: what a client sends in advance would be a request to a service that refuses the upgrade.
#[tokio::test(flavor = "local")]
async fn nothing_reaches_a_service_before_its_101() {
    for (refuses, status) in [
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 "),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 "),
        // Without the proof that it understood.
        ("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 418 "),
        (
            "HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
            "HTTP/1.1 418 ",
        ),
    ] {
        let (told, mut received) = mpsc::unbounded_channel();
        let address = service(move |_, mut peer| {
            let told = told.clone();
            async move {
                peer.head().await;
                peer.send(refuses).await;
                told.send(peer.rest().await).unwrap();
            }
        })
        .await;
        let mut settings = settings(address);
        settings.pool.keep = Duration::from_millis(20);
        let gate = Gate::open(vec![settings], Who::default()).await;
        let mut client = Peer::connect(gate.address).await;
        client.send(format!("{ASK}\u{81}\u{2}hi")).await;
        let answer = client.head().await;
        assert!(answer.starts_with(status), "{refuses}: {answer}");
        assert_eq!(received.recv().await.unwrap(), "", "{refuses}");
    }
}

/// An HTTP/2 client that asks for a WebSocket by extended CONNECT (RFC 8441).
async fn extended_connect(gate: &Gate) -> Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(gate.address).await.unwrap());
    let (mut send, connection) = hyper::client::conn::http2::handshake(Local, io).await.unwrap();
    spawn_local(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "http://a/chat".parse().unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    send.ready().await.unwrap();
    send.send_request(request).await.unwrap()
}

#[tokio::test(flavor = "local")]
async fn a_websocket_over_http2_is_bridged_to_one_over_http1() {
    let (address, mut heads) = chat().await;
    let mut gate = Gate::open_http2(vec![settings(address)], Who::default()).await;
    let answer = extended_connect(&gate).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for hop in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!answer.headers().contains_key(hop), "{hop}");
    }
    let (_, head) = heads.recv().await.unwrap();
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n") && head.contains("sec-websocket-version: 13\r\n"), "{head}");
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
    assert!(matches!(gate.seen().await, Seen::Answered(200)));
    drop(stream);
    assert_eq!(ended(&mut gate).await, Ended { reason: None, to_upstream: 4, to_client: 4 });
}

#[tokio::test(flavor = "local")]
async fn a_websocket_ends_with_a_close_frame_when_its_lease_ends() {
    let (address, _heads) = chat().await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(ASK).await;
    client.head().await;
    // A text frame, as a service sends it: the tunnel knows where it ends.
    client.send(b"\x81\x02hi").await;
    assert_eq!(client.bytes(4).await, b"\x81\x02hi");
    gate.leases.borrow()[0].end_for(Reason::TokenRevoked);
    assert_eq!(client.bytes(4).await, b"\x88\x02\x03\xf0");
    assert!(!client.more().await);
    gate.seen().await;
    assert_eq!(ended(&mut gate).await, Ended { reason: Some(Reason::TokenRevoked), to_upstream: 4, to_client: 4 });
}

#[tokio::test(flavor = "local")]
async fn a_websocket_in_mid_frame_is_cut_without_a_word() {
    let (address, _heads) = chat().await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(ASK).await;
    client.head().await;
    client.send(b"\x81\x05hi").await;
    assert_eq!(client.bytes(4).await, b"\x81\x05hi");
    gate.leases.borrow()[0].end_for(Reason::TokenRevoked);
    assert!(client.rest().await.is_empty(), "a close frame would be the rest of the message");
    gate.seen().await;
    assert_eq!(ended(&mut gate).await.reason, Some(Reason::TokenRevoked));
}

#[tokio::test(flavor = "local")]
async fn a_stream_is_cut_when_its_lease_ends_and_the_client_can_tell() {
    let (told, mut closed) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n").await;
            peer.send("Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n").await;
            while peer.more().await {}
            told.send(()).unwrap();
        }
    })
    .await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The first event is here while the stream goes on: nothing waits for a buffer to fill.
    let answer = client.read_until(|kept| kept.contains("data: 1\n\n\r\n")).await;
    assert!(answer.ends_with("data: 1\n\n\r\n"), "{answer}");
    gate.leases.borrow()[0].end_for(Reason::TokenRevoked);
    assert_eq!(client.rest().await, "", "an end in order would say that this was all");
    gate.seen().await;
    let cut = gate.seen().await;
    assert!(matches!(&cut, Seen::Cut(error) if error.contains("LeaseEnded")), "{cut:?}");
    closed.recv().await.unwrap();
}
