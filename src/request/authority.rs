//! The host and port that a request names, and the field that states them (RFC 9110 section 7.2).

use std::borrow::Cow;
use std::sync::OnceLock;

use http::HeaderValue;

use super::{Host, HostError};

/// A host and a port, and the one spelling in which the service behind is told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    pub(super) field: HeaderValue,
}

impl Authority {
    fn read(stated: &[u8]) -> Result<Self, HostError> {
        let (host, port) = Host::parse_authority(stated)?;
        let text = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        // A host is ASCII without controls and always makes a header value.
        let field = HeaderValue::try_from(text).map_err(|_| HostError::Name)?;
        Ok(Self { host, port, field })
    }
}

/// What the first request of a connection named, byte for byte, and what it means: nearly every later one names the same. A
/// host that is malformed is not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstNamed(OnceLock<(Box<[u8]>, Authority)>);

impl FirstNamed {
    pub(super) fn read(&self, stated: &[u8]) -> Result<Cow<'_, Authority>, HostError> {
        if let Some((text, known)) = self.0.get() {
            return if **text == *stated { Ok(Cow::Borrowed(known)) } else { Authority::read(stated).map(Cow::Owned) };
        }
        let read = Authority::read(stated)?;
        // What is given is what was read here, even if somebody else has been the first meanwhile.
        let _ = self.0.set((stated.into(), read.clone()));
        Ok(Cow::Owned(read))
    }
}

#[cfg(test)]
mod tests {
    use super::{FirstNamed, HostError};

    #[test]
    fn what_was_named_first_is_kept_and_everything_else_is_read_anew() {
        let first = FirstNamed::default();
        assert_eq!(first.read(b"a b"), Err(HostError::Name));
        for _ in 0..2 {
            for (stated, host, port, field) in [
                ("A.example", "a.example", None, "a.example"),
                ("a.example", "a.example", None, "a.example"),
                ("a.example:8443", "a.example", Some(8443), "a.example:8443"),
                ("b.example.", "b.example", None, "b.example"),
                ("a.exam", "a.exam", None, "a.exam"),
            ] {
                let read = first.read(stated.as_bytes()).unwrap();
                assert_eq!((read.host.as_str(), read.port, &read.field), (host, port, &field.parse().unwrap()));
            }
            for malformed in ["", "A.example\0", "A.example:0", "a b"] {
                assert!(first.read(malformed.as_bytes()).is_err(), "{malformed}");
            }
        }
    }
}
