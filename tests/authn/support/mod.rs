//! Keys and tokens, a fake identity provider, and a proxy's first four rooms around an authenticator.

pub(crate) mod fake;
pub(crate) mod house;
pub(crate) mod keys;
pub(crate) mod peer;
pub(crate) mod still;

pub(crate) use fake::{FakeProvider, Reply};
pub(crate) use house::{AUDIENCE, House, ISSUER, NOW, at, issuer, issuer_at, refresh, request, server};
pub(crate) use keys::{SigningKey, claims, encode, header, key, merged};
pub(crate) use peer::peer;
pub(crate) use still::Still;
