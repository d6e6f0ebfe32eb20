//! The end of a listener: what is open is told, comes to its end, and is cut when that takes too long.

use std::time::Duration;

use portcullis::listener::{ClientPolicy, Drained, EventKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::floods::Frames;
use crate::support::{Client, Exchange, House};

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn an_http2_client_is_told_to_go_and_its_connection_ends_in_order() {
    let running = House::new(ClientPolicy::Off).run();
    let mut frames = Frames::open(&running).await;
    frames.settle().await;
    let draining = tokio::spawn(running.workers.drain(LONG));
    let mut last = None;
    while let Some((kind, _, payload)) = frames.next().await {
        if kind == Frames::GOAWAY {
            let (stream, code) = payload.split_at(4);
            last = Some((stream.to_vec(), code.first_chunk().copied().map(u32::from_be_bytes)));
        }
    }
    assert_eq!(last, Some((vec![0; 4], Some(0))), "NO_ERROR, and no stream was begun");
    assert_eq!(draining.await.unwrap(), Drained::Complete);
}

#[tokio::test]
async fn an_http1_client_is_told_in_its_next_answer_and_loses_nothing() {
    let running = House::new(ClientPolicy::Off).run();
    let client = Client::new(None, &["http/1.1"]);
    let mut open = Exchange::over(running.connect(&client, "edge.test").await.unwrap()).await.unwrap();
    assert_eq!(open.ask("edge.test").await.unwrap().headers().get("connection"), None);
    let draining = tokio::spawn(running.workers.drain(LONG));
    // The worker may learn of the drain after the next request or two: none of them is lost.
    loop {
        let answer = open.ask("edge.test").await.unwrap();
        if let Some(said) = answer.headers().get("connection") {
            assert_eq!(said, "close");
            break;
        }
    }
    assert_eq!(draining.await.unwrap(), Drained::Complete);
    open.ask("edge.test").await.unwrap_err();
}

/// A client that was told the end and keeps its side open has a second, and is not taken for one that is idle.
#[tokio::test]
async fn who_does_not_close_its_side_holds_nobody_up() {
    let client = Client::new(None, &["http/1.1"]);
    let mut held = Vec::new();
    for _ in 0..3 {
        let running = House::new(ClientPolicy::Off).run();
        let mut stream = running.connect(&client, "edge.test").await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"hello") {
            assert_ne!(stream.read_buf(&mut said).await.unwrap(), 0);
        }
        held.push(stream);
        let drained = tokio::time::timeout(Duration::from_secs(20), running.workers.drain(LONG)).await;
        assert_eq!(drained.unwrap(), Drained::Complete);
    }
}

#[tokio::test]
async fn nobody_new_is_let_in() {
    let running = House::new(ClientPolicy::Off).run();
    let (address, client) = (running.address, Client::new(None, &["http/1.1"]));
    let mut open = Exchange::over(running.connect(&client, "edge.test").await.unwrap()).await.unwrap();
    open.ask("edge.test").await.unwrap();
    let draining = tokio::spawn(running.workers.drain(LONG));
    while let Ok(stranger) = TcpStream::connect(address).await {
        // Between the order and the closing of the socket somebody may still come: that connection is kept, too.
        stranger.set_zero_linger().unwrap();
        drop(stranger);
    }
    while open.ask("edge.test").await.unwrap().headers().get("connection").is_none() {}
    assert_eq!(draining.await.unwrap(), Drained::Complete);
}

#[tokio::test]
async fn a_request_that_outlasts_the_limit_is_cut_and_said_to_be() {
    for alpn in ["http/1.1", "h2"] {
        let running = House::new(ClientPolicy::Off).run();
        let client = Client::new(None, &[alpn]);
        let mut open = Exchange::over(running.connect(&client, "edge.test").await.unwrap()).await.unwrap();
        let held = tokio::spawn(async move { open.ask("held.test").await });
        running.begun().await;
        let events = running.events.clone();
        assert_eq!(running.workers.drain(Duration::from_millis(50)).await, Drained::Cut, "{alpn}");
        held.await.unwrap().unwrap_err();
        assert!(events.lock().unwrap().iter().any(|event| event.kind == EventKind::Cut), "{alpn}");
    }
}

#[tokio::test]
async fn silent_connections_do_not_outlast_the_limit() {
    let running = House::new(ClientPolicy::Off).run();
    let client = Client::new(None, &["http/1.1"]);
    let mut greeted = running.connect(&client, "edge.test").await.unwrap();
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(running.workers.drain(Duration::from_millis(50)).await, Drained::Complete, "no request was open");
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    let _ = greeted.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
