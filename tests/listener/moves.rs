//! Listeners that come and go with a reload.

use std::fs;
use std::time::Duration;

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
