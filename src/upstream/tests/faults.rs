//! Services and clients that are down, slow, rude or gone.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::harness::{Gate, Peer, Seen, Who, service, settings};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";

async fn refused_by(talk: &'static str) -> String {
    let address = service(move |_, mut peer| async move {
        peer.head().await;
        peer.send(talk).await;
    })
    .await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.get("").await;
    gate.refusal().await
}

#[tokio::test(flavor = "local")]
async fn a_service_that_is_down_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.get("").await;
    let refusal = gate.refusal().await;
    assert!(refusal.starts_with("Unreachable") && refusal.contains(&address.to_string()), "{refusal}");
}

#[tokio::test(flavor = "local")]
async fn a_service_that_closes_before_it_answers_is_closed() {
    for nothing in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let refusal = refused_by(nothing).await;
        assert!(refusal.starts_with("Closed"), "{nothing}: {refusal}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_service_that_speaks_no_http_breaks_the_protocol() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
    ] {
        let refusal = refused_by(garbage).await;
        assert!(refusal.starts_with("Protocol"), "{garbage}: {refusal}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nX: ").await;
        for _ in 0..100 {
            peer.send(vec![b'a'; 64 * 1024]).await;
        }
    })
    .await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    gate.get("").await;
    let refusal = gate.refusal().await;
    assert!(refusal.starts_with("Protocol"), "{refusal}");
}

/// An upgrade that nobody asked for would hand the client a raw connection.
#[tokio::test(flavor = "local")]
async fn a_101_that_was_not_asked_for_is_refused() {
    let refusal =
        refused_by("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(refusal.starts_with("Protocol"), "{refusal}");
}

#[tokio::test(flavor = "local")]
async fn a_service_that_never_answers_is_too_slow() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut settings = settings(address);
    settings.timeouts.header = Duration::from_millis(20);
    let mut gate = Gate::open(vec![settings.clone()], Who::default()).await;
    gate.get("").await;
    assert!(gate.refusal().await.contains("which: Header"));
    settings.timeouts.header = Duration::from_secs(3_600);
    settings.timeouts.total = Some(Duration::from_millis(20));
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    gate.get("").await;
    assert!(gate.refusal().await.contains("which: Total"));
}

#[tokio::test(flavor = "local")]
async fn a_service_that_never_finishes_tls_is_too_slow_to_connect() {
    let (told, mut hello) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            peer.more().await;
            told.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let mut settings = settings(address);
    settings.endpoints[0].encrypted = true;
    settings.tls = super::tls::trusting(&super::tls::authority(), None);
    settings.timeouts.connect = Duration::from_millis(200);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    gate.get("").await;
    assert!(gate.refusal().await.contains("which: Connect"));
    hello.recv().await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_service_that_closes_in_mid_body_cuts_the_answer() {
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        let address = service(move |_, mut peer| async move {
            peer.head().await;
            peer.send(half).await;
        })
        .await;
        let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
        let answer = gate.get("").await;
        assert!(answer.contains("half") && !answer.ends_with("0\r\n\r\n"), "{half}: {answer}");
        gate.seen().await;
        let cut = gate.seen().await;
        assert!(matches!(&cut, Seen::Cut(error) if error.starts_with("Connection")), "{half}: {cut:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_service_that_stalls_in_mid_body_cuts_the_answer() {
    let (told, mut closed) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
            assert!(!peer.more().await);
            told.send(()).unwrap();
        }
    })
    .await;
    let mut settings = settings(address);
    settings.timeouts.idle = Duration::from_millis(20);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    let answer = gate.get("").await;
    assert!(answer.ends_with("half"), "{answer}");
    gate.seen().await;
    let cut = gate.seen().await;
    assert!(matches!(&cut, Seen::Cut(error) if error.contains("Timeout(Idle)")), "{cut:?}");
    closed.recv().await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_body_that_is_too_large_by_its_own_word_reaches_nobody() {
    let address =
        service(|_, mut peer| async move { assert!(peer.head().await.is_empty(), "the service was asked") }).await;
    let mut settings = settings(address);
    settings.max_request_body = 10;
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    gate.talk(&format!("{POST}Expect: 100-continue\r\nContent-Length: 11\r\n\r\n"), |_| false).await;
    assert!(gate.refusal().await.contains("BodyTooLarge { limit: 10 }"));
}

#[tokio::test(flavor = "local")]
async fn a_body_that_grows_too_large_is_never_ended_properly() {
    let (told, mut received) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move { told.send(peer.rest().await).unwrap() }
    })
    .await;
    let mut settings = settings(address);
    settings.max_request_body = 10;
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    gate.talk(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"), |_| false)
        .await;
    assert!(gate.refusal().await.contains("BodyTooLarge { limit: 10 }"));
    let received = received.recv().await.unwrap();
    assert!(!received.contains("second") && !received.contains("0\r\n\r\n"), "{received}");
}

#[tokio::test(flavor = "local")]
async fn a_client_that_stops_sending_is_told_so_and_the_service_sees_no_end() {
    let (told, mut received) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move { told.send(peer.rest().await).unwrap() }
    })
    .await;
    let mut settings = settings(address);
    settings.timeouts.idle = Duration::from_millis(20);
    let mut gate = Gate::open(vec![settings], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(format!("{POST}Content-Length: 10\r\n\r\nhalf")).await;
    assert!(gate.refusal().await.contains("BodyTimeout"));
    assert!(received.recv().await.unwrap().ends_with("half"));
}

#[tokio::test(flavor = "local")]
async fn a_client_that_leaves_takes_its_request_along() {
    let (told, mut received) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            let head = peer.head().await;
            told.send(head).unwrap();
            told.send(peer.rest().await).unwrap();
        }
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("{POST}Content-Length: 10\r\n\r\nhalf"),
        format!("{POST}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ] {
        let mut client = Peer::connect(gate.address).await;
        client.send(&request).await;
        received.recv().await.unwrap();
        drop(client);
        let rest = received.recv().await.unwrap();
        assert!(!rest.ends_with("0\r\n\r\n"), "{request}: {rest}");
    }
}
