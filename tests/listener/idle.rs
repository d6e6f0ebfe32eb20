//! Connections between two requests: how they end, and how they make room for others.

use std::time::Duration;

use portcullis::listener::{ClientPolicy, EventKind};

use crate::floods::Frames;
use crate::support::{Client, Exchange, House, Running};

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.unwrap()
}

async fn is_served(running: &Running) {
    assert_eq!(within(running.peer(&Client::anonymous())).await.as_deref(), Ok("absent"));
}

/// A connection that has asked once and is idle.
async fn idle(running: &Running, alpn: &str) -> Exchange {
    let stream = running.connect(&Client::new(None, &[alpn]), "edge.test").await.unwrap();
    let mut exchange = Exchange::over(stream).await.unwrap();
    exchange.ask("edge.test").await.unwrap();
    exchange
}

fn house(connections: usize) -> Running {
    let mut house = House::new(ClientPolicy::Off);
    house.limits.connections = connections;
    house.run()
}

/// Closing in order takes an answer of the client. One that gives none keeps neither its connection nor the worker.
#[tokio::test]
async fn an_idle_http2_connection_ends_though_its_client_says_nothing_more() {
    let mut house = House::new(ClientPolicy::Off);
    house.limits.idle = Duration::from_millis(100);
    let running = house.run();
    let mut silent = Frames::open(&running).await;
    silent.settle().await;
    silent.ask().await;
    let mut told = false;
    while let Some((kind, _, _)) = within(silent.listen()).await {
        told |= kind == Frames::GOAWAY;
    }
    assert!(told, "it is told before it ends");
    is_served(&running).await;
}

#[tokio::test]
async fn an_idle_connection_makes_room_the_one_that_is_idle_for_longest() {
    for alpn in ["http/1.1", "h2"] {
        let running = house(2);
        let (mut first, mut second) = (idle(&running, alpn).await, idle(&running, alpn).await);
        // A third client is served, although nobody left and nobody is silent.
        let mut third = idle(&running, alpn).await;
        running.event(|kind| kind == EventKind::Shed).await;
        within(first.ask("edge.test")).await.unwrap_err();
        within(third.ask("edge.test")).await.unwrap();
        within(second.ask("edge.test")).await.unwrap();
    }
}

#[tokio::test]
async fn an_http2_client_that_makes_room_is_told_to_go() {
    let running = house(1);
    let mut first = Frames::open(&running).await;
    first.settle().await;
    first.ask().await;
    while within(first.next()).await.unwrap().0 != Frames::DATA {}
    let _second = idle(&running, "h2").await;
    let mut told = false;
    while let Some((kind, _, _)) = within(first.next()).await {
        told |= kind == Frames::GOAWAY;
    }
    assert!(told);
}

#[tokio::test]
async fn a_busy_connection_never_makes_room() {
    let running = house(1);
    let mut busy = idle(&running, "http/1.1").await;
    let held = tokio::spawn(async move { busy.ask("held.test").await });
    running.begun().await;
    within(running.peer(&Client::anonymous())).await.unwrap_err();
    running.event(|kind| kind == EventKind::Shed).await;
    assert!(!held.is_finished());
}

#[tokio::test]
async fn an_open_tunnel_keeps_its_connection_and_one_that_ended_does_not() {
    let mut house = House::new(ClientPolicy::Off);
    house.limits.idle = Duration::from_millis(100);
    let running = house.run();
    let mut frames = Frames::open(&running).await;
    frames.settle().await;
    frames.open_tunnel().await;
    let goes = async { while frames.next().await.is_some_and(|(kind, _, _)| kind != Frames::GOAWAY) {} };
    tokio::time::timeout(Duration::from_millis(500), goes).await.unwrap_err();
    frames.close_tunnel().await;
    while within(frames.next()).await.is_some() {}
}
