//! The form of the request target (RFC 9112 section 3.2, RFC 9113 section 8.3.1) and the one host that it names.

use http::Method;
use http::header::HOST;
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use hyper::ext::Protocol;

use super::{Connection, Host, HostError, HttpVersion, IntakeError, PathError};

/// Why the form of a target is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// `*`, or a host and a port alone.
    #[error("the request target names no path")]
    NoPath,
    /// Another scheme than that of the connection.
    #[error("the scheme of the request target is not that of the connection")]
    Scheme,
    /// An extended `CONNECT` (RFC 8441) for a protocol other than `websocket`, or over HTTP/1.1.
    #[error("the protocol of the extended CONNECT is not served")]
    Protocol,
}

/// Marks a request whose target had a fragment: the HTTP library cut it off, so nothing of the target tells any more.
#[derive(Clone, Copy, Debug)]
pub struct FragmentCutOff;

/// The path and query as they were sent, and whether they ask for a tunnel by extended `CONNECT`.
pub(super) struct Target {
    pub(super) verbatim: PathAndQuery,
    pub(super) tunnels: bool,
}

impl Target {
    pub(super) fn of(parts: &Parts, connection: &Connection) -> Result<Self, IntakeError> {
        let tunnels = match parts.extensions.get::<Protocol>() {
            None => false,
            Some(protocol) if connection.http == HttpVersion::Http2 && protocol.as_str() == "websocket" => {
                if parts.method != Method::CONNECT {
                    return Err(TargetError::Protocol.into());
                }
                true
            }
            Some(_) => return Err(TargetError::Protocol.into()),
        };
        if !tunnels && !is_served(&parts.method) {
            return Err(IntakeError::Method);
        }
        if parts.extensions.get::<FragmentCutOff>().is_some() {
            return Err(PathError::Character.into());
        }
        let uri = &parts.uri;
        if let Some(scheme) = uri.scheme() {
            let expected = if connection.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
            if *scheme != expected {
                return Err(TargetError::Scheme.into());
            }
        } else if uri.authority().is_some() {
            return Err(TargetError::NoPath.into());
        }
        match uri.path_and_query() {
            Some(verbatim) if verbatim.as_str().starts_with('/') => Ok(Self { verbatim: verbatim.clone(), tunnels }),
            _ => Err(TargetError::NoPath.into()),
        }
    }
}

/// Whether a method is ever served. Registered methods are in upper case; `get` is another method to us and may be the
/// same to a server. `TRACE` would show the client what we tell the upstream about it.
pub(crate) fn is_served(method: &Method) -> bool {
    let text = method.as_str();
    *method != Method::CONNECT
        && *method != Method::TRACE
        && text != "TRACK"
        && text.len() <= 32
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_')
}

/// The one host that target and `Host` field name, which from here on the field states in one spelling. Where both name
/// one, they must agree.
pub(super) fn settle_host(parts: &mut Parts, connection: &Connection) -> Result<(Host, Option<u16>), IntakeError> {
    let known = &connection.derived.host;
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(HostError::Several.into());
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = match (authority, field) {
        (Some(authority), Some(field)) => {
            let (named, stated) = (known.read(authority)?, known.read(field.as_bytes())?);
            if named == stated { named } else { return Err(HostError::Conflict.into()) }
        }
        (Some(authority), None) if connection.http == HttpVersion::Http2 => known.read(authority)?,
        (None, Some(field)) => known.read(field.as_bytes())?,
        (_, None) => return Err(HostError::Missing.into()),
    };
    let meaning = (named.host.clone(), named.port);
    if field != Some(&named.field) {
        parts.headers.insert(HOST, named.into_owned().field);
    }
    Ok(meaning)
}
