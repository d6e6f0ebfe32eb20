//! A small plain HTTP/1.1 server that does what a test tells it: late, half, wrong or endless answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Listens until the test ends.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Scripted {
    /// Answers each request by `script`, which gets the request's target and the connection. `false` closes it.
    pub(crate) fn start(script: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST), script)
    }

    /// The same at another address of this machine.
    pub(crate) fn at(address: IpAddr, script: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(script);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let script = script.clone();
                thread::spawn(move || converse(&socket, &*script));
            }
        });
        Self { address }
    }
}

/// Writes an answer with a body.
pub(crate) fn reply(socket: &mut TcpStream, status: &str, more: &str, body: &[u8]) -> bool {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{more}\r\n", body.len());
    socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body)).is_ok()
}

fn converse(socket: &TcpStream, script: &dyn Fn(&str, &mut TcpStream) -> bool) {
    let (Ok(mut out), mut lines) = (socket.try_clone(), BufReader::new(socket).lines().map_while(Result::ok)) else {
        return;
    };
    while let Some(first) = lines.next() {
        while lines.next().is_some_and(|line| !line.is_empty()) {}
        if !script(first.split(' ').nth(1).unwrap_or_default(), &mut out) {
            break;
        }
    }
    drop(out.shutdown(std::net::Shutdown::Both));
}
