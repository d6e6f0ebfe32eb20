//! SPIFFE IDs and trust domains (SPIFFE-ID specification, sections 2 and 2.3).

use std::fmt;
use std::sync::Arc;

/// The longest SPIFFE ID that must be supported, and the longest that is accepted, in bytes.
const MAX_ID: usize = 2048;
/// The longest trust domain name, in bytes.
const MAX_TRUST_DOMAIN: usize = 255;

/// A trust domain: `corp.example`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Parses a trust domain name: 1 to 255 of `a-z 0-9 . - _`.
    ///
    /// # Errors
    /// [`SpiffeError::TrustDomain`].
    pub fn parse(text: &str) -> Result<Self, SpiffeError> {
        let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > MAX_TRUST_DOMAIN || !text.bytes().all(allowed) {
            return Err(SpiffeError::TrustDomain);
        }
        Ok(Self(text.into()))
    }

    /// The name, without scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A workload's or device's name: `spiffe://corp.example/ns/payments/sa/settlement`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    trust_domain: TrustDomain,
}

impl SpiffeId {
    /// Parses a SPIFFE ID. The scheme must be lower case, no part may be empty, `.` or `..`, and there is no query,
    /// fragment, port, user information or percent-encoding.
    ///
    /// # Errors
    /// [`SpiffeError`] names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, SpiffeError> {
        if text.len() > MAX_ID {
            return Err(SpiffeError::Length);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffeError::Scheme)?;
        let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let trust_domain = TrustDomain::parse(domain)?;
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
        for segment in path.split('/').skip(1) {
            if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(allowed) {
                return Err(SpiffeError::Path);
            }
        }
        Ok(Self { text: text.into(), trust_domain })
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The path with its leading slash, or nothing for the trust domain itself.
    pub fn path(&self) -> &str {
        self.text.get("spiffe://".len() + self.trust_domain.as_str().len()..).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

/// Why a text is no SPIFFE ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// Longer than 2048 bytes.
    #[error("longer than 2048 bytes")]
    Length,
    /// Not `spiffe://`.
    #[error("does not start with `spiffe://`")]
    Scheme,
    /// Characters outside `a-z 0-9 . - _`, empty, or longer than 255 bytes.
    #[error("the trust domain is not 1 to 255 of a-z, 0-9, `.`, `-` and `_`")]
    TrustDomain,
    /// An empty or relative segment, or characters outside `A-Z a-z 0-9 . - _`.
    #[error("the path has an empty or relative segment, or other characters than letters, digits, `.`, `-` and `_`")]
    Path,
}

#[cfg(test)]
mod tests {
    use super::SpiffeId;

    #[test]
    fn well_formed_ids_keep_their_parts() {
        let id = SpiffeId::parse("spiffe://corp.example/ns/Pay_1/sa/x.y").unwrap();
        assert_eq!((id.trust_domain().as_str(), id.path()), ("corp.example", "/ns/Pay_1/sa/x.y"));
        assert_eq!(SpiffeId::parse("spiffe://corp.example").unwrap().path(), "");
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "spiffe://",
            "spiffe:///x",
            "SPIFFE://a/b",
            "https://a/b",
            "spiffe://A/b",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a:1/b",
            "spiffe://u@a/b",
            "spiffe://a/%61",
            "spiffe://a/b c",
            "spiffe://a/\u{e4}",
            "spiffe://a/b\0",
        ] {
            assert!(SpiffeId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(SpiffeId::parse(&format!("spiffe://a/{}", "x".repeat(2048))).is_err());
    }
}
