//! One kept-alive HTTP/1.1 connection over TLS, in the test's own hands: it can wait, and it can go away.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Answer, Gate};

/// A connection that stays open between requests.
pub(crate) struct Wire {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Wire {
    /// Connects and shakes hands.
    pub(crate) fn open(gate: &Gate) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(gate.file("certs/ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(StreamOwned::new(tls, socket)) }
    }

    /// Sends a GET request and waits for nothing.
    pub(crate) fn send(&mut self, path: &str) {
        self.send_raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    /// Sends what need not be a whole request.
    pub(crate) fn send_raw(&mut self, request: &str) {
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// Reads an answer that states its length. `Err` when the connection ends before.
    pub(crate) fn receive(&mut self) -> std::io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_until(b'\n', &mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let mut answer = Answer::parse(&head);
        answer.body = vec![0; answer.header("content-length").unwrap().parse().unwrap()];
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Sends a GET request and reads the answer.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(path);
        self.receive().unwrap()
    }
}
