//! Slow clients: what they hold up is never counted against the service.

use std::net::SocketAddr;
use std::time::Duration;

use super::harness::{Gate, Peer, Who, endpoint, service, settings};
use crate::upstream::settings::Settings;

const HALF: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhalf";
const SHORT: Duration = Duration::from_millis(100);

/// Two endpoints, of which one failure puts one out of service.
fn strict(address: SocketAddr) -> Settings {
    let mut settings = settings(address);
    settings.endpoints.push(endpoint(address));
    settings.outlier.failures = 1;
    settings
}

fn ejections(gate: &Gate) -> u64 {
    gate.upstreams.borrow().status().iter().map(|endpoint| endpoint.ejections).sum()
}

/// Answers a whole request, however long that takes.
async fn patient() -> SocketAddr {
    service(|_, mut peer| async move {
        if peer.read_until(|request| request.ends_with("halfhalf")).await.ends_with("halfhalf") {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        }
    })
    .await
}

#[tokio::test(flavor = "local")]
async fn the_deadline_of_the_answer_waits_for_the_body() {
    let mut settings = strict(patient().await);
    settings.timeouts.header = SHORT;
    let gate = Gate::open(vec![settings], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(HALF).await;
    tokio::time::sleep(3 * SHORT).await;
    client.send("half").await;
    assert!(client.rest().await.ends_with("ok"));
    assert_eq!(ejections(&gate), 0);
}

#[tokio::test(flavor = "local")]
async fn a_client_that_uses_up_the_whole_time_is_the_one_that_was_slow() {
    let mut settings = strict(patient().await);
    settings.timeouts.total = Some(SHORT);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(HALF).await;
    assert_eq!(gate.refusal().await, "BodyTimeout");
    assert_eq!(ejections(&gate), 0);
}

#[tokio::test(flavor = "local")]
async fn a_service_that_gives_up_on_a_slow_client_has_not_failed() {
    for last in ["", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"] {
        let address = service(move |_, mut peer| async move {
            peer.head().await;
            peer.bytes(4).await;
            tokio::time::sleep(SHORT).await;
            peer.send(last).await;
        })
        .await;
        let mut gate = Gate::open(vec![strict(address)], Who::default()).await;
        let mut client = Peer::connect(gate.address).await;
        client.send(HALF).await;
        gate.seen().await;
        assert_eq!(ejections(&gate), 0, "{last}");
    }
}

/// The same faults without a client to blame.
#[tokio::test(flavor = "local")]
async fn a_service_that_has_the_whole_request_is_the_one_that_was_slow() {
    let whole = format!("{HALF}half");
    let mute = service(|_, mut peer| async move { while peer.more().await {} }).await;
    let closing = service(|_, mut peer| async move {
        peer.head().await;
        peer.bytes(8).await;
    })
    .await;
    for (address, expected) in [(mute, "which: Header"), (closing, "Closed")] {
        let mut settings = strict(address);
        settings.timeouts.header = SHORT;
        let mut gate = Gate::open(vec![settings], Who::default()).await;
        let mut client = Peer::connect(gate.address).await;
        client.send(&whole).await;
        let refusal = gate.refusal().await;
        assert!(refusal.contains(expected), "{refusal}");
        assert_eq!(ejections(&gate), 1, "{expected}");
    }
}
