//! What a reload moves: listeners, where operators are answered, where records go, what connections may cost.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use portcullis::admin::call;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::Ca;
use crate::fetch::{configure, service};
use crate::support::{Client, Exchange};

async fn open(address: std::net::SocketAddr, alpn: &str) -> Exchange {
    let socket = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Client::new(None, &[alpn]).config);
    Exchange::over(connector.connect("edge.test".try_into().unwrap(), socket).await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_opens_listeners_and_closes_others_in_order() {
    let directory = tempfile::tempdir().unwrap();
    Ca::new("clients").write(directory.path(), "clients");
    configure(directory.path(), "", service().await);
    let main = directory.path().join("portcullis.toml");
    let first = fs::read_to_string(&main).unwrap();
    let (listener, rest) = first.split_once("[trust.corp]").unwrap();
    let second = listener.replace("name = \"edge\"", "name = \"second\"");
    let server = portcullis::server::start(directory.path()).await.unwrap();
    let edge = server.address("edge").unwrap();
    let (mut http1, mut http2) = (open(edge, "http/1.1").await, open(edge, "h2").await);
    for exchange in [&mut http1, &mut http2] {
        assert_eq!(exchange.ask("edge.test").await.unwrap().status(), 200);
    }

    fs::write(&main, format!("{listener}{second}[trust.corp]{rest}")).unwrap();
    let reply = server.reload().await;
    let address = server.address("second").unwrap();
    assert!(reply.done && reply.message.contains(&format!("listener `second` opened on {address}")), "{reply:?}");
    assert_eq!(open(address, "h2").await.ask("edge.test").await.unwrap().status(), 200);
    assert_eq!(http1.ask("edge.test").await.unwrap().headers().get("connection"), None);

    fs::write(&main, format!("{second}[trust.corp]{rest}")).unwrap();
    let reply = server.reload().await;
    assert!(reply.done && reply.message.contains(&format!("listener `edge` on {edge} closed")), "{reply:?}");
    assert_eq!((server.address("edge"), server.address("second")), (None, Some(address)));
    // What is open there is answered, and told to go.
    loop {
        let answer = http1.ask("edge.test").await.unwrap();
        assert_eq!(answer.status(), 200);
        if answer.headers().get("connection").is_some_and(|said| said == "close") {
            break;
        }
    }
    assert_eq!(http2.ask("edge.test").await.unwrap().status(), 200);
    for exchange in [&mut http1, &mut http2] {
        while exchange.ask("edge.test").await.is_ok() {}
    }
    while TcpStream::connect(edge).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(open(address, "http/1.1").await.ask("edge.test").await.unwrap().status(), 200);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_cannot_be_had_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    Ca::new("clients").write(directory.path(), "clients");
    configure(directory.path(), "", service().await);
    let main = directory.path().join("portcullis.toml");
    let first = fs::read_to_string(&main).unwrap();
    let server = portcullis::server::start(directory.path()).await.unwrap();
    let edge = server.address("edge").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let there = taken.local_addr().unwrap().to_string();
    fs::write(&main, first.replacen("127.0.0.1:0", &there, 1)).unwrap();
    let reply = server.reload().await;
    assert!(!reply.done && reply.message.contains("the address is taken"), "{reply:?}");
    assert_eq!(server.address("edge"), Some(edge));
    assert_eq!(open(edge, "h2").await.ask("edge.test").await.unwrap().status(), 200);
    server.shutdown().await;
}

/// Asks again and again over new connections, and over one that is kept as long as it may be.
async fn visit(address: SocketAddr, stop: Arc<AtomicBool>) -> usize {
    let mut asked = 0;
    let mut kept = open(address, "http/1.1").await;
    while !stop.load(Ordering::Acquire) {
        assert_eq!(open(address, "h2").await.ask("edge.test").await.unwrap().status(), 200);
        let answer = kept.ask("edge.test").await.unwrap();
        assert_eq!(answer.status(), 200);
        if answer.headers().get("connection").is_some_and(|said| said == "close") {
            kept = open(address, "http/1.1").await;
        }
        asked += 2;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_goes_to_a_listener_of_another_name_and_nobody_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Ca::new("clients").write(directory.path(), "clients");
    configure(directory.path(), "", service().await);
    let main = directory.path().join("portcullis.toml");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [one, two] = [free(), free()];
    let text = fs::read_to_string(&main).unwrap();
    let (listener, rest) = text.split_once("[trust.corp]").unwrap();
    let on = |name: &str, address: SocketAddr| {
        listener.replace("\"edge\"", &format!("\"{name}\"")).replace("127.0.0.1:0", &address.to_string())
    };
    let write = |first: &str, second: &str| {
        fs::write(&main, format!("{}{}[trust.corp]{rest}", on(first, one), on(second, two))).unwrap();
    };
    write("edge", "other");
    let server = portcullis::server::start(directory.path()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let visitors = [one, two].map(|address| tokio::spawn(visit(address, stop.clone())));
    for (first, second) in [("front", "other"), ("other", "front"), ("edge", "back")] {
        write(first, second);
        let reply = server.reload().await;
        assert!(reply.done, "{reply:?}");
        assert_eq!((server.address(first), server.address(second)), (Some(one), Some(two)));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Release);
    for visitor in visitors {
        assert!(visitor.await.unwrap() > 10);
    }
    server.shutdown().await;
    assert!(TcpStream::connect(one).await.is_err() && TcpStream::connect(two).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_and_records_move_without_a_word_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    Ca::new("clients").write(directory.path(), "clients");
    configure(directory.path(), "", service().await);
    let text = fs::read_to_string(path("portcullis.toml")).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let moved = |probes: &str, more: &str, audit: &str| {
        let text = text.replace("probes = \"127.0.0.1:0\"\n", &format!("probes = \"{probes}\"\n{more}"));
        fs::write(path("portcullis.toml"), text.replace("audit.jsonl", audit)).unwrap();
    };
    let status = async |socket: &str| {
        let answer = call(&path(socket), http::Method::GET, "/status", Bytes::new()).await;
        answer.map(|(status, _)| status.as_u16()).ok()
    };
    moved(&free.to_string(), "control = { socket = \"one.sock\" }\n", "one.jsonl");
    let server = portcullis::server::start(directory.path()).await.unwrap();
    let edge = server.address("edge").unwrap();
    assert_eq!(open(edge, "h2").await.ask("edge.test").await.unwrap().status(), 200);
    assert!(TcpStream::connect(free).await.is_ok());

    // The order itself comes over the socket that goes, and is answered.
    let more = "control = { socket = \"two.sock\" }\n[limits]\nconnections = 7\n[timeouts]\ndrain = \"1s\"\n";
    moved("127.0.0.1:0", more, "two.jsonl");
    let (said, reply) = call(&path("one.sock"), http::Method::POST, "/reload", Bytes::new()).await.unwrap();
    assert_eq!(said.as_u16(), 200, "{reply:?}");
    assert_eq!((status("one.sock").await, status("two.sock").await), (None, Some(200)));
    assert!(!path("one.sock").exists());
    while TcpStream::connect(free).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(open(edge, "h2").await.ask("edge.test").await.unwrap().status(), 200);

    // What cannot be had changes nothing, and leaves nothing behind.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    moved(&taken.local_addr().unwrap().to_string(), "control = { socket = \"three.sock\" }\n", "two.jsonl");
    let reply = server.reload().await;
    assert!(!reply.done && reply.message.contains("the probes cannot be bound at"), "{reply:?}");
    moved("127.0.0.1:0", more, "nowhere/two.jsonl");
    let reply = server.reload().await;
    assert!(!reply.done && reply.message.contains("the audit log cannot be opened"), "{reply:?}");
    assert!(!path("three.sock").exists());
    assert_eq!(status("two.sock").await, Some(200));

    // A tunnel or a request that never ends would be cut after the new limit, not after the old one.
    let begun = std::time::Instant::now();
    let idle = open(edge, "http/1.1").await;
    server.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    drop(idle);
    assert!(!path("two.sock").exists());
    for name in ["one.jsonl", "two.jsonl"] {
        let records = fs::read_to_string(path(name)).unwrap();
        assert_eq!(
            records.lines().filter(|line| line.contains("\"decision\":\"allow\"")).count(),
            1,
            "{name}: {records}"
        );
    }
}
