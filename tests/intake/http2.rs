//! Malformed and ambiguous requests in the shape that HTTP/2 gives them, each with what becomes of it.

use http::{HeaderName, HeaderValue, Method, Request, Version};
use hyper::ext::Protocol;
use portcullis::request::{Body, HttpVersion};

use super::journey::{Told, connection, open_routes, walk};

struct Case {
    method: &'static str,
    uri: &'static str,
    fields: &'static [(&'static str, &'static str)],
    protocol: Option<&'static str>,
    expected: &'static str,
}

const fn get(uri: &'static str, expected: &'static str) -> Case {
    Case { method: "GET", uri, fields: &[], protocol: None, expected }
}

const fn with(fields: &'static [(&'static str, &'static str)], expected: &'static str) -> Case {
    Case { method: "GET", uri: "https://a.example/x", fields, protocol: None, expected }
}

const fn connect(uri: &'static str, protocol: Option<&'static str>, expected: &'static str) -> Case {
    Case { method: "CONNECT", uri, fields: &[], protocol, expected }
}

const CASES: &[Case] = &[
    // `:authority` and `host`.
    get("https://a.example/x", "GET a.example /x"),
    get("https://A.EXAMPLE.:8443/x?y", "GET a.example:8443 /x?y"),
    with(&[("host", "a.example")], "GET a.example /x"),
    with(&[("host", "A.Example.")], "GET a.example /x"),
    with(&[("host", "evil.example")], "host-invalid"),
    with(&[("host", "a.example:443")], "host-invalid"),
    with(&[("host", "")], "host-invalid"),
    with(&[("host", "a.example"), ("host", "a.example")], "host-invalid"),
    with(&[("host", "user@a.example")], "host-invalid"),
    with(&[("host", "a.example, evil.example")], "host-invalid"),
    get("/x", "host-invalid"),
    get("https://user@a.example/x", "host-invalid"),
    get("https://a_b.example/x", "GET a_b.example /x"),
    get("https://127.1/x", "host-invalid"),
    get("https://[::ffff:127.0.0.1]/x", "GET [::ffff:127.0.0.1] /x"),
    get("https://a.example:0/x", "host-invalid"),
    get("https://strict.example/x", "misdirected"),
    // `:scheme`.
    get("http://a.example/x", "target-form"),
    get("ftp://a.example/x", "target-form"),
    // `:path`.
    get("https://a.example?x", "target-form"),
    get("*", "target-form"),
    get("a.example:443", "target-form"),
    get("https://a.example//x", "path-ambiguous"),
    get("https://a.example/a/../x", "path-ambiguous"),
    get("https://a.example/a/%2e%2E/x", "path-ambiguous"),
    get("https://a.example/a%2fb", "path-ambiguous"),
    get("https://a.example/a;b", "path-ambiguous"),
    get("https://a.example/a\\b", "path-ambiguous"),
    get("https://a.example/a%252fb", "encoding-invalid"),
    get("https://a.example/a\u{e9}", "path-ambiguous"),
    get("https://a.example/x?access%5Ftoken=t", "token-in-query"),
    // `:method`.
    Case { method: "get", uri: "https://a.example/x", fields: &[], protocol: None, expected: "method-invalid" },
    Case { method: "TRACE", uri: "https://a.example/x", fields: &[], protocol: None, expected: "method-invalid" },
    // `CONNECT`, plain and extended (RFC 8441).
    connect("a.example:443", None, "method-invalid"),
    connect("https://a.example/x", None, "method-invalid"),
    connect("https://a.example/x?y", Some("websocket"), "GET a.example /x?y"),
    connect("https://a.example/x", Some("WebSocket"), "target-form"),
    connect("https://a.example/x", Some("connect-udp"), "target-form"),
    connect("https://a.example/../x", Some("websocket"), "path-ambiguous"),
    connect("https://strict.example/x", Some("websocket"), "misdirected"),
    Case {
        method: "GET",
        uri: "https://a.example/x",
        fields: &[],
        protocol: Some("websocket"),
        expected: "target-form",
    },
    // Fields that belong to a connection of HTTP/1.1 (RFC 9113 section 8.2.2).
    with(&[("connection", "close")], "header-invalid"),
    with(&[("keep-alive", "timeout=5")], "header-invalid"),
    with(&[("proxy-connection", "close")], "header-invalid"),
    with(&[("upgrade", "websocket")], "header-invalid"),
    with(&[("transfer-encoding", "chunked")], "framing-ambiguous"),
    with(&[("te", "gzip")], "header-invalid"),
    with(&[("te", "trailers, gzip")], "header-invalid"),
    with(&[("te", "trailers")], "GET a.example /x"),
    // Lengths and values.
    with(&[("content-length", "1"), ("content-length", "1")], "framing-ambiguous"),
    with(&[("content-length", "1, 1")], "framing-ambiguous"),
    with(&[("content-length", "+1")], "framing-ambiguous"),
    with(&[("content-length", "")], "framing-ambiguous"),
    with(&[("content-length", "1"), ("transfer-encoding", "chunked")], "framing-ambiguous"),
    with(&[("x", " a")], "header-invalid"),
    with(&[("x", "a\t")], "header-invalid"),
    with(&[("content-type", "a/b"), ("content-type", "a/b")], "header-invalid"),
    with(&[("authorization", "Bearer t"), ("authorization", "Bearer u")], "credential-ambiguous"),
    with(&[("authorization", "Negotiate t")], "scheme-unsupported"),
    with(&[("x_http_method", "DELETE")], "header-invalid"),
];

fn become_of(case: &Case) -> Result<Told, String> {
    let mut request = Request::builder().method(case.method).uri(case.uri).version(Version::HTTP_2).body(()).unwrap();
    for (name, value) in case.fields {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    if let Some(protocol) = case.protocol {
        request.extensions_mut().insert(Protocol::from(protocol));
    }
    walk(request, Body::Empty, &connection(HttpVersion::Http2), &open_routes())
}

#[test]
fn requests_over_http2_have_one_meaning() {
    for case in CASES {
        let got = become_of(case).map_or_else(|code| code, |told| told.line);
        assert_eq!(got, case.expected, "{} {} {:?} {:?}", case.method, case.uri, case.fields, case.protocol);
    }
    assert!(CASES.iter().filter(|case| !case.expected.contains(".example")).count() >= 40);
}

#[test]
fn cookie_crumbs_become_one_cookie() {
    let told = become_of(&with(&[("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")], "")).unwrap();
    let cookies: Vec<_> = told.headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
}

/// The protocol decides how a WebSocket is opened, not what may be asked: rules and routes see the GET that it is over
/// HTTP/1.1, and over HTTP/1.1 there is no such thing.
#[test]
fn an_extended_connect_exists_over_http2_alone() {
    let mut request = Request::builder().method(Method::CONNECT).uri("https://a.example/x").body(()).unwrap();
    request.headers_mut().insert("host", HeaderValue::from_static("a.example"));
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let got = walk(request, Body::Empty, &connection(HttpVersion::Http1), &open_routes());
    assert_eq!(got.unwrap_err(), "target-form");
}
