//! Room 1: bytes in, one meaning out.
//!
//! Takes what the HTTP layer parsed, gives a [`Received`] or refuses with 400 whatever could be read in two ways
//! (RFC 9110 section 7.1, RFC 9112 sections 3 and 6, RFC 3986 section 6).

mod body;
mod connection;

pub use body::Body;
pub use connection::{Connection, ConnectionId, HostProfiles, HttpVersion, TlsFacts};
