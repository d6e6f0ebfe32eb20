//! The first words of a client, in pieces: what they ask for is read whole or not at all.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use portcullis::listener::ClientPolicy;
use rustls::{ClientConfig, ClientConnection};

use crate::certificates::Ca;
use crate::support::{Client, House, bundle};

/// Takes TLS records apart into records of one byte each.
fn shred(mut records: &[u8]) -> Vec<u8> {
    let mut shreds = Vec::new();
    while let [kind, major, minor, high, low, rest @ ..] = records {
        let (payload, next) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        shreds.extend(payload.iter().flat_map(|byte| [*kind, *major, *minor, 0, 1, *byte]));
        records = next;
    }
    shreds
}

/// Asks with a ClientHello that comes in records of one byte; the answer's head.
fn ask(address: SocketAddr, config: Arc<ClientConfig>, name: &'static str) -> std::io::Result<String> {
    let mut client = ClientConnection::new(config, name.try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(address)?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello)?;
    let hello = shred(&hello);
    assert!(hello.len() > 1_000, "a ClientHello of {} bytes", hello.len());
    for piece in hello.chunks(100) {
        socket.write_all(piece)?;
    }
    let mut stream = rustls::Stream::new(&mut client, &mut socket);
    write!(stream, "GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A server that gives up on a fragmented ClientHello and falls back to its default profile asks for no certificate
/// where one is required.
#[tokio::test]
async fn a_hello_in_pieces_gets_the_profile_that_it_asks_for() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let trust = vec![bundle(folder.path(), "corp", &ca)];
    let running = House::new(ClientPolicy::Off).host("strict.test", ClientPolicy::Required(trust)).run();
    let address = running.address;
    let visit = |identity, name| {
        let config = Client::new(identity, &["http/1.1"]).config;
        tokio::task::spawn_blocking(move || ask(address, config, name))
    };
    let member = ca.client(|_| {});
    let answer = visit(Some(&member), "strict.test").await.unwrap().unwrap();
    assert!(
        answer.contains("x-profile: edge/strict.test\r\n") && answer.contains("x-peer: verified corp\r\n"),
        "{answer}"
    );
    visit(None, "strict.test").await.unwrap().unwrap_err();
    let answer = visit(None, "edge.test").await.unwrap().unwrap();
    assert!(answer.contains("x-profile: edge\r\n"), "{answer}");
}

/// No name at all gets the listener's own profile, never the loosest or the first.
#[tokio::test]
async fn a_hello_without_a_name_gets_the_listeners_own_profile() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let trust = vec![bundle(folder.path(), "corp", &ca)];
    let running = House::new(ClientPolicy::Required(trust)).host("strict.test", ClientPolicy::Off).run();
    for identity in [None, Some(ca.client(|_| {}))] {
        let mut config = (*Client::new(identity.as_ref(), &["http/1.1"]).config).clone();
        config.enable_sni = false;
        let outcome = running.ask(&Client { config: Arc::new(config) }, "edge.test").await;
        match identity {
            None => drop(outcome.unwrap_err()),
            Some(_) => assert_eq!(outcome.unwrap().headers()["x-profile"], "edge"),
        }
    }
}

/// Names that only look different are the same name.
#[tokio::test]
async fn a_name_is_compared_without_case() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let trust = vec![bundle(folder.path(), "corp", &ca)];
    let running = House::new(ClientPolicy::Off).host("strict.test", ClientPolicy::Required(trust)).run();
    running.ask(&Client::anonymous(), "STRICT.test").await.unwrap_err();
    running.ask(&Client::anonymous(), "strict.TEST").await.unwrap_err();
}
