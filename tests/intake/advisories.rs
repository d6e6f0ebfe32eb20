//! What went wrong in other proxies, one test for each mechanism that the first three rooms must withstand.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request};
use portcullis::identity::Name;
use portcullis::request::{Body, Connection, HttpVersion, PathForms};
use portcullis::route::{HeaderCondition, HostPattern, Methods, PathPattern, PrefixRewrite, Route, Routes};

use super::journey::{Told, connection, open_routes, route, walk, walk_over};

type Fields<'a> = &'a [(&'a str, &'a [u8])];

fn ask(routes: &Routes, host: &str, target: &str, fields: Fields<'_>) -> Result<Told, String> {
    let mut request = Request::get(target).header("host", host).body(()).unwrap();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    walk(request, Body::Empty, &connection(HttpVersion::Http1), routes)
}

/// What becomes of a target on `a.example`: the name of its route, or the reason of a refusal.
fn lead(routes: &Routes, target: &str) -> String {
    ask(routes, "a.example", target, &[]).map_or_else(|code| code, |told| told.route)
}

/// A public and an administrative part, as in most of these advisories.
fn parts() -> Routes {
    let all = PathForms { encoded_slash: true, semicolon: true, empty_segments: true };
    Routes::new(vec![
        route("public", "a.example", "/public/{rest...}"),
        route("admin", "a.example", "/admin/{rest...}"),
        Route { admits: all, ..route("raw", "a.example", "/raw/{rest...}") },
    ])
    .unwrap()
}

#[test]
fn advisory_01_what_is_matched_is_what_is_forwarded() {
    assert_eq!(lead(&parts(), "/public/../admin/x"), "path-ambiguous");
    let told = ask(&parts(), "a.example", "/public/%61%2D/?q=%2F..", &[]).unwrap();
    assert_eq!((told.line.as_str(), told.params[0].as_str()), ("GET a.example /public/%61%2D/?q=%2F..", "rest=a-/"));
}

#[test]
fn advisory_02_an_encoded_slash_is_one_in_either_case() {
    for target in ["/public/a%2fb", "/public/a%2Fb", "/public%2fadmin", "/public/..%2fadmin"] {
        assert_eq!(lead(&parts(), target), "path-ambiguous", "{target}");
    }
    for target in ["/raw/a%2fb", "/raw/a%2Fb"] {
        assert_eq!(ask(&parts(), "a.example", target, &[]).unwrap().line, format!("GET a.example {target}"));
    }
}

#[test]
fn advisory_03_the_query_is_no_part_of_the_path() {
    assert_eq!(lead(&parts(), "/public/x?/admin/y?z"), "public");
    assert_eq!(lead(&parts(), "/admin/x?/public/"), "admin");
    assert_eq!(lead(&parts(), "/admin%3F/public/"), "route-unknown");
}

#[test]
fn advisory_04_encoded_separators_are_refused_unless_a_route_admits_them() {
    for target in ["/public/a%2Fb", "/public/a%5Cb", "/public/a%5cb", "/raw/a%5Cb", "/nowhere/a%2Fb"] {
        assert_eq!(lead(&parts(), target), "path-ambiguous", "{target}");
    }
}

#[test]
fn advisory_05_a_fragment_hides_nothing() {
    // The HTTP layer cuts a raw one off; an encoded one is a part of its segment.
    assert_eq!(ask(&parts(), "a.example", "/admin/x#/../../public/", &[]).unwrap().line, "GET a.example /admin/x");
    assert_eq!(lead(&parts(), "/admin%23/public/x"), "route-unknown");
    assert_eq!(ask(&parts(), "a.example", "/public/a%23b", &[]).unwrap().params, ["rest=a#b"]);
}

#[test]
fn advisory_06_dot_segments_with_parameters_are_dot_segments() {
    for target in
        ["/raw/..;foo=bar/admin", "/raw/..;/admin", "/raw/.;/x", "/raw/%2e%2e;x/y", "/raw/..%3bx/y", "/raw/.%2E%3B"]
    {
        assert_eq!(lead(&parts(), target), "path-ambiguous", "{target}");
    }
}

