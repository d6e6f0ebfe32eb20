//! Room 1: bytes in, one meaning out.
//!
//! Takes what the HTTP layer parsed, gives a [`Received`] or refuses with 400 whatever could be read in two ways
//! (RFC 9110 section 7.1, RFC 9112 sections 3 and 6, RFC 3986 section 6).

mod address;
mod arrival;
mod authority;
mod body;
mod connection;
mod fields;
mod headers;
mod host;
mod id;
mod intake;
mod path;
mod query;
mod settings;
mod source;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod trace;

pub use address::AddressText;
pub use arrival::{AnswerStyle, Arrival};
pub use body::Body;
pub use connection::{Connection, ConnectionId, Derived, HostProfiles, HttpVersion, TlsFacts};
pub use headers::HeaderFault;
pub use host::{Host, HostError};
pub use id::RequestId;
pub use intake::{IntakeError, Received};
pub use path::{CanonicalPath, PathError, PathForms};
pub use query::QueryError;
pub use settings::IntakeSettings;
pub use source::{parse_element as parse_forwarded_for, source_address};
pub use target::{FragmentCutOff, TargetError};
pub use trace::TraceContext;

pub(crate) use fields::{Field, Fields};
pub(crate) use headers::{is_for_routes, is_reserved};
pub(crate) use path::decode;
pub(crate) use query::parameter_names;
pub(crate) use target::is_served;
