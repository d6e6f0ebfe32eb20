//! Room 4: who asks, proved. Takes a [`Presented`](crate::credential::Presented), gives an [`Identified`], or 401; 503
//! when the proof cannot be had.
//!
//! A token goes to exactly one source, an issuer that signed it (RFC 7519, RFC 8725, RFC 9068) or an authorization
//! server that is asked about it (RFC 7662), and is never tried at a second. A token that is bound to a key is worth
//! nothing without it (RFC 8705, RFC 9449).

mod algorithm;
mod authenticator;
mod binding;
mod budget;
mod cache;
mod client;
mod dpop;
mod error;
mod facts;
mod identified;
mod inspect;
mod introspection;
mod issuer;
mod jwks;
mod jwt;
mod oidc;
mod revocations;
mod settings;
mod sources;
mod status;

pub use algorithm::Algorithm;
pub use authenticator::{Authenticator, SourceError};
pub use cache::{TokenCache, TokenCacheLimits};
pub(crate) use client::Client;
pub use client::ClientAuthError;
pub use dpop::{DPOP_ALGORITHMS, ProofMemory};
pub use error::{AuthnError, BindingFault, DpopFault};
pub use identified::Identified;
pub use inspect::{Ask, Check, Inspection, Outcome};
pub use jwks::{KeySet, KeySetError};
pub use revocations::{Revocation, Revocations, RevokeError, Revoked};
pub use settings::{
    Audiences, ClientAuth, ClientSettings, GroupsClaim, GroupsForm, IntrospectionCache, IntrospectionSettings,
    IssuerSettings, KeyOrigin, RefreshSettings, SharedSecret, TokenRules, TokenType,
};
pub use sources::{Ambiguity, AmbiguityKind, TokenSources};
pub use status::{SourceKind, SourceState, SourceStatus};