#[test]
fn advisory_07_path_parameters_need_a_route_that_admits_them() {
    assert_eq!(lead(&parts(), "/admin;x=y/deploy"), "path-ambiguous");
    assert_eq!(lead(&parts(), "/public/a;b"), "path-ambiguous");
    assert_eq!(lead(&parts(), "/public/a%3bb"), "path-ambiguous");
    assert_eq!(lead(&parts(), "/raw/a;b=c/d"), "raw");
    assert_eq!(lead(&parts(), "/raw;x/a"), "path-ambiguous");
}

#[test]
fn advisory_08_two_slashes_are_no_authority() {
    for target in ["//admin/x", "//b.example/admin", "/public//x", "///"] {
        assert_eq!(lead(&parts(), target), "path-ambiguous", "{target}");
    }
    assert_eq!(ask(&parts(), "a.example", "/raw//x", &[]).unwrap().line, "GET a.example /raw//x");
}

#[test]
fn advisory_09_no_character_of_a_path_means_anything_to_the_matcher() {
    let routes =
        Routes::new(vec![route("one", "a.example", "/p/{x}/end"), route("star", "a.example", "/q/%2A")]).unwrap();
    for byte in (0x21..=0x7e_u8).map(char::from).filter(|c| !"/?#%;\\\"<>^`{}".contains(*c)) {
        let told = ask(&routes, "a.example", &format!("/p/a{byte}/end"), &[]).unwrap();
        assert_eq!(told.params, [format!("x=a{byte}")]);
        assert_eq!(lead(&routes, &format!("/p/a/b{byte}/end")), "route-unknown", "{byte}");
    }
    assert_eq!(lead(&routes, "/q/*"), "star");
    for target in ["/q/a", "/q/{x}", "/q/**", "/p/{x}/{end}"] {
        assert_ne!(lead(&routes, target), "star", "{target}");
    }
}

#[test]
fn advisory_10_a_rewritten_path_is_decided_on_as_it_is_forwarded() {
    let rewrite = PrefixRewrite::parse("/app", "/").unwrap();
    let routes = Routes::new(vec![
        Route { prefix_rewrite: Some(rewrite), ..route("app", "a.example", "/app/{rest...}") },
        route("admin", "a.example", "/admin/{rest...}"),
    ])
    .unwrap();
    let told = ask(&routes, "a.example", "/app/%61/b?q=/app/", &[]).unwrap();
    assert_eq!(told.line, "GET a.example /%61/b?q=/app/");
    assert_eq!(ask(&routes, "a.example", "/%61pp/x", &[]).unwrap().line, "GET a.example /x");
    for target in
        ["/app/../admin/x", "/app/..;/admin", "/app/%2e%2e/admin", "/app..//admin/x", "/app//admin/x", "/app/%2Fadmin"]
    {
        assert_eq!(lead(&routes, target), "path-ambiguous", "{target}");
    }
    // Half a segment is none.
    for target in ["/apple/x", "/app%2e/x", "/app", "/APP/x"] {
        assert_eq!(lead(&routes, target), "route-unknown", "{target}");
    }
}

#[test]
fn advisory_11_an_encoding_never_leads_to_another_route() {
    assert_eq!(lead(&parts(), "/%61dmin/x"), "admin");
    assert_eq!(lead(&parts(), "/%2561dmin/x"), "encoding-invalid");
    assert_eq!(lead(&parts(), "/public/%2e%2e/admin/x"), "path-ambiguous");
    assert_eq!(lead(&parts(), "/public%2F..%2Fadmin/x"), "path-ambiguous");
    assert_eq!(lead(&parts(), "/ADMIN/x"), "route-unknown");
    assert_eq!(lead(&parts(), "/admin"), "route-unknown");
    assert_eq!(lead(&parts(), "/adminx/"), "route-unknown");
}

