//! The compact form of a JWS, cut and read strictly, before anything is believed (RFC 7515 sections 4 and 7.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::authn::error::AuthnError;
use crate::identity::Claims;

/// A key identifier longer than this names no key.
const MOST_KEY_ID: usize = 256;

/// A compact JWS whose header and payload are strict JSON objects. Nothing of it is verified.
pub(crate) struct Compact<'t> {
    pub(crate) header: Claims,
    pub(crate) claims: Claims,
    /// What the signature covers: `header.payload` as sent.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'t> Compact<'t> {
    /// Reads `header.payload.signature`: three parts of strict base64url, the first two JSON objects in which no member
    /// occurs twice.
    pub(crate) fn parse(token: &'t str) -> Option<Self> {
        Self::parse_with(token, |payload| Claims::parse(payload).ok())
    }

    /// The same for a payload that `read` understands.
    pub(super) fn parse_with(token: &'t str, read: impl FnOnce(&[u8]) -> Option<Claims>) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header: Claims::parse(&decode(header)?).ok()?,
            claims: read(&decode(payload)?)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    /// `iss`, as the token states it of itself.
    pub(crate) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.member("iss").and_then(Value::as_str)
    }

    /// `alg`, as it stands.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.header.member("alg").and_then(Value::as_str)
    }

    /// `kid`; an error when it is no string, empty, or absurdly long.
    pub(crate) fn key_id(&self) -> Result<Option<&str>, AuthnError> {
        match self.header.member("kid") {
            None => Ok(None),
            Some(Value::String(id)) if !id.is_empty() && id.len() <= MOST_KEY_ID => Ok(Some(id)),
            Some(_) => Err(AuthnError::Malformed),
        }
    }

    /// RFC 7515 section 4.1.11: an extension that must be understood and is not, refuses. None is understood here; `b64`
    /// (RFC 7797) changes what is signed and is refused with or without `crit`.
    pub(crate) fn check_extensions(&self) -> Result<(), AuthnError> {
        let demands = self.header.member("crit").is_some() || self.header.member("b64").is_some();
        if demands { Err(AuthnError::Critical) } else { Ok(()) }
    }
}
