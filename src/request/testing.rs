//! Requests for the unit tests of every room.

use std::sync::Arc;

use http::Request;
use jiff::Timestamp;

use super::{Arrival, Body, Connection, ConnectionId, Derived, HttpVersion, IntakeError, IntakeSettings, Received};
use crate::identity::{Name, PeerCertificate};

/// A connection without TLS from 192.0.2.1.
pub(crate) fn connection(http: HttpVersion) -> Connection {
    Connection {
        id: ConnectionId(1),
        listener: Name::new("test"),
        client: ([192, 0, 2, 1], 4711).into(),
        local: ([192, 0, 2, 2], 8080).into(),
        tls: None,
        peer: PeerCertificate::Absent,
        http,
        derived: Derived::default(),
    }
}

/// Takes a request in that came over HTTP/1.1.
pub(crate) fn intake(request: Request<()>) -> Result<Received, IntakeError> {
    let arrival = Arrival::of(&request, Timestamp::UNIX_EPOCH);
    let connection = Arc::new(connection(HttpVersion::Http1));
    Received::intake(Box::new(request.map(|()| Body::Empty)), connection, &arrival, &IntakeSettings::default())
}
