//! The vocabulary: who and what a request can be about. No room, no I/O; everything else builds on it.
//!
//! A value of one of these types was parsed by the only constructor of its meaning, so the rooms compare and never
//! parse again.

mod claims;
mod field;
mod name;
mod params;
mod peer;
mod reason;
mod rendered;
mod secret;
mod spiffe;
mod token;

pub use claims::{ClaimPath, Claims, ClaimsError};
pub use field::{is_same_field, occurrences, plain_field};
pub use name::{Audience, Issuer, Name, Principal, Scope};
pub use params::PathParams;
pub use peer::{PeerCertificate, PeerCheck, PeerFacts, PeerIdentity, PeerRefusal};
pub use reason::Reason;
pub use rendered::Rendered;
pub use secret::Secret;
pub use spiffe::{SpiffeError, SpiffeId, TrustDomain};
pub use token::{ClaimForm, Confirmation, Subject, TokenFacts};
