//! The promise of the room `authn`: whoever is identified is proved, and whatever fails, fails the request.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that cannot go on must say so by failing"
)]

mod binding;
mod bounds;
mod client_auth;
mod dpop;
mod good;
mod hostile;
mod inspect;
mod introspection;
mod introspection_answers;
mod keys;
mod memory;
mod refusals;
mod revoked;
mod signed_answers;
mod support;
