//! Every way to be slow has an end, and the record says which it was.

use std::time::Duration;

use portcullis::listener::{ClientPolicy, Door, EventKind, Limits};
use rustls::ClientConnection;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::floods::{Frames, HEADERS, PREFACE, frame};
use crate::support::{Client, House, Running};

/// Patience for one thing, and none of the others within a test's time.
fn house(limit: impl FnOnce(&mut Limits)) -> House {
    let mut house = House::new(ClientPolicy::Off);
    let long = Duration::from_secs(3_600);
    house.limits = Limits { handshake: long, head: long, idle: long, stall: long, ..house.limits };
    limit(&mut house.limits);
    house
}

const SHORT: Duration = Duration::from_millis(300);

/// Waits for the end of the connection, which comes without another word, and for the event.
async fn ends(running: &Running, mut stream: impl AsyncRead + Unpin, kind: EventKind) {
    let mut said = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    // A reset is an end, too.
    let _ = end.unwrap();
    let event = running.event(|it| it == kind).await;
    assert_eq!(event.kind, kind);
}

#[tokio::test]
async fn who_never_finishes_the_handshake_is_cut() {
    let running = house(|limits| limits.handshake = SHORT).run();
    let client = Client::anonymous();
    let mut hello = Vec::new();
    let mut half = ClientConnection::new(client.config, "edge.test".try_into().unwrap()).unwrap();
    half.write_tls(&mut hello).unwrap();
    let (most, _) = hello.split_at(hello.len() / 2);
    // Nothing at all, one byte, half a ClientHello, and a whole one without what comes after it.
    for words in [&b""[..], b"\x16", most, &hello] {
        running.events.lock().unwrap().clear();
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(words).await.unwrap();
        ends(&running, socket, EventKind::HandshakeTimeout).await;
    }
}

#[tokio::test]
async fn who_never_finishes_a_head_is_cut() {
    let running = house(|limits| limits.head = SHORT).run();
    for (alpn, words) in [
        ("http/1.1", &b""[..]),
        ("h2", b""),
        ("http/1.1", b"G"),
        ("http/1.1", b"GET / HTTP/1.1\r\nHost: edge.test\r\n"),
        ("h2", b"PRI * HTTP/2.0\r\n"),
        ("h2", PREFACE),
    ] {
        running.events.lock().unwrap().clear();
        let mut stream = running.connect(&Client::new(None, &[alpn]), "edge.test").await.unwrap();
        // On a machine that is slow itself the end may come first.
        let _ = stream.write_all(words).await;
        ends(&running, stream, EventKind::HeadTimeout).await;
    }
}

#[tokio::test]
async fn a_block_of_fields_that_does_not_end_is_cut() {
    let running = house(|limits| limits.head = 5 * SHORT).run();
    let mut frames = Frames::open(&running).await;
    frames.settle().await;
    frames.send(&frame(HEADERS, 0, 1, b"\x82\x84")).await;
    while frames.next().await.is_some() {}
    running.event(|kind| kind == EventKind::HeadTimeout).await;
}

#[tokio::test]
async fn who_takes_no_more_of_an_answer_is_cut() {
    let running = house(|limits| limits.stall = SHORT).run();
    let mut frames = Frames::open(&running).await;
    // With a window of nothing the answer's body waits for ever.
    frames.send(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    frames.settle().await;
    frames.ask().await;
    while frames.listen().await.is_some() {}
    running.event(|kind| kind == EventKind::Stalled).await;
}

#[tokio::test]
async fn who_is_idle_for_too_long_is_let_go_in_order() {
    let running = house(|limits| limits.idle = SHORT).run();
    let mut stream = running.connect(&Client::new(None, &["http/1.1"]), "edge.test").await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(running.events.lock().unwrap().is_empty(), "no fault of anybody");
}

#[tokio::test]
async fn half_a_proxy_header_is_part_of_the_handshake() {
    let mut house = house(|limits| limits.handshake = SHORT);
    house.settings.door = Door::Plain;
    house.settings.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
    let running = house.run();
    for words in [&b""[..], b"PROXY TCP4 192.0.2.1", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0"] {
        running.events.lock().unwrap().clear();
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(words).await.unwrap();
        ends(&running, socket, EventKind::HandshakeTimeout).await;
    }
}
