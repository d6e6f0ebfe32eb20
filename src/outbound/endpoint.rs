//! An address that may be called: absolute, without user information or fragment, and `https` unless it is loopback.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

/// Where plain `http://` may be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// To `localhost` and loopback addresses only: bytes that never leave the machine.
    #[default]
    Loopback,
    /// Anywhere, because the configuration says `insecure_http = true`.
    Anywhere,
}

/// An address of an identity provider.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    text: Arc<str>,
    uri: Uri,
}

impl Endpoint {
    /// Parses an absolute address.
    ///
    /// # Errors
    /// [`EndpointError`] says what keeps it from being called.
    pub fn parse(text: &str, plain: PlainHttp) -> Result<Self, EndpointError> {
        if text.contains('#') {
            return Err(EndpointError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| EndpointError::Malformed)?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(EndpointError::Malformed)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(EndpointError::UserInformation);
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if plain == PlainHttp::Anywhere || is_loopback(host) => {}
            Some("http") => return Err(EndpointError::PlainHttp),
            _ => return Err(EndpointError::Scheme),
        }
        Ok(Self { text: text.into(), uri })
    }

    /// The address as a request target.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The address exactly as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The path, `/` when there is none.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Scheme, host and port: `https://login.corp.example:8443`.
    pub fn origin(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}")
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

/// Why an address may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute address with a host.
    #[error("not an absolute address with a host")]
    Malformed,
    /// `https://user:password@host`.
    #[error("the address holds user information")]
    UserInformation,
    /// `#` has no meaning here.
    #[error("the address holds a fragment")]
    Fragment,
    /// Neither `https` nor `http`.
    #[error("the address is not https")]
    Scheme,
    /// `http` to another machine.
    #[error("plain http is only for loopback addresses")]
    PlainHttp,
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, EndpointError, PlainHttp};

    fn parse(text: &str) -> Result<String, EndpointError> {
        Endpoint::parse(text, PlainHttp::Loopback).map(|endpoint| endpoint.origin())
    }

    #[test]
    fn https_anywhere_and_http_on_this_machine() {
        for (good, origin) in [
            ("https://login.corp.example", "https://login.corp.example"),
            ("https://login.corp.example:8443/realms/a?x=1", "https://login.corp.example:8443"),
            ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/x", "http://[::1]:9000"),
            ("http://localhost/x", "http://localhost"),
        ] {
            assert_eq!(parse(good).as_deref(), Ok(origin), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (bad, error) in [
            ("", EndpointError::Malformed),
            ("/path", EndpointError::Malformed),
            ("https://", EndpointError::Malformed),
            ("https:///x", EndpointError::Malformed),
            ("https://u:p@host/", EndpointError::UserInformation),
            ("https://host/#x", EndpointError::Fragment),
            ("ftp://host/", EndpointError::Scheme),
            ("http://login.corp.example/", EndpointError::PlainHttp),
            ("http://127.0.0.1.evil.example/", EndpointError::PlainHttp),
            ("http://localhost.evil.example/", EndpointError::PlainHttp),
            ("http://10.0.0.1/", EndpointError::PlainHttp),
        ] {
            assert_eq!(parse(bad), Err(error), "{bad}");
        }
        assert!(Endpoint::parse("http://10.0.0.1/", PlainHttp::Anywhere).is_ok());
    }
}
