//! The host of a request: one meaning, one spelling (RFC 9110 section 7.2, RFC 3986 section 3.2.2).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A host name or IP address: lower case, without port and without trailing dot, an IPv6 address in brackets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// Why a text names no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No host is stated.
    #[error("no host is stated")]
    Missing,
    /// More than one is stated.
    #[error("more than one host is stated")]
    Several,
    /// The host field and the request target differ.
    #[error("the host field and the request target name different hosts")]
    Conflict,
    /// There is a user name or a password before it.
    #[error("a user name stands before the host")]
    UserInfo,
    /// A label is empty, too long, begins or ends with a hyphen, or holds a character that host names do not have.
    /// A name of another script is written in its ASCII form (`xn--`).
    #[error("the host is no name of letters, digits, hyphens and dots")]
    Name,
    /// It looks like an IP address and is none.
    #[error("the host looks like an IP address and is none")]
    Address,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Host {
    /// Reads a host without a port.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Missing);
        }
        if text.bytes().any(|byte| byte == b'@') {
            return Err(HostError::UserInfo);
        }
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
            return address.map(|address| Self(format!("[{address}]").into())).ok_or(HostError::Address);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // Bytes, not characters: a search for a character of a few is dearer than a look at each byte.
        let mut labels = name.as_bytes().split(|byte| *byte == b'.');
        if name.len() > 253 || !labels.all(is_label) {
            return Err(HostError::Name);
        }
        // What ends in a number is an address or nothing: software disagrees on `127.1` and `0x7f.0.0.1`.
        let last = name.as_bytes().rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        if last.iter().all(u8::is_ascii_digit) || is_hex_number(last) {
            name.parse::<Ipv4Addr>().map_err(|_| HostError::Address)?;
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// Reads a host and the port that may follow it, as in `Host` and `:authority`.
    pub fn parse_authority(bytes: &[u8]) -> Result<(Self, Option<u16>), HostError> {
        let text = std::str::from_utf8(bytes).map_err(|_| HostError::Name)?;
        let after_address = bytes.iter().rposition(|byte| *byte == b']').map_or(0, |bracket| bracket + 1);
        let colon = bytes.iter().skip(after_address).position(|byte| *byte == b':').map(|at| at + after_address);
        match colon.and_then(|colon| Some((colon, text.split_at_checked(colon)?))) {
            None => Ok((Self::parse(text)?, None)),
            Some((colon, (host, port))) if after_address == 0 || after_address == colon => {
                let port = port.strip_prefix(':').unwrap_or(port);
                Ok((Self::parse(host)?, Some(parse_port(port)?)))
            }
            Some(_) => Err(HostError::Address),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Letters, digits, hyphens inside, and the underscore that some internal names have.
fn is_label(label: &[u8]) -> bool {
    (1..=63).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_')
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
}

fn is_hex_number(label: &[u8]) -> bool {
    matches!(label, [b'0', b'x' | b'X', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit))
}

/// Digits without a zero before them: one spelling for one port.
fn parse_port(text: &str) -> Result<u16, HostError> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::Port);
    }
    text.parse().map_err(|_| HostError::Port)
}

#[cfg(test)]
mod tests {
    use super::{Host, HostError};

    #[test]
    fn one_host_has_one_spelling() {
        for (text, host, port) in [
            ("a.example", "a.example", None),
            ("ADMIN.Example", "admin.example", None),
            ("admin.example.", "admin.example", None),
            ("admin.example.:8443", "admin.example", Some(8443)),
            ("localhost", "localhost", None),
            ("xn--strae-oqa.example", "xn--strae-oqa.example", None),
            ("some_service.corp", "some_service.corp", None),
            ("10.0.0.1:443", "10.0.0.1", Some(443)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]", Some(8443)),
            ("3com.example", "3com.example", None),
        ] {
            let (parsed, parsed_port) = Host::parse_authority(text.as_bytes()).unwrap();
            assert_eq!((parsed.as_str(), parsed_port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_host() {
        for (text, error) in [
            ("", HostError::Missing),
            (":443", HostError::Missing),
            ("user@a.example", HostError::UserInfo),
            ("user:secret@a.example", HostError::Port),
            ("a.example/b", HostError::Name),
            ("a b", HostError::Name),
            (" a.example", HostError::Name),
            ("a.example\t", HostError::Name),
            ("a.example,b.example", HostError::Name),
            ("a..example", HostError::Name),
            (".a.example", HostError::Name),
            ("a.example..", HostError::Name),
            (".", HostError::Name),
            ("-a.example", HostError::Name),
            ("a-.example", HostError::Name),
            ("a%2eexample", HostError::Name),
            ("*.example", HostError::Name),
            ("stra\u{df}e.example", HostError::Name),
            ("a.example\0", HostError::Name),
            ("a.example:", HostError::Port),
            ("a.example:0", HostError::Port),
            ("a.example:0443", HostError::Port),
            ("a.example:65536", HostError::Port),
            ("a.example:+443", HostError::Port),
            ("a.example:443:443", HostError::Port),
            ("a.example:https", HostError::Port),
            ("127.1", HostError::Address),
            ("0x7f.0.0.1", HostError::Address),
            ("0177.0.0.1", HostError::Address),
            ("2130706433", HostError::Address),
            ("0x7f000001", HostError::Address),
            ("1.2.3.4.5", HostError::Address),
            ("256.1.1.1", HostError::Address),
            ("::1", HostError::Missing),
            ("[::1", HostError::Address),
            ("::1]", HostError::Name),
            ("[::1]x", HostError::Address),
            ("[::1]x:443", HostError::Address),
            ("[::1%eth0]", HostError::Address),
            ("[127.0.0.1]", HostError::Address),
            ("[v1.x]", HostError::Address),
            ("[]", HostError::Address),
        ] {
            assert_eq!(Host::parse_authority(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(Host::parse_authority(b"a\xff.example"), Err(HostError::Name));
        assert_eq!(Host::parse(&"a.".repeat(128)), Err(HostError::Name));
        assert_eq!(Host::parse(&"a".repeat(64)), Err(HostError::Name));
    }
}
