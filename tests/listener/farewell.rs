//! The end of a connection whose client has not said everything: it gets the whole answer first.

use std::time::Duration;

use portcullis::listener::{ClientPolicy, Door};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{House, Running};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 10000000\r\n\r\n";

fn plain() -> Running {
    let mut house = House::new(ClientPolicy::Off);
    house.settings.door = Door::Plain;
    house.run()
}

/// The service answers without reading. Whoever goes on sending for a while still reads the answer to its end.
#[tokio::test]
async fn an_answer_survives_the_body_that_nobody_read() {
    let running = plain();
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(HEAD.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    for _ in 0..12 {
        client.write_all(&[b'x'; 4096]).await.unwrap();
    }
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("hello"), "{rest}");
    client.write_all(&[b'x'; 4096]).await.unwrap();
}

/// Whoever never stops is cut off.
#[tokio::test]
async fn not_more_is_read_than_a_little_and_not_for_long() {
    let running = plain();
    for pause in [Duration::ZERO, Duration::from_millis(200)] {
        let mut client = TcpStream::connect(running.address).await.unwrap();
        client.write_all(HEAD.as_bytes()).await.unwrap();
        let flood = async {
            while client.write_all(&[b'x'; 1024]).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        };
        timeout(Duration::from_secs(10), flood).await.unwrap();
    }
}