#[test]
fn advisory_12_a_host_has_one_spelling() {
    let routes = Routes::new(vec![route("admin", "ADMIN.example", "/"), route("rest", "**", "/")]).unwrap();
    for host in ["admin.example", "ADMIN.example", "admin.example.", "Admin.Example:8443", "admin.example.:443"] {
        assert_eq!(ask(&routes, host, "/", &[]).unwrap().route, "admin", "{host}");
    }
    assert_eq!(ask(&routes, "ADMIN.example.:8443", "/", &[]).unwrap().headers["host"], "admin.example:8443");
}

#[test]
fn advisory_13_patterns_see_the_path_alone_and_all_of_it() {
    assert_eq!(lead(&parts(), "/secret?/public/x"), "route-unknown");
    assert_eq!(lead(&parts(), "/secret/public/x"), "route-unknown");
    assert_eq!(lead(&parts(), "/publicx/y"), "route-unknown");
}

#[test]
fn advisory_14_a_name_in_a_pattern_is_no_expression() {
    let routes =
        Routes::new(vec![route("dots", "a.b.example", "/v1.0/x+(y)|z"), route("suffix", "*.b.example", "/")]).unwrap();
    assert_eq!(ask(&routes, "a.b.example", "/v1.0/x+(y)|z", &[]).unwrap().route, "dots");
    for (host, target) in [
        ("axb.example", "/v1.0/x+(y)|z"),
        ("a.b.example", "/v1x0/x+(y)|z"),
        ("a.b.example", "/v1.0/xx"),
        ("axb.example", "/"),
    ] {
        assert_eq!(ask(&routes, host, target, &[]).unwrap_err(), "route-unknown", "{host} {target}");
    }
    for pattern in ["/`) || Host(`x", "/a`b", "/{a:.*}", "/{a"] {
        assert!(PathPattern::parse(pattern).is_err(), "{pattern}");
    }
    assert!(HostPattern::parse("a.example`) || Host(`b").is_err());
}

#[test]
fn advisory_15_and_23_no_field_of_a_client_names_another_path_or_method() {
    let fields: Fields<'_> = &[
        ("x-forwarded-uri", b"/public/x"),
        ("x-original-url", b"/public/x"),
        ("x_original_uri", b"/public/x"),
        ("x-rewrite-url", b"/public/x"),
        ("x-original-method", b"GET"),
        ("x-envoy-original-path", b"/public/x"),
        ("x-portcullis-user", b"root"),
    ];
    let told = ask(&parts(), "a.example", "/admin/x", fields).unwrap();
    assert_eq!(told.route, "admin");
    for (name, _) in fields {
        assert!(!told.headers.contains_key(*name), "{name}");
    }
}

#[test]
fn advisory_16_nobody_is_trusted_until_somebody_is_named() {
    let told = ask(&open_routes(), "a.example", "/", &[("x-forwarded-for", b"10.0.0.9")]).unwrap();
    assert_eq!(told.source, "192.0.2.1");
    assert!(portcullis::request::IntakeSettings::default().trusted_proxies.is_empty());
}

#[test]
fn advisory_17_18_19_and_27_forwarding_fields_leave_in_every_spelling() {
    let fields: Fields<'_> = &[
        ("X-Forwarded-Proto", b"http"),
        ("x-forwarded-prefix", b"/admin"),
        ("X_Forwarded_User", b"root"),
        ("x-Forwarded_host", b"evil.example"),
        ("X-Forwarded", b"for=10.0.0.1"),
        ("FORWARDED", b"for=10.0.0.1;host=evil.example"),
        ("X-Real-IP", b"10.0.0.1"),
        ("True-Client-Ip", b"10.0.0.1"),
        ("client_cert", b":AAAA:"),
        ("x.forwarded.for", b"10.0.0.1"),
    ];
    let told = ask(&open_routes(), "a.example", "/", fields).unwrap();
    let mut left: Vec<_> = told.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["host", "traceparent"]);
}

