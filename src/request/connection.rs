//! What is known of a connection before its first request.

use std::fmt;
use std::net::SocketAddr;

use crate::identity::{Name, PeerCertificate};

/// The number of a connection within this process: the same in every record of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// One downstream connection, shared by all of its requests. Built by `listener`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// The `[[listener]]` that accepted it.
    pub listener: Name,
    /// The client's address: the socket's, or what a trusted PROXY header states.
    pub client: SocketAddr,
    /// The address it was accepted on.
    pub local: SocketAddr,
    /// What TLS settled; `None` on a listener without TLS.
    pub tls: Option<TlsFacts>,
    /// What the client showed in the handshake.
    pub peer: PeerCertificate,
    /// What ALPN settled.
    pub http: HttpVersion,
}

/// The version of HTTP that a connection speaks, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    Http2,
}

/// What a finished TLS handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The server name that the client asked for (SNI, RFC 6066 section 3), lower case and without a trailing dot.
    pub server_name: Option<Box<str>>,
    /// The certificate profile that the handshake used. A request for a host of another profile is 421.
    pub profile: Name,
    /// Whether a session was resumed.
    pub resumed: bool,
}
