//! Where the request is aimed: the very bytes that were authorised, in the form that the connection wants
//! (RFC 9112 section 3.2.1, RFC 9113 section 8.3.1).

use http::header::{CONNECTION, HOST, TE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, Version};

use super::body::RequestBody;
use super::endpoint::Endpoint;
use super::error::ForwardError;
use super::pool::Held;
use super::settings::{Address, HostHeader, Settings};

/// The request target and the host that the client asked for.
pub(super) struct Target {
    authority: HeaderValue,
    path: PathAndQuery,
}

impl Target {
    /// Takes both out of a request's head, untouched. Intake has made sure that there is exactly one host.
    pub(super) fn of(parts: &http::request::Parts) -> Result<Self, ForwardError> {
        let authority = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => parts.headers.get(HOST).cloned(),
        };
        let authority = authority.ok_or(ForwardError::HostMissing)?;
        let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Ok(Self { authority, path })
    }

    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Gives the request the form that its connection wants.
    pub(super) fn shape(
        &self,
        request: &mut Request<RequestBody>,
        connection: &Held,
        settings: &Settings,
        endpoint: &Endpoint,
    ) {
        let host = match settings.host {
            HostHeader::Preserve => self.authority.clone(),
            HostHeader::Upstream => own_host(endpoint).unwrap_or_else(|| self.authority.clone()),
        };
        match connection {
            Held::Http1(_) => {
                *request.uri_mut() = Uri::from(self.path.clone());
                *request.version_mut() = Version::HTTP_11;
                // Mostly it stands there already, and once: intake has made sure of that.
                if request.headers().get(HOST) != Some(&host) {
                    request.headers_mut().insert(HOST, host);
                }
                if request.headers().contains_key(TE) {
                    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
                }
            }
            Held::Http2(_) => {
                let mut parts = http::uri::Parts::default();
                let encrypted = endpoint.settings.encrypted;
                parts.scheme = Some(if encrypted { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
                parts.authority = host.to_str().ok().and_then(|host| host.parse().ok());
                parts.path_and_query = Some(self.path.clone());
                *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(self.path.clone()));
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(HOST);
                request.headers_mut().remove(CONNECTION);
            }
        }
    }
}

/// The endpoint itself, as a host.
pub(super) fn own_host(endpoint: &Endpoint) -> Option<HeaderValue> {
    match &endpoint.settings.address {
        Address::Tcp { host, port } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
            let usual = if endpoint.settings.encrypted { 443 } else { 80 };
            let text = if *port == usual { host } else { format!("{host}:{port}") };
            HeaderValue::try_from(text).ok()
        }
        Address::Unix(_) => Some(HeaderValue::from_static("localhost")),
    }
}
