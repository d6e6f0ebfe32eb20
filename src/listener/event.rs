//! What happens to a connection outside of any request: the source of the connection records of `audit`.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::identity::{Name, PeerRefusal};
use crate::request::ConnectionId;

/// Takes every event, on the worker's own thread: it must neither block nor panic.
pub type Observer = Arc<dyn Fn(ConnectionEvent) + Send + Sync>;

/// One connection ended, or was refused, where no request can tell it.
#[derive(Clone, Debug)]
pub struct ConnectionEvent {
    /// The connection.
    pub id: ConnectionId,
    /// The client's address, as far as it was known.
    pub client: SocketAddr,
    /// The listener's name.
    pub listener: Name,
    /// What happened.
    pub kind: EventKind,
    /// The library's words, for the operator's log alone. Holds no secret; may quote what the client sent.
    pub detail: Option<Box<str>>,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The handshake was not finished in time.
    HandshakeTimeout,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// No client certificate was shown where one is required.
    CertificateMissing,
    /// The client certificate was refused in the handshake.
    CertificateRefused(PeerRefusal),
    /// The PROXY header is missing or malformed.
    ProxyHeader,
    /// The request head was not finished in time.
    HeadTimeout,
    /// What came was not HTTP as it is spoken here.
    Framing,
    /// The client took no more of an answer.
    Stalled,
    /// Closed to make room: the listener, or the client's address, was at its limit.
    Shed,
    /// A listener that only redirects answered a request.
    Redirected,
    /// Cut when draining took too long.
    Cut,
}

impl EventKind {
    /// A word for records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "handshake-timeout",
            Self::HandshakeFailed => "handshake-failed",
            Self::CertificateMissing => "certificate-missing",
            Self::CertificateRefused(_) => "certificate-refused",
            Self::ProxyHeader => "proxy-header",
            Self::HeadTimeout => "head-timeout",
            Self::Framing => "framing",
            Self::Stalled => "stalled",
            Self::Shed => "shed",
            Self::Redirected => "redirected",
            Self::Cut => "cut",
        }
    }
}
