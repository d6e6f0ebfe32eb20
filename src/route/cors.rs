//! Preflights (Fetch standard, CORS protocol): what a route permits to pages of other origins.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::request::Host;

/// Which pages of other origins a browser may let send requests to a route. Preflights alone are answered here; what
/// may be read of an answer is the upstream's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// The origins, as browsers write them: see [`Cors::parse_origin`].
    pub origins: Vec<HeaderValue>,
    /// The request header fields that pages may set.
    pub headers: Vec<HeaderName>,
    /// Whether cookies and client certificates may go along.
    pub credentials: bool,
    /// For how many seconds a browser may remember the answer.
    pub max_age: u32,
}

impl Cors {
    /// Reads an origin: `https` or `http`, a host and perhaps a port, in lower case and with nothing behind it.
    pub fn parse_origin(text: &str) -> Option<HeaderValue> {
        let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let (host, port) = Host::parse_authority(authority.as_bytes()).ok()?;
        let written = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        if written == authority { HeaderValue::try_from(text).ok() } else { None }
    }

    /// The fields of the answer. An origin that is not permitted gets none that permits anything.
    pub(super) fn answer(&self, origin: &HeaderValue, method: &Method) -> HeaderMap {
        let mut answer = HeaderMap::new();
        answer.insert(
            VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        if !self.origins.contains(origin) {
            return answer;
        }
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age));
        if let Ok(method) = HeaderValue::try_from(method.as_str()) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        let headers: Vec<_> = self.headers.iter().map(HeaderName::as_str).collect();
        if let (false, Ok(headers)) = (headers.is_empty(), HeaderValue::try_from(headers.join(", "))) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        answer
    }
}

/// The origin and the method that a preflight asks about; `None` when the request is none.
pub(super) fn asked<'r>(method: &Method, headers: &'r HeaderMap) -> Option<(&'r HeaderValue, Method)> {
    if *method != Method::OPTIONS {
        return None;
    }
    let mut methods = headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter();
    let (Some(asked), None) = (methods.next(), methods.next()) else { return None };
    Some((headers.get(ORIGIN)?, Method::from_bytes(asked.as_bytes()).ok()?))
}
