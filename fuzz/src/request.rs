//! Intake: what is admitted has one meaning, however the servers behind read it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::from_utf8;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use portcullis::identity::{Name, PeerCertificate};
use portcullis::request::{
    Arrival, Body, CanonicalPath, Connection, ConnectionId, Derived, Host, HttpVersion, IntakeSettings, PathForms,
    Received, TraceContext, parse_forwarded_for,
};
use portcullis::route::PrefixRewrite;

/// A path is kept verbatim. One that needs no admission reads the same to every server, however it decodes and splits.
pub fn path(input: &[u8]) -> bool {
    let Ok(text) = from_utf8(input) else { return false };
    let Ok(path) = CanonicalPath::parse(text) else { return false };
    assert_eq!(path.as_str(), text);
    assert!(
        text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'?' | b'"' | b'<' | b'>'))
    );
    rewritten(&path);
    let segments: Vec<String> = path.segments().map(|segment| segment.into_owned()).collect();
    assert!(segments.iter().all(|segment| !matches!(segment.as_str(), "." | "..") && !segment.contains('\\')));
    if path.forms() == PathForms::NONE {
        for (server, reading) in readings(text) {
            assert_eq!(reading, segments, "{server} reads {text:?} differently");
        }
    }
    true
}

/// Whatever path it is, a rewrite of its first segments gains no form, and reads as the same segments behind another prefix.
fn rewritten(path: &CanonicalPath) {
    let asked = CanonicalPath::parse(&format!("/from{path}")).ok();
    for to in ["/", "/to", "/to/there"] {
        let rewrite = PrefixRewrite::parse("/from", to).ok();
        let rewritten = asked.as_ref().and_then(|asked| rewrite?.apply(asked).ok());
        let expected = format!("{}{path}", to.trim_end_matches('/'));
        assert_eq!(rewritten.as_ref().map(CanonicalPath::as_str), Some(expected.as_str()));
        assert!(rewritten.is_some_and(|rewritten| path.forms().admit(rewritten.forms())), "{path} gains a form");
    }
}

/// How servers read a path.
fn readings(text: &str) -> [(&'static str, Vec<String>); 5] {
    let split = |text: &str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let once = decoded(text);
    let twice = decoded(&once);
    let collapsed = split(&once);
    let last = collapsed.len().saturating_sub(1);
    let merged = collapsed.iter().enumerate().filter(|(index, segment)| *index == last || !segment.is_empty());
    let mut resolved: Vec<String> = Vec::new();
    for segment in split(&once) {
        match segment.as_str() {
            "." => {}
            ".." => drop(resolved.pop()),
            _ => resolved.push(segment),
        }
    }
    let without_parameters = split(&once).into_iter().map(|segment| segment.split(';').next().unwrap_or("").to_owned());
    [
        ("one that decodes before it splits", split(&once)),
        ("one that decodes twice", split(&twice)),
        ("one that merges slashes", merged.map(|(_, segment)| segment.clone()).collect()),
        ("one that resolves dots", resolved),
        ("one that cuts parameters off", without_parameters.collect()),
    ]
}

/// Percent-decoding as the lenient do it: what is no encoding stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail.split_first_chunk::<2>().filter(|_| *first == b'%');
        let value =
            pair.and_then(|(pair, _)| from_utf8(pair).ok()).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
        match value.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.split_first_chunk::<2>().map_or(tail, |(_, tail)| tail);
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A host that parses is lower case without port, user or trailing dot, parses to itself, and is an address only when
/// the standard library says the same.
pub fn host(input: &[u8]) -> bool {
    let Ok((host, port)) = Host::parse_authority(input) else { return false };
    let text = host.as_str();
    assert_eq!(text, text.to_ascii_lowercase());
    assert!(!text.is_empty() && !text.ends_with('.') && port != Some(0));
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte)), "{text:?}");
    assert_eq!(Host::parse(text), Ok(host.clone()));
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    assert!(!numeric || text.parse::<Ipv4Addr>().is_ok(), "{text:?} looks like an address");
    true
}

/// A `traceparent` that is kept says the same when it is written, and names a trace and a parent.
pub fn traceparent(input: &[u8]) -> bool {
    let Some(trace) = TraceContext::parse(input) else { return false };
    let id = String::from_utf8_lossy(trace.trace_id());
    let written = format!("00-{id}-{}-{:02x}", trace.parent_id(), trace.flags());
    assert_eq!(written.len(), 55);
    assert!(input.get(2..55) == written.as_bytes().get(2..), "{written} was read from other bytes");
    assert_eq!(TraceContext::parse(written.as_bytes()), Some(trace));
    assert_ne!(trace.trace_id(), [b'0'; 32]);
    true
}

/// An element of `X-Forwarded-For` that parses is one address, never an IPv4 address in disguise.
pub fn forwarded_for(input: &[u8]) -> bool {
    let Some(address) = parse_forwarded_for(input) else { return false };
    assert_eq!(address, address.to_canonical());
    assert_eq!(parse_forwarded_for(address.to_string().as_bytes()), Some(address));
    true
}

/// A whole head: what is admitted has one host, one length, no header that only a proxy may set, and its target verbatim.
pub fn head(input: &[u8]) -> bool {
    let Some(received) = received(input, IpAddr::V4(Ipv4Addr::LOCALHOST)) else { return false };
    let hosts: Vec<&HeaderValue> = received.headers().get_all("host").iter().collect();
    assert_eq!(hosts.len(), 1, "exactly one host");
    assert!(
        Host::parse_authority(hosts.first().map_or(b"", |value| value.as_bytes()))
            .is_ok_and(|(h, _)| h == *received.host())
    );
    assert!(!received.path_and_query().contains('#'));
    assert!(received.path_and_query().starts_with(received.path().as_str()));
    assert_eq!(received.source(), IpAddr::V4(Ipv4Addr::LOCALHOST), "nobody is trusted to state another source");
    for name in received.headers().keys() {
        let name = name.as_str().replace('_', "-");
        assert!(!name.starts_with("x-forwarded-") && name != "forwarded" && name != "x-real-ip", "{name} came through");
    }
    true
}

/// Reads `METHOD target` and header lines the way a lenient HTTP layer would, and takes it in over a plain connection.
pub(crate) fn received(input: &[u8], client: IpAddr) -> Option<Received> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let target = Uri::try_from(first.next()?).ok()?;
    let mut request = Request::new(Body::Empty);
    *request.method_mut() = method;
    *request.uri_mut() = target;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?);
    }
    let connection = Connection {
        id: ConnectionId(1),
        listener: Name::new("edge"),
        client: SocketAddr::new(client, 40_000),
        local: SocketAddr::from(([127, 0, 0, 1], 8443)),
        tls: None,
        peer: PeerCertificate::Absent,
        http: HttpVersion::Http1,
        derived: Derived::default(),
    };
    let arrival = Arrival::of(&request, jiff::Timestamp::UNIX_EPOCH);
    Received::intake(Box::new(request), Arc::new(connection), &arrival, &IntakeSettings::default()).ok()
}
