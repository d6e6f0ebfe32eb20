//! Room 3: at most one credential, and it leaves the request here. 400 when there are two.
//!
//! Takes a [`Routed`](crate::route::Routed), gives a [`Presented`] (RFC 6750 section 2.1, RFC 9110 section 11.6.2,
//! RFC 9449 section 7.1). A client certificate is not counted among credentials here: it belongs to the connection.

mod extract;
mod token;

pub use extract::{CredentialError, Presented, extract};
pub use token::{Credential, Proof, Token};
