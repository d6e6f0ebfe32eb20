//! What a connection may cost, and how long each way of being slow may last.

use std::time::Duration;

/// Limits and deadlines of all listeners. The default is strict and fits a service in front of the internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, all listeners together. At the limit the oldest that never sent a request makes room, then the
    /// one that has been idle for longest; one with an open request never does.
    pub connections: usize,
    /// Handshakes under way per client address (an IPv6 client is its /64). At the limit the oldest makes room.
    pub handshakes_per_address: usize,
    /// From accept to the end of the TLS handshake, the PROXY header included.
    pub handshake: Duration,
    /// From the first byte of a request head to its end, and from the handshake to the first head.
    pub head: Duration,
    /// A connection between two requests.
    pub idle: Duration,
    /// A client that takes no more of an answer.
    pub stall: Duration,
    /// The age at which a connection is closed after the requests that are open.
    pub age: Duration,
    /// Fields in a request head.
    pub header_fields: usize,
    /// Bytes of a request head; for HTTP/2 the decoded header list.
    pub head_bytes: usize,
    /// Open streams of one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshakes_per_address: 100,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(60),
            age: Duration::from_secs(3_600),
            header_fields: 100,
            head_bytes: 64 * 1024,
            streams: 100,
        }
    }
}
