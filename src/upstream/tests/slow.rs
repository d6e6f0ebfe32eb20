//! Slow clients: what they hold up is never counted against the service.

use std::net::SocketAddr;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::harness::{Gate, Peer, Who, endpoint, service, settings};
use super::streams::{call, client, data, fed, http2, http2_service};
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

/// Tells of every piece that comes, and answers nothing.
async fn listening() -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            while peer.more().await {
                let _ = tell.send(());
            }
        }
    })
    .await;
    (address, heard)
}

/// So much later; nothing else hurries meanwhile.
async fn later(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

/// Sends a piece every five seconds and says how many the service got, at most `most`.
async fn pieces(
    address: SocketAddr,
    heard: &mut mpsc::UnboundedReceiver<()>,
    begin: &str,
    piece: &str,
    most: usize,
) -> usize {
    let mut client = Peer::connect(address).await;
    client.send(begin).await;
    heard.recv().await.unwrap();
    for count in 0..most {
        later(Duration::from_secs(5)).await;
        // What comes too late is not passed on.
        client.send(piece).await;
        if tokio::time::timeout(Duration::from_millis(500), heard.recv()).await.ok().flatten().is_none() {
            return count;
        }
    }
    most
}

#[tokio::test(flavor = "local")]
async fn a_body_that_drips_for_ever_ends_and_one_that_keeps_the_pace_does_not() {
    const LONG: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    let much = "x".repeat(1_200);
    let (address, mut heard) = listening().await;
    let paced = |rate| Settings { body_rate: rate, ..settings(address) };
    let mut gate = Gate::open(vec![paced(240)], Who::default()).await;
    for (head, piece) in [
        (LONG, "x"),
        (CHUNKED, "1\r\nx\r\n"),
        // Whoever calls it gRPC is believed only where the service could speak that.
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 1000000\r\n", "x"),
    ] {
        let got = pieces(gate.address, &mut heard, &format!("{head}\r\n"), piece, 20).await;
        assert!((4..=6).contains(&got), "{got} of {head}");
        assert_eq!(gate.refusal().await, "BodyTimeout");
    }
    assert_eq!(pieces(gate.address, &mut heard, &format!("{LONG}\r\n"), &much, 20).await, 20);
    let gate = Gate::open(vec![paced(0)], Who::default()).await;
    assert_eq!(pieces(gate.address, &mut heard, &format!("{LONG}\r\n"), "x", 20).await, 20, "none is asked for");
}

#[tokio::test(flavor = "local")]
async fn a_stream_of_grpc_may_have_nothing_to_say_and_any_other_body_over_http2_may_not() {
    let (tell, mut heard) = mpsc::unbounded_channel();
    let address = http2_service(move |request| {
        let tell = tell.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {
                let _ = tell.send(());
            }
            Response::new(fed().1)
        }
    })
    .await;
    let mut gate = Gate::open_http2(vec![Settings { body_rate: 240, ..http2(address) }], Who::default()).await;
    for (kind, most) in [("application/grpc+proto", 20), ("application/json", 6)] {
        let (feed, body) = fed();
        let mut request = call(body);
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let answer = spawn_local(client(&gate).await.send_request(request));
        feed.send(data("x")).unwrap();
        heard.recv().await.unwrap();
        let mut got = 0;
        while got < 20 {
            later(Duration::from_secs(5)).await;
            feed.send(data("x")).unwrap();
            match tokio::time::timeout(Duration::from_millis(500), heard.recv()).await {
                Ok(Some(())) => got += 1,
                _ => break,
            }
        }
        assert!(got <= most && (most < 20 || got == 20), "{kind}: {got}");
        if most < 20 {
            assert_eq!(gate.refusal().await, "BodyTimeout");
        }
        answer.abort();
    }
}
