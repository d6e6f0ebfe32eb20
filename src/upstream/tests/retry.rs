//! What is tried again, and what never is.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpListener;

use super::harness::{Gate, Who, echo, endpoint, service, settings};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

type Log = Rc<RefCell<Vec<String>>>;

/// Answers the first request of each connection and closes at the second, having read it.
async fn dies_when_used_again() -> (SocketAddr, Log) {
    let log = Log::default();
    let seen = log.clone();
    let address = service(move |number, mut peer| {
        let seen = seen.clone();
        async move {
            let head = peer.head().await;
            seen.borrow_mut().push(format!("{number} {}", head.lines().next().unwrap_or_default()));
            peer.send(OK).await;
            let head = peer.head().await;
            if !head.is_empty() {
                seen.borrow_mut().push(format!("{number} {}", head.lines().next().unwrap_or_default()));
            }
        }
    })
    .await;
    (address, log)
}

#[tokio::test(flavor = "local")]
async fn an_idempotent_request_survives_the_death_of_a_kept_connection() {
    let (address, log) = dies_when_used_again().await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.get("").await;
    assert!(gate.get("X-Kept: 1\r\n").await.ends_with("ok"));
    assert_eq!(*log.borrow(), ["0 GET /a?b HTTP/1.1", "0 GET /a?b HTTP/1.1", "1 GET /a?b HTTP/1.1"]);
}

#[tokio::test(flavor = "local")]
async fn a_request_that_may_have_been_acted_on_is_never_sent_twice() {
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        "PATCH / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        let (address, log) = dies_when_used_again().await;
        let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
        gate.get("").await;
        gate.seen().await;
        gate.talk(request, |_| false).await;
        let refusal = gate.refusal().await;
        assert!(refusal.contains("Closed"), "{request} {refusal}");
        assert_eq!(log.borrow().len(), 2, "{request} {log:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_fresh_connection_that_dies_is_no_reason_to_try_again() {
    let log = Log::default();
    let seen = log.clone();
    let address = service(move |_, mut peer| {
        let seen = seen.clone();
        async move {
            let head = peer.head().await;
            seen.borrow_mut().push(head);
        }
    })
    .await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.get("").await;
    assert!(gate.refusal().await.contains("Closed"));
    assert_eq!(log.borrow().len(), 1);
}

async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "local")]
async fn another_endpoint_is_tried_when_no_connection_can_be_made_even_for_post() {
    let mut settings = settings(nobody().await);
    settings.endpoints.push(endpoint(nobody().await));
    settings.endpoints.push(endpoint(
        service(|_, mut peer| async move {
            let head = peer.head().await;
            let body = peer.bytes(5).await;
            assert!(head.starts_with("POST") && body == b"hello");
            peer.send(OK).await;
        })
        .await,
    ));
    for _ in 0..3 {
        let gate = Gate::open(vec![settings.clone()], Who::default()).await;
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        assert!(gate.talk(request, |_| false).await.ends_with("ok"));
    }
    settings.retries = 0;
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    gate.get("").await;
    assert!(gate.refusal().await.contains("Unreachable"));
}

#[tokio::test(flavor = "local")]
async fn retries_end_when_the_budget_of_the_process_is_spent() {
    let mut settings = settings(nobody().await);
    settings.endpoints.push(endpoint(echo().await));
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    let upstreams = gate.upstreams.borrow().clone();
    while upstreams.budget.spend() {}
    // Round robin: one of two requests meets the dead endpoint first, and may not move on.
    tokio::join!(gate.get(""), gate.get(""));
    let outcomes = format!("{:?} {:?}", gate.seen().await, gate.seen().await);
    assert!(outcomes.contains("Unreachable") && outcomes.contains("Answered"), "{outcomes}");
}

#[tokio::test(flavor = "local")]
async fn an_endpoint_that_keeps_failing_is_left_alone_but_never_the_last_one() {
    let dead = nobody().await;
    let mut settings = settings(dead);
    settings.endpoints.push(endpoint(echo().await));
    settings.outlier.failures = 2;
    settings.retries = 0;
    let mut gate = Gate::open(vec![settings.clone()], Who::default()).await;
    let mut refused = 0;
    for _ in 0..20 {
        gate.get("").await;
        refused += usize::from(format!("{:?}", gate.seen().await).contains("Unreachable"));
    }
    assert_eq!(refused, 2);
    settings.endpoints.truncate(1);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    for _ in 0..5 {
        gate.get("").await;
        assert!(gate.refusal().await.contains("Unreachable"));
    }
}
