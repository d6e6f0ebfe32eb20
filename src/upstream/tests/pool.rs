//! Which connection carries which request: kept only after a clean end, never after anything else.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::harness::{Gate, Peer, Who, echo, service, settings};
use crate::upstream::Upstreams;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers with the number of the connection, after `first` has had its way with the first request of connection 0.
async fn after(first: &'static str) -> std::net::SocketAddr {
    service(move |number, mut peer| async move {
        if number == 0 {
            peer.head().await;
            peer.send(first).await;
            if first.contains("CLOSES") {
                return;
            }
        }
        while !peer.head().await.is_empty() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nline{number}")).await;
        }
    })
    .await
}

async fn second_answer_after(first: &'static str) -> (String, String) {
    let gate = Gate::open(vec![settings(after(first).await)], Who::default()).await;
    (gate.get("").await, gate.get("").await)
}

#[tokio::test(flavor = "local")]
async fn a_connection_is_kept_after_a_clean_end() {
    for clean in [
        OK,
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    ] {
        let (_, second) = second_answer_after(clean).await;
        assert!(second.ends_with("line0"), "{clean}: {second}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_connection_is_not_kept_after_any_other_end() {
    for unclean in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nX: CLOSES\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "not http at all\r\n\r\n",
    ] {
        let (_, second) = second_answer_after(unclean).await;
        assert!(second.ends_with("line1"), "{unclean}: {second}");
    }
}

/// A service that sends more than its answer: what is left over never becomes somebody else's answer.
#[tokio::test(flavor = "local")]
async fn bytes_after_an_answer_reach_nobody() {
    let (first, second) = second_answer_after(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    )
    .await;
    assert!(first.ends_with("ok"), "{first}");
    assert!(second.ends_with("line1"), "{second}");
}

#[tokio::test(flavor = "local")]
async fn a_connection_is_not_kept_when_the_client_left_in_mid_body() {
    let (told, mut closed) = mpsc::unbounded_channel();
    let address = service(move |number, mut peer| {
        let told = told.clone();
        async move {
            peer.head().await;
            if number == 0 {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning").await;
                assert!(!peer.more().await);
                told.send(()).unwrap();
            } else {
                peer.send(OK).await;
            }
        }
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n", |answer| answer.ends_with("beginning")).await;
    // The client is gone; the service must learn of it.
    closed.recv().await.unwrap();
    assert!(gate.get("").await.ends_with("ok"));
}

/// An answer before the request's end: the rest of the request would be read as the next one.
#[tokio::test(flavor = "local")]
async fn a_connection_is_not_kept_when_the_request_was_not_sent_whole() {
    let gate = Gate::open(vec![settings(after(OK).await)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nGET /smuggled HTTP/1.1\r\n").await;
    client.read_until(|answer| answer.ends_with("ok")).await;
    assert!(gate.get("").await.ends_with("line1"));
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_is_kept_too_long_is_closed() {
    let (told, mut closed) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            peer.head().await;
            peer.send(OK).await;
            assert!(!peer.more().await);
            told.send(()).unwrap();
        }
    })
    .await;
    let mut settings = settings(address);
    settings.pool.keep = Duration::from_millis(20);
    let gate = Gate::open(vec![settings], Who::default()).await;
    gate.get("").await;
    closed.recv().await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn no_more_connections_are_kept_than_stated() {
    let (told, mut closed) = mpsc::unbounded_channel();
    let both = Rc::new((Cell::new(0), Notify::new()));
    let address = service(move |number, mut peer| {
        let (told, both) = (told.clone(), both.clone());
        async move {
            peer.head().await;
            both.0.set(both.0.get() + 1);
            both.1.notify_waiters();
            while both.0.get() < 2 {
                both.1.notified().await;
            }
            peer.send(OK).await;
            assert!(!peer.more().await);
            told.send(number).unwrap();
        }
    })
    .await;
    let mut settings = settings(address);
    settings.pool.idle = 1;
    let gate = Gate::open(vec![settings], Who::default()).await;
    tokio::join!(gate.get(""), gate.get(""));
    closed.recv().await.unwrap();
    assert!(closed.try_recv().is_err());
}

#[tokio::test(flavor = "local")]
async fn whoever_comes_when_all_places_are_taken_waits_and_the_rest_is_refused() {
    let go = Rc::new(Notify::new());
    let release = go.clone();
    let arrived = Rc::new(Notify::new());
    let tell = arrived.clone();
    let address = service(move |_, mut peer| {
        let (go, tell) = (go.clone(), tell.clone());
        async move {
            while !peer.head().await.is_empty() {
                tell.notify_one();
                go.notified().await;
                peer.send(OK).await;
            }
        }
    })
    .await;
    let mut settings = settings(address);
    settings.pool.active = 1;
    settings.pool.waiting = 1;
    settings.pool.wait = Duration::from_secs(3_600);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (mut first, mut second, mut third) =
        (Peer::connect(gate.address).await, Peer::connect(gate.address).await, Peer::connect(gate.address).await);
    first.send(request).await;
    arrived.notified().await;
    second.send(request).await;
    third.send(request).await;
    // One of the two waits; the other finds the queue full, whichever came first.
    assert!(gate.refusal().await.contains("Busy"));
    release.notify_one();
    assert!(first.rest().await.ends_with("ok"));
    arrived.notified().await;
    release.notify_one();
    let (second, third) = (second.rest().await, third.rest().await);
    assert!(second.ends_with("ok") != third.ends_with("ok"), "{second} {third}");
}

#[tokio::test(flavor = "local")]
async fn nobody_waits_for_ever() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut settings = settings(address);
    settings.pool.active = 1;
    settings.pool.wait = Duration::from_millis(20);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    let mut first = Peer::connect(gate.address).await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut second = Peer::connect(gate.address).await;
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(gate.refusal().await.contains("Busy"));
}

#[tokio::test(flavor = "local")]
async fn a_reload_keeps_what_did_not_change_and_closes_what_did() {
    let unchanged = settings(echo().await);
    let gate = Gate::open(vec![unchanged.clone()], Who::default()).await;
    gate.get("").await;
    let reloaded = Upstreams::new(vec![unchanged.clone()], Some(&gate.upstreams.borrow()));
    *gate.upstreams.borrow_mut() = Arc::new(reloaded);
    assert!(gate.get("").await.contains("connection 0"));
    let mut changed = unchanged;
    changed.timeouts.header *= 2;
    let reloaded = Upstreams::new(vec![changed], Some(&gate.upstreams.borrow()));
    *gate.upstreams.borrow_mut() = Arc::new(reloaded);
    assert!(gate.get("").await.contains("connection 1"));
    assert_eq!(gate.pools.pools.borrow().len(), 1);
}