#[test]
fn advisory_21_what_connection_lists_is_gone_before_anything_is_decided() {
    let told = ask(&open_routes(), "a.example", "/", &[("connection", b"close, x-user"), ("X-User", b"root")]).unwrap();
    assert!(!told.headers.contains_key("x-user"));
    let trace = &b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"[..];
    let told =
        ask(&open_routes(), "a.example", "/", &[("connection", b"traceparent"), ("traceparent", trace)]).unwrap();
    assert_eq!(told.headers["traceparent"].as_bytes(), trace, "restated, not lost");
    for field in [&b"authorization"[..], b"Cookie", b"HOST", b"close,dpop"] {
        let got = ask(&open_routes(), "a.example", "/", &[("connection", field), ("authorization", b"Bearer t")]);
        assert_eq!(got.unwrap_err(), "header-invalid");
    }
}

#[test]
fn advisory_22_junk_is_no_source_address() {
    let mut trusted = connection(HttpVersion::Http1);
    trusted.client = "10.0.0.1:1".parse().unwrap();
    for (field, source) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, junk", "10.0.0.1"),
        ("203.0.113.7, \"10.0.0.2\"", "10.0.0.1"),
        ("203.0.113.7, 10.0.0.2", "203.0.113.7"),
    ] {
        let request = Request::get("/").header("host", "a.example").header("x-forwarded-for", field).body(()).unwrap();
        assert_eq!(walk(request, Body::Empty, &trusted, &open_routes()).unwrap().source, source, "{field}");
    }
}

/// Two routes that a header field tells apart.
fn versions() -> Routes {
    let two = HeaderCondition { name: HeaderName::from_static("x-version"), value: HeaderValue::from_static("2") };
    Routes::new(vec![
        route("one", "a.example", "/"),
        Route { headers: vec![two.clone()], ..route("two", "a.example", "/") },
        Route { headers: vec![two], ..route("only", "a.example", "/only") },
    ])
    .unwrap()
}

#[test]
fn advisory_24_of_repeated_values_each_counts() {
    let version = |values: &[&'static [u8]]| {
        let fields: Vec<_> = values.iter().map(|value| ("x-version", *value)).collect();
        ask(&versions(), "a.example", "/", &fields).map_or_else(|code| code.to_owned(), |walked| walked.route)
    };
    assert_eq!(version(&[b"2"]), "two");
    assert_eq!(version(&[b"2", b"2"]), "two");
    assert_eq!(version(&[]), "one");
    assert_eq!(version(&[b"1"]), "one");
    // The service may take either for the version, so neither route is meant.
    assert_eq!(version(&[b"2", b"1"]), "header-invalid");
    assert_eq!(version(&[b"1", b"2"]), "header-invalid");
    assert_eq!(version(&[b"2, 1"]), "one");
    assert_eq!(version(&[b""]), "one");
}

#[test]
fn advisory_25_bytes_that_are_no_text_are_never_absent() {
    let only = |value: &'static [u8]| ask(&versions(), "a.example", "/only", &[("x-version", value)]);
    assert_eq!(only(b"2").unwrap().route, "only");
    assert_eq!(only(b"2\xff").unwrap_err(), "route-unknown");
    for name in ["authorization", "cookie", "content-type", "origin", "dpop"] {
        let got = ask(&open_routes(), "a.example", "/", &[(name, b"Bearer t\xff")]);
        assert_eq!(got.unwrap_err(), "header-invalid", "{name}");
    }
}

#[test]
fn advisory_26_no_user_agent_opens_a_route() {
    for agent in [&b"GoogleHC/1.0"[..], b"kube-probe/1.30"] {
        let fields: Fields<'_> = &[("user-agent", agent)];
        for target in ["/ping", "/livez", "/readyz", "/metrics"] {
            assert_eq!(ask(&parts(), "a.example", target, fields).unwrap_err(), "route-unknown");
        }
    }
}

#[test]
fn advisory_30_a_handshake_for_one_profile_carries_no_request_for_another() {
    for host in ["strict.example", "STRICT.example.", "strict.example:8443"] {
        assert_eq!(ask(&open_routes(), host, "/", &[]).unwrap_err(), "misdirected", "{host}");
    }
    let mut strict = connection(HttpVersion::Http1);
    strict.tls.as_mut().unwrap().profile = Name::new("strict");
    let request = |host| Request::get("/").header("host", host).body(()).unwrap();
    assert!(walk(request("strict.example"), Body::Empty, &strict, &open_routes()).is_ok());
    assert_eq!(walk(request("a.example"), Body::Empty, &strict, &open_routes()).unwrap_err(), "misdirected");
}

