//! Keys and tokens, and a proxy's first four rooms around an authenticator.

pub(crate) mod house;
pub(crate) mod keys;

pub(crate) use house::{House, ISSUER, NOW, at, issuer};
pub(crate) use keys::{SigningKey, claims, encode, header, key};
