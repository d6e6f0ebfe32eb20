//! Trust bundles: who signs client certificates, and which of those have been revoked.
//!
//! A bundle is read and checked once, when the configuration is; a handshake then costs the signatures of the chain and
//! two look-ups. What a verified chain rests on is kept as a [`Standing`], so that expiry, revocation and trust can be
//! asked again, without signatures, when a session is resumed and while a connection lives.

mod authority;
mod bundle;
mod revocation;
mod standing;
mod svid;

pub use authority::AuthorityFault;
pub use bundle::{Sources, TrustBundle, TrustError};
pub use revocation::{Freshness, RevocationFault, WhenExpired};
pub(super) use standing::Standing;
