//! Keys and tokens, a fake identity provider, and a proxy's first four rooms around an authenticator.

pub mod fake;
pub mod house;
pub mod keys;

pub use fake::{FakeProvider, Reply};
pub use house::{House, ISSUER, NOW, at, issuer, server};
pub use keys::{SigningKey, claims, encode, header, key};
