//! The header fields: bounded, each with one meaning, none that a client could use to speak for a proxy.

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, DATE,
    EXPECT, FROM, HOST, IF_MODIFIED_SINCE, IF_RANGE, IF_UNMODIFIED_SINCE, MAX_FORWARDS, ORIGIN, PROXY_AUTHORIZATION,
    RANGE, REFERER, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::{Field, Fields, HttpVersion, IntakeError};

/// What is wrong with a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// It occurs more than once.
    #[error("occurs more than once")]
    Repeated,
    /// Its value is malformed.
    #[error("is malformed")]
    Malformed,
    /// Its value holds bytes that are not ASCII, where a decision or a server reads it.
    #[error("holds bytes that are not ASCII")]
    NotAscii,
    /// HTTP/2 does not have it.
    #[error("does not exist in HTTP/2")]
    ConnectionSpecific,
    /// `Connection` lists it, and it is not a field of the connection.
    #[error("is listed in Connection and is no field of the connection")]
    Listed,
    /// It asks the service behind to take the request for another method than the one that is decided on.
    #[error("overrides the method")]
    Override,
}

const DPOP: HeaderName = HeaderName::from_static("dpop");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that have one value. A second one would leave it to each server which one counts. (`Host` is checked with the
/// target, `Authorization` and `DPoP` where the credential is taken.)
static SINGLE: [HeaderName; 20] = [
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    DATE,
    EXPECT,
    FROM,
    IF_MODIFIED_SINCE,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    MAX_FORWARDS,
    ORIGIN,
    PROXY_AUTHORIZATION,
    RANGE,
    REFERER,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
    TE,
];

/// Fields that say who asks or how the message is to be read: ASCII, so that every reader reads the same.
static PLAIN: [HeaderName; 20] = [
    ACCEPT,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    DPOP,
    EXPECT,
    HOST,
    ORIGIN,
    PROXY_AUTHORIZATION,
    RANGE,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that `Connection` must not list: to drop them on the way would change what the request means.
static NEVER_LISTED: [HeaderName; 8] =
    [AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DPOP, HOST, ORIGIN, PROXY_AUTHORIZATION];

/// Fields of the connection itself, which the upstream room removes.
static OF_CONNECTION: [HeaderName; 6] = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// Checks the fields one by one and removes those that only a proxy may set. Source addresses are read before this.
pub(super) fn settle(headers: &mut HeaderMap, fields: Fields, http: HttpVersion) -> Result<(), IntakeError> {
    refuse_repeated(headers)?;
    let mut reserved = Vec::new();
    for (name, value) in headers.iter() {
        inspect_value(name, value)?;
        match standing(name) {
            Standing::Free => {}
            Standing::Override => return Err(fault(name, HeaderFault::Override)),
            Standing::Reserved => reserved.push(name.clone()),
        }
    }
    for name in reserved {
        headers.remove(name);
    }
    if fields.has(Field::Expect)
        && let Some(expect) = headers.get(EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(fault(&EXPECT, HeaderFault::Malformed));
    }
    match http {
        HttpVersion::Http1 => {
            settle_connection(headers, fields)?;
            refuse_second_cookie(headers, fields)
        }
        HttpVersion::Http2 => {
            refuse_connection_fields(headers, fields)?;
            if fields.has(Field::Cookie) {
                join_cookies(headers);
            }
            Ok(())
        }
    }
}

/// Checks how the length of the body is stated (RFC 9112 section 6). What the HTTP layer has settled already, it has
/// settled by closing the connection; the body is framed anew on the way to the upstream.
pub(super) fn settle_framing(headers: &mut HeaderMap, fields: Fields, version: Version) -> Result<(), IntakeError> {
    if !fields.has(Field::TransferEncoding) && !fields.has(Field::ContentLength) {
        return Ok(());
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) if version == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            true
        }
        _ => return Err(IntakeError::Framing),
    };
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => {}
        (Some(length), None) if !chunked && is_length(length) => {}
        _ => return Err(IntakeError::Framing),
    }
    headers.remove(TRANSFER_ENCODING);
    Ok(())
}

fn is_length(value: &HeaderValue) -> bool {
    (1..=19).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn refuse_repeated(headers: &HeaderMap) -> Result<(), IntakeError> {
    if headers.keys_len() == headers.len() {
        return Ok(());
    }
    match SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        Some(name) => Err(fault(name, HeaderFault::Repeated)),
        None => Ok(()),
    }
}

fn inspect_value(name: &HeaderName, value: &HeaderValue) -> Result<(), IntakeError> {
    let bytes = value.as_bytes();
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    // RFC 9113 section 8.2.1; in HTTP/1.1 such blanks are no part of the value.
    if bytes.first().is_some_and(is_blank) || bytes.last().is_some_and(is_blank) {
        return Err(fault(name, HeaderFault::Malformed));
    }
    if !bytes.is_ascii() && PLAIN.contains(name) {
        return Err(fault(name, HeaderFault::NotAscii));
    }
    Ok(())
}

