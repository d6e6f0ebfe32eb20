//! Limits that change while connections are open: what they hold for at once, and what stays as it was told.

use std::time::Duration;

use portcullis::listener::{ClientPolicy, EventKind, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, Exchange, House, Running};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(300);

fn patient() -> Limits {
    Limits { handshake: LONG, head: LONG, idle: LONG, stall: LONG, age: LONG, ..Limits::default() }
}

fn run() -> Running {
    let mut house = House::new(ClientPolicy::Off);
    house.limits = patient();
    house.run()
}

/// A connection over which something was asked.
async fn idle(running: &Running, alpn: &str) -> Exchange {
    let stream = running.connect(&Client::new(None, &[alpn]), "edge.test").await.unwrap();
    let mut exchange = Exchange::over(stream).await.unwrap();
    assert_eq!(exchange.ask("edge.test").await.unwrap().status(), 200);
    exchange
}

async fn ends(exchange: &mut Exchange) {
    let end = async {
        while !exchange.is_closed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), end).await.unwrap();
}

#[tokio::test]
async fn a_shorter_deadline_holds_for_those_who_are_idle_already() {
    let running = run();
    let (mut http1, mut http2) = (idle(&running, "http/1.1").await, idle(&running, "h2").await);
    // At rest, and in the middle of a head.
    let mut half = running.connect(&Client::new(None, &["http/1.1"]), "edge.test").await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"hello") {
        half.read_buf(&mut said).await.unwrap();
    }
    half.write_all(b"GET / HT").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    running.workers.limit(&Limits { idle: SHORT, head: SHORT, ..patient() });
    ends(&mut http1).await;
    ends(&mut http2).await;
    running.event(|kind| kind == EventKind::HeadTimeout).await;
}

#[tokio::test]
async fn a_lower_age_holds_for_those_who_are_older_already() {
    let running = run();
    let mut http1 = idle(&running, "http/1.1").await;
    running.workers.limit(&Limits { age: SHORT, ..patient() });
    let told_to_close = async {
        loop {
            let answer = http1.ask("edge.test").await.unwrap();
            if answer.headers().get("connection").is_some_and(|said| said == "close") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told_to_close).await.unwrap();
}

#[tokio::test]
async fn of_those_who_are_too_many_by_now_the_longest_idle_go_and_nobody_who_asks() {
    let running = run();
    let mut busy = idle(&running, "h2").await;
    let asking = tokio::spawn(async move { busy.ask("held.test").await.map(|_| ()) });
    running.begun().await;
    let mut others = [idle(&running, "h2").await, idle(&running, "http/1.1").await];
    running.workers.limit(&Limits { connections: 1, ..patient() });
    for exchange in &mut others {
        ends(exchange).await;
    }
    assert!(!asking.is_finished());
    asking.abort();
}

/// The head of the next answer, or what came until the end.
async fn said(stream: &mut TlsStream<TcpStream>) -> String {
    let mut said = Vec::new();
    while !said.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut said).await.is_ok_and(|n| n > 0) {}
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_connection_keeps_the_head_that_it_was_promised_and_the_next_has_the_new_one() {
    let mut house = House::new(ClientPolicy::Off);
    house.limits = Limits { head_bytes: 8 * 1024, ..patient() };
    let running = house.run();
    let long = format!("GET / HTTP/1.1\r\nHost: edge.test\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    let client = Client::new(None, &["http/1.1"]);
    let mut old = running.connect(&client, "edge.test").await.unwrap();
    old.write_all(b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.unwrap();
    assert_ne!(old.read(&mut [0; 1024]).await.unwrap(), 0);
    running.workers.limit(&Limits { head_bytes: 64 * 1024, ..patient() });
    let answer = async |mut stream: TlsStream<TcpStream>| {
        stream.write_all(long.as_bytes()).await.unwrap();
        said(&mut stream).await
    };
    let until_in_force = async {
        while !answer(running.connect(&client, "edge.test").await.unwrap()).await.starts_with("HTTP/1.1 200 ") {}
    };
    tokio::time::timeout(Duration::from_secs(20), until_in_force).await.unwrap();
    assert!(answer(old).await.contains("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused_as_soon_as_it_is_too_long() {
    let mut house = House::new(ClientPolicy::Off);
    house.limits = Limits { head_bytes: 9_000, ..patient() };
    let running = house.run();
    let client = Client::new(None, &["http/1.1"]);
    let begin = format!("GET / HTTP/1.1\r\nHost: edge.test\r\nX-Long: {}", "x".repeat(8_000));
    let mut allowed = running.connect(&client, "edge.test").await.unwrap();
    allowed.write_all(begin.as_bytes()).await.unwrap();
    let mut refused = running.connect(&client, "edge.test").await.unwrap();
    refused.write_all(begin.as_bytes()).await.unwrap();
    refused.write_all(&[b'x'; 1_000]).await.unwrap();
    assert!(said(&mut refused).await.starts_with("HTTP/1.1 431 "));
    allowed.write_all(b"\r\n\r\n").await.unwrap();
    assert!(said(&mut allowed).await.starts_with("HTTP/1.1 200 "));
}