#[test]
fn advisory_30_what_a_connection_named_first_opens_nothing_else() {
    let known = Arc::new(connection(HttpVersion::Http1));
    let ask = |host: &str| {
        let request = Request::get("/").header("host", host).body(()).unwrap();
        walk_over(&known, request, Body::Empty, &open_routes()).map(|told| told.line)
    };
    for _ in 0..2 {
        for (host, expected) in [
            ("A.example", Ok("GET a.example /")),
            ("strict.example", Err("misdirected")),
            ("a.example:8443", Ok("GET a.example:8443 /")),
            ("b.example", Ok("GET b.example /")),
            ("A.example/", Err("host-invalid")),
            ("A.example", Ok("GET a.example /")),
        ] {
            assert_eq!(ask(host), expected.map(str::to_owned).map_err(str::to_owned), "{host}");
        }
    }
    let mut moved = Connection::clone(&known);
    moved.tls.as_mut().unwrap().profile = Name::new("strict");
    let request = Request::get("/").header("host", "A.example").body(()).unwrap();
    assert_eq!(walk_over(&Arc::new(moved), request, Body::Empty, &open_routes()).unwrap_err(), "misdirected");
}

#[test]
fn advisory_44_two_credentials_are_none() {
    let twice: Fields<'_> = &[("authorization", b"Bearer t"), ("authorization", b"Bearer u")];
    assert_eq!(ask(&open_routes(), "a.example", "/", twice).unwrap_err(), "credential-ambiguous");
    let query = ask(&open_routes(), "a.example", "/?access_token=t", &[("authorization", b"Bearer t")]);
    assert_eq!(query.unwrap_err(), "token-in-query");
    // A route whose upstream has its own authorization passes everything on and takes nothing for a credential.
    let passed = ask(&open_routes(), "pass.example", "/", twice).unwrap();
    assert_eq!((passed.headers.get_all("authorization").iter().count(), passed.credential), (2, None));
}

#[test]
fn advisory_59_a_head_is_bounded_however_it_is_cut() {
    let long = vec![b'x'; 65 * 1024];
    assert_eq!(ask(&open_routes(), "a.example", "/", &[("x", &long)]).unwrap_err(), "head-too-large");
    let pieces: Vec<(&str, &[u8])> = (0..90).map(|_| ("x", &long[..1024])).collect();
    assert_eq!(ask(&open_routes(), "a.example", "/", &pieces).unwrap_err(), "head-too-large");
    let many: Vec<(&str, &[u8])> = (0..100).map(|_| ("x", &b""[..])).collect();
    assert_eq!(ask(&open_routes(), "a.example", "/", &many).unwrap_err(), "head-too-large");
    assert!(ask(&open_routes(), "a.example", "/", &many[..99]).is_ok());
}

#[test]
fn advisory_60_a_request_without_a_path_is_refused_and_no_more() {
    for (method, target) in [("CONNECT", "a.example:443"), ("OPTIONS", "*"), ("GET", "*"), ("GET", "a.example")] {
        let request = Request::builder().method(method).uri(target).header("host", "a.example").body(()).unwrap();
        let got = walk(request, Body::Empty, &connection(HttpVersion::Http1), &open_routes());
        assert!(matches!(got.unwrap_err().as_str(), "target-form" | "method-invalid"), "{method} {target}");
    }
}

#[test]
fn a_method_that_a_route_does_not_have_never_falls_through_to_a_wider_route() {
    let narrow = Methods::These(vec![Method::POST]);
    let routes = Routes::new(vec![
        route("wide", "a.example", "/{rest...}"),
        Route { methods: narrow, ..route("narrow", "a.example", "/a/{x}") },
    ])
    .unwrap();
    assert_eq!(lead(&routes, "/a/b"), "method-not-allowed");
    assert_eq!(lead(&routes, "/a/b/c"), "wide");
}
