//! What is known of a connection before its first request.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::authority::FirstNamed;
use crate::identity::{Name, PeerCertificate, Rendered};

/// The number of a connection within this process: the same in every record of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// One downstream connection, shared by all of its requests. Built by `listener`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// The `[[listener]]` that accepted it.
    pub listener: Name,
    /// The client's address: the socket's, or what a trusted PROXY header states.
    pub client: SocketAddr,
    /// The address it was accepted on.
    pub local: SocketAddr,
    /// What TLS settled; `None` on a listener without TLS.
    pub tls: Option<TlsFacts>,
    /// What the client showed in the handshake.
    pub peer: PeerCertificate,
    /// What ALPN settled.
    pub http: HttpVersion,
    /// What is worked out of it once.
    pub derived: Derived,
}

/// What is worked out of a connection at its first request and serves all later ones. A copy of the connection, which may
/// be changed, begins without it.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// What records say of the connection.
    pub recorded: Rendered,
    /// The host that its first request named.
    pub(super) host: FirstNamed,
}

impl Connection {
    /// Whether a request for `host` (lower case, no port, no trailing dot) may use this connection. On `false` the
    /// answer is 421 (RFC 9110 section 15.5.20): the host belongs to another certificate profile than the handshake's.
    pub fn serves(&self, host: &str) -> bool {
        self.tls.as_ref().is_none_or(|tls| *tls.hosts.profile_of(host) == tls.profile)
    }
}

/// The version of HTTP that a connection speaks, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    Http2,
}

/// What a finished TLS handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The server name that the client asked for (SNI, RFC 6066 section 3), lower case and without a trailing dot.
    pub server_name: Option<Box<str>>,
    /// The certificate profile that the handshake used. A request for a host of another profile is 421.
    pub profile: Name,
    /// Which profile each host of the listener belongs to: see [`Connection::serves`].
    pub hosts: Arc<HostProfiles>,
    /// Whether a session was resumed.
    pub resumed: bool,
}

/// Which certificate profile each host of a listener belongs to.
///
/// A pattern is a host name, `*.example` for one label more, or `**.example` for one or more. The exact name wins,
/// then the longest suffix, then `*` before `**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostProfiles {
    default: Name,
    exact: HashMap<Box<str>, Name>,
    one_label: HashMap<Box<str>, Name>,
    any_labels: HashMap<Box<str>, Name>,
}

impl HostProfiles {
    /// Every host belongs to `default` unless a pattern, in lower case, says otherwise.
    pub fn new<'p>(default: Name, patterns: impl IntoIterator<Item = (&'p str, Name)>) -> Self {
        let mut profiles =
            Self { default, exact: HashMap::new(), one_label: HashMap::new(), any_labels: HashMap::new() };
        for (pattern, profile) in patterns {
            let (table, key) = if let Some(suffix) = pattern.strip_prefix("**.") {
                (&mut profiles.any_labels, suffix)
            } else if let Some(suffix) = pattern.strip_prefix("*.") {
                (&mut profiles.one_label, suffix)
            } else {
                (&mut profiles.exact, pattern)
            };
            table.insert(key.into(), profile);
        }
        profiles
    }

    /// The profile of `host`: lower case, no port, no trailing dot.
    pub fn profile_of(&self, host: &str) -> &Name {
        if let Some(profile) = self.exact.get(host) {
            return profile;
        }
        if self.one_label.is_empty() && self.any_labels.is_empty() {
            return &self.default;
        }
        let mut rest = host;
        let mut first = true;
        while let Some((_, suffix)) = rest.split_once('.') {
            if first && let Some(profile) = self.one_label.get(suffix) {
                return profile;
            }
            if let Some(profile) = self.any_labels.get(suffix) {
                return profile;
            }
            (rest, first) = (suffix, false);
        }
        &self.default
    }
}

#[cfg(test)]
mod tests {
    use super::HostProfiles;
    use crate::identity::Name;

    #[test]
    fn the_most_exact_pattern_names_the_profile() {
        let patterns = [("a.example", "exact"), ("*.example", "one"), ("**.example", "any"), ("**.b.example", "deep")];
        let hosts = HostProfiles::new(Name::new("default"), patterns.map(|(host, name)| (host, Name::new(name))));
        for (host, expected) in [
            ("a.example", "exact"),
            ("x.example", "one"),
            ("x.y.example", "any"),
            ("x.b.example", "deep"),
            ("b.example", "one"),
            ("example", "default"),
            ("aexample", "default"),
            ("", "default"),
            (".", "default"),
            ("10.0.0.1", "default"),
        ] {
            assert_eq!(hosts.profile_of(host).as_str(), expected, "{host}");
        }
    }
}
