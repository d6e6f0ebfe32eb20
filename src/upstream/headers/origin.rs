//! How the request came, told to the service: X-Forwarded-*, Forwarded (RFC 7239), Client-Cert (RFC 9440), and
//! the request id. All of it is the gateway's own word; what the client said is gone already.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::PeerFacts;
use crate::request::{AddressText, RequestId};
use crate::upstream::settings::OriginHeaders;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where a request came from.
pub(in crate::upstream) struct Origin<'a> {
    /// The client's address.
    pub(in crate::upstream) source: IpAddr,
    /// Whether the client spoke TLS to us.
    pub(in crate::upstream) encrypted: bool,
    /// What the client asked for: host, and port where it gave one.
    pub(in crate::upstream) authority: &'a HeaderValue,
    /// What was taken off the path.
    pub(in crate::upstream) prefix: Option<HeaderValue>,
    /// The client's certificate.
    pub(in crate::upstream) peer: Option<&'a PeerFacts>,
    /// The request's id.
    pub(in crate::upstream) request_id: RequestId,
}

/// Sets the fields.
pub(super) fn set(headers: &mut HeaderMap, wanted: OriginHeaders, origin: Origin<'_>) {
    let (scheme, port) = if origin.encrypted { ("https", "443") } else { ("http", "80") };
    let stated = origin.authority.to_str().ok().and_then(stated_port);
    headers.insert(X_FORWARDED_FOR, address(origin.source));
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(X_FORWARDED_HOST, origin.authority.clone());
    headers.insert(X_FORWARDED_PORT, stated.unwrap_or(HeaderValue::from_static(port)));
    if let Some(prefix) = origin.prefix {
        headers.insert(X_FORWARDED_PREFIX, prefix);
    }
    headers.insert(X_REQUEST_ID, origin.request_id.to_header());
    if wanted.forwarded
        && let Some(value) = forwarded(origin.source, scheme, origin.authority)
    {
        headers.insert(http::header::FORWARDED, value);
    }
    if let Some(peer) = origin.peer {
        if wanted.client_cert
            && let Ok(value) = HeaderValue::try_from(format!(":{}:", STANDARD.encode(&peer.der)))
        {
            headers.insert(CLIENT_CERT, value);
        }
        if wanted.x_forwarded_client_cert
            && let Some(value) = x_forwarded_client_cert(peer)
        {
            headers.insert(X_FORWARDED_CLIENT_CERT, value);
        }
    }
}

fn address(source: IpAddr) -> HeaderValue {
    HeaderValue::from_str(AddressText::of(source.to_canonical()).as_str())
        .unwrap_or(HeaderValue::from_static("unknown"))
}

/// The port of `host:port` or `[v6]:port`.
fn stated_port(authority: &str) -> Option<HeaderValue> {
    let (host, port) = authority.rsplit_once(':')?;
    let bracketed = host.ends_with(']') || !host.contains(':');
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if bracketed && digits { HeaderValue::from_str(port).ok() } else { None }
}

fn forwarded(source: IpAddr, scheme: &str, authority: &HeaderValue) -> Option<HeaderValue> {
    let node = match source.to_canonical() {
        IpAddr::V4(address) => format!("\"{address}\""),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let host = authority.to_str().ok().filter(|host| !host.contains(['"', '\\']))?;
    HeaderValue::try_from(format!("for={node};host=\"{host}\";proto={scheme}")).ok()
}

/// `Hash=..;Subject="..";URI=..` as Envoy writes it. A value that would need more than a quoted string is left out, so
/// that a certificate's text can never add an element.
fn x_forwarded_client_cert(peer: &PeerFacts) -> Option<HeaderValue> {
    let mut text = String::from("Hash=");
    for byte in peer.fingerprint {
        write!(text, "{byte:02x}").ok()?;
    }
    if is_quotable(&peer.subject) {
        write!(text, ";Subject=\"{}\"", peer.subject).ok()?;
    }
    for uri in peer.uris.iter().filter(|uri| is_quotable(uri)) {
        write!(text, ";URI=\"{uri}\"").ok()?;
    }
    for name in peer.dns_names.iter().filter(|name| is_quotable(name)) {
        write!(text, ";DNS=\"{name}\"").ok()?;
    }
    HeaderValue::try_from(text).ok()
}

fn is_quotable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}
