//! Connections that are being made: enough for all who wait, and nobody waits for longer than one dial may take.

use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc;
use tokio::time::{advance, pause, resume};

use super::harness::{Gate, Who, service, settings};
use crate::upstream::settings::Protocol;

/// How long a dial may take: longer than it takes until all who are to wait for it are here.
const CONNECT: Duration = Duration::from_secs(20);

/// How many connections so many requests at once begin, to a service that never finishes one.
async fn begun(requests: usize, protocol: Protocol, streams: usize) -> usize {
    let (told, mut hellos) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            if peer.more().await {
                told.send(()).unwrap();
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    let mut settings = settings(address);
    settings.endpoints[0].encrypted = true;
    settings.tls = super::tls::trusting(&super::tls::authority(), None);
    settings.timeouts.connect = CONNECT;
    (settings.protocol, settings.pool.streams) = (protocol, streams);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    {
        let all_wait = async {
            let active = || gate.upstreams.borrow().status().iter().map(|endpoint| endpoint.active).sum::<u32>();
            while active() < u32::try_from(requests).unwrap() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Now, however long that took, the time of all of them is over, the last one's moments included.
            pause();
            advance(2 * CONNECT).await;
            resume();
        };
        join(join_all((0..requests).map(|_| gate.get(""))), all_wait).await;
    }
    for _ in 0..requests {
        let refusal = gate.refusal().await;
        assert!(refusal.contains("which: Connect"), "{refusal}");
    }
    let mut count = 0;
    while hellos.try_recv().is_ok() {
        count += 1;
    }
    count
}

#[tokio::test(flavor = "local")]
async fn whoever_waits_for_a_connection_waits_no_longer_than_it_may_take() {
    // One after the other, each request would have begun a connection of its own when the one before it failed.
    let begun = begun(8, Protocol::Http2, 100).await;
    assert_eq!(begun, 1);
}

#[tokio::test(flavor = "local")]
async fn connections_enough_for_all_who_wait_are_made_at_once() {
    assert_eq!(begun(5, Protocol::Http2, 2).await, 3);
    assert_eq!(begun(3, Protocol::Http2, 1).await, 3);
    assert_eq!(begun(3, Protocol::Http1, 100).await, 3);
}