/// Whether a field can choose a route: it is in the request when routes are looked up, and is no credential.
pub(crate) fn is_for_routes(name: &HeaderName) -> bool {
    matches!(standing(name), Standing::Free) && !OF_CONNECTION.contains(name) && !NEVER_LISTED.contains(name)
        || *name == CONTENT_TYPE
        || *name == ORIGIN
}

/// Whether a field is one that only a proxy may set, or that asks for another request than the one that is decided on.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    !matches!(standing(name), Standing::Free)
}

enum Standing {
    Free,
    Override,
    Reserved,
}

/// Judges a field by its name, with all that is no letter or digit read as `-`: many servers make one variable of them.
fn standing(name: &HeaderName) -> Standing {
    const RESERVED_PREFIXES: [&str; 6] =
        ["x-forwarded", "x-original-", "x-rewrite-", "x-envoy-", "x-portcullis-", "client-cert"];
    const RESERVED: [&str; 8] = [
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-remote-addr",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
    ];
    const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
    let text = name.as_str();
    if !text.starts_with(['x', 'f', 'c', 't']) {
        return Standing::Free;
    }
    if OVERRIDES.iter().any(|known| known.len() == text.len() && starts_with(text, known)) {
        Standing::Override
    } else if RESERVED_PREFIXES.iter().any(|prefix| starts_with(text, prefix))
        || RESERVED.iter().any(|known| known.len() == text.len() && starts_with(text, known))
    {
        Standing::Reserved
    } else {
        Standing::Free
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    let dashed = name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' });
    name.len() >= prefix.len() && dashed.zip(prefix.bytes()).all(|(one, other)| one == other)
}

/// What `Connection` lists leaves the request here, so that a rule never reads a field that the upstream will not see.
fn settle_connection(headers: &mut HeaderMap, fields: Fields) -> Result<(), IntakeError> {
    if !fields.has(Field::Connection) {
        return Ok(());
    }
    let mut listed = Vec::new();
    for field in headers.get_all(CONNECTION) {
        for option in field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // What most clients say, a field of the connection itself.
            if option.is_empty() || option.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            let name = HeaderName::from_bytes(option).map_err(|_| fault(&CONNECTION, HeaderFault::Malformed))?;
            if NEVER_LISTED.contains(&name) {
                return Err(fault(&name, HeaderFault::Listed));
            }
            if !OF_CONNECTION.contains(&name) {
                listed.push(name);
            }
        }
    }
    for name in listed {
        headers.remove(name);
    }
    Ok(())
}

fn refuse_connection_fields(headers: &HeaderMap, fields: Fields) -> Result<(), IntakeError> {
    const FIELDS: [Field; 6] = [
        Field::Connection,
        Field::KeepAlive,
        Field::ProxyConnection,
        Field::Te,
        Field::TransferEncoding,
        Field::Upgrade,
    ];
    if !FIELDS.into_iter().any(|field| fields.has(field)) {
        return Ok(());
    }
    match OF_CONNECTION.iter().find(|name| **name != TE && headers.contains_key(*name)) {
        Some(name) => Err(fault(name, HeaderFault::ConnectionSpecific)),
        None if headers.get(TE).is_some_and(|value| value != "trailers") => Err(fault(&TE, HeaderFault::Malformed)),
        None => Ok(()),
    }
}

fn refuse_second_cookie(headers: &HeaderMap, fields: Fields) -> Result<(), IntakeError> {
    if !fields.has(Field::Cookie) {
        return Ok(());
    }
    match headers.get_all(COOKIE).iter().nth(1) {
        Some(_) => Err(fault(&COOKIE, HeaderFault::Repeated)),
        None => Ok(()),
    }
}

/// HTTP/2 may send cookies in crumbs; they are one field everywhere else (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Header values joined by header characters always make a header value.
    if let Ok(mut value) = HeaderValue::try_from(joined) {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

fn fault(name: &HeaderName, fault: HeaderFault) -> IntakeError {
    IntakeError::Header { name: name.clone(), fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_one_length_whatever_the_connection_made_of_it() {
        let framed = |fields: &[(HeaderName, &str)]| {
            let mut headers: HeaderMap =
                fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
            let seen = Fields::of(&headers);
            settle_framing(&mut headers, seen, Version::HTTP_11).map(|()| headers)
        };
        let both = framed(&[(CONTENT_LENGTH, "3"), (TRANSFER_ENCODING, "chunked")]);
        assert_eq!(both.unwrap_err(), IntakeError::Framing);
        assert_eq!(framed(&[(CONTENT_LENGTH, "3")]).unwrap().len(), 1);
        assert!(framed(&[(TRANSFER_ENCODING, "chunked")]).unwrap().is_empty());
    }
}
