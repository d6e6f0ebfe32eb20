//! Malformed and ambiguous requests as raw bytes over HTTP/1.1, each with what becomes of it: the line that is
//! forwarded, a reason code, or what the HTTP layer did before we saw anything.

use super::journey::{Exchange, send};

/// A case: bytes in, and what is told of the requests on the connection, `|` between them. `http 400` is an answer of
/// the HTTP layer itself, `cut` a connection that ends without one.
type Case = (String, &'static str);

async fn hold(cases: &[Case]) {
    for (raw, expected) in cases {
        let Exchange { mut told, statuses, .. } = send(raw.as_bytes()).await;
        if let Some(status) = statuses.get(told.len()) {
            told.push(format!("http {status}"));
        }
        let got = if told.is_empty() { String::from("cut") } else { told.join("|") };
        assert_eq!(got, *expected, "{:?}", raw.chars().take(300).collect::<String>());
    }
}

fn request_line(line: &str, expected: &'static str) -> Case {
    (format!("{line}\r\nHost: a.example\r\n\r\n"), expected)
}

fn target(target: &str, expected: &'static str) -> Case {
    request_line(&format!("GET {target} HTTP/1.1"), expected)
}

fn fields(fields: &str, expected: &'static str) -> Case {
    (format!("GET /x HTTP/1.1\r\n{fields}\r\n\r\n"), expected)
}

fn beside_host(field: &str, expected: &'static str) -> Case {
    fields(&format!("Host: a.example\r\n{field}"), expected)
}

fn post(field: &str, body: &str, expected: &'static str) -> Case {
    (format!("POST /x HTTP/1.1\r\nHost: a.example\r\n{field}\r\n\r\n{body}"), expected)
}

fn request_lines() -> Vec<Case> {
    vec![
        request_line("GET / HTTP/1.1", "GET a.example /"),
        request_line("GET /x HTTP/1.0", "GET a.example /x"),
        request_line("GET /x HTTP/1.2", "http 400"),
        request_line("GET /x HTTP/2.0", "http 400"),
        request_line("GET /x HTTP/1.1x", "http 400"),
        request_line("GET /x http/1.1", "http 400"),
        request_line("GET /x", "http 400"),
        request_line("GET  /x HTTP/1.1", "http 400"),
        request_line("GET /x  HTTP/1.1", "http 400"),
        request_line("GET /x y HTTP/1.1", "http 400"),
        request_line("GET\t/x HTTP/1.1", "http 400"),
        request_line("GET /x\tHTTP/1.1", "http 400"),
        request_line(" GET /x HTTP/1.1", "http 400"),
        request_line("\r\n\r\nGET /x HTTP/1.1", "GET a.example /x"),
        request_line("get /x HTTP/1.1", "method-invalid"),
        request_line("Get /x HTTP/1.1", "method-invalid"),
        request_line("TRACE /x HTTP/1.1", "method-invalid"),
        request_line("TRACK /x HTTP/1.1", "method-invalid"),
        request_line("G@T /x HTTP/1.1", "http 400"),
        request_line("G%54 /x HTTP/1.1", "method-invalid"),
        request_line("CONNECT a.example:443 HTTP/1.1", "method-invalid"),
        request_line("CONNECT /x HTTP/1.1", "method-invalid"),
        request_line("PROPFIND /x HTTP/1.1", "PROPFIND a.example /x"),
        request_line(&format!("{} /x HTTP/1.1", "A".repeat(33)), "method-invalid"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "cut"),
        ("GET /x HTTP/1.1\nHost: a.example\n\n".into(), "GET a.example /x"),
        ("GET /x HTTP/1.1\rHost: a.example\r\r".into(), "http 400"),
        ("GET /x HTTP/1.1\r\nHost: a.example\r\n".into(), "cut"),
        ("\0\0\0\0".into(), "http 400"),
        ("\u{16}\u{3}\u{1}\u{2}\0".into(), "http 400"),
    ]
}

fn target_forms() -> Vec<Case> {
    vec![
        request_line("OPTIONS * HTTP/1.1", "target-form"),
        target("*", "target-form"),
        target("a.example", "target-form"),
        target("a.example:443", "target-form"),
        target("x/y", "http 400"),
        target("?x", "http 400"),
        target("https://a.example/x?y", "GET a.example /x?y"),
        target("HTTPS://A.EXAMPLE/x", "GET a.example /x"),
        target("https://a.example", "GET a.example /"),
        target("https://a.example?x", "target-form"),
        target("https://a.example:443/x", "host-invalid"),
        target("https://b.example/x", "host-invalid"),
        target("https://user@a.example/x", "host-invalid"),
        target("https://user:pass@a.example/x", "host-invalid"),
        target("https:///x", "http 400"),
        target("http://a.example/x", "target-form"),
        target("ftp://a.example/x", "target-form"),
        target("javascript:alert(1)", "target-form"),
        ("GET https://a.example/x HTTP/1.1\r\n\r\n".into(), "host-invalid"),
        ("GET https://a.example/x HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n".into(), "host-invalid"),
    ]
}

fn paths() -> Vec<Case> {
    vec![
        target("//a", "path-ambiguous"),
        target("///a", "path-ambiguous"),
        target("/a//b", "path-ambiguous"),
        target("/a//", "path-ambiguous"),
        target("//b.example/x", "path-ambiguous"),
        target("/.", "path-ambiguous"),
        target("/..", "path-ambiguous"),
        target("/./x", "path-ambiguous"),
        target("/a/../x", "path-ambiguous"),
        target("/a/%2e%2e/x", "path-ambiguous"),
        target("/a/%2E./x", "path-ambiguous"),
        target("/a/..%2fx", "path-ambiguous"),
        target("/a%2f..%2fx", "path-ambiguous"),
        target("/a/..;/x", "path-ambiguous"),
        target("/a/..;y=z/x", "path-ambiguous"),
        target("/a/..%3by/x", "path-ambiguous"),
        target("/a/%252e%252e/x", "encoding-invalid"),
        target("/a%2fb", "path-ambiguous"),
        target("/a%2Fb", "path-ambiguous"),
        target("/a;b", "path-ambiguous"),
        target("/a%3Bb", "path-ambiguous"),
        target("/a\\b", "path-ambiguous"),
        target("/a%5cb", "path-ambiguous"),
        target("/a%5Cb", "path-ambiguous"),
        target("/a%00", "path-ambiguous"),
        target("/a%0d%0aX:%20y", "path-ambiguous"),
        target("/a%7f", "path-ambiguous"),
        target("/a%", "encoding-invalid"),
        target("/a%2", "encoding-invalid"),
        target("/a%zz", "encoding-invalid"),
        target("/a%u002e", "encoding-invalid"),
        target("/a%2525", "encoding-invalid"),
        target("/a%2561dmin", "encoding-invalid"),
        target("/a%c0%ae%c0%ae", "encoding-invalid"),
        target("/a%ff", "encoding-invalid"),
        target("/a\u{e9}", "path-ambiguous"),
        target("/a\u{7f}", "http 400"),
        target("/a\"b", "path-ambiguous"),
        target("/a{b}", "path-ambiguous"),
        target("/a^b", "path-ambiguous"),
        target("/a<b>", "http 400"),
        target("/a`b", "http 400"),
        target("/a\0", "http 400"),
        target("/a%c3%a9/%20/100%25", "GET a.example /a%c3%a9/%20/100%25"),
        target("/a!$&'()*+,=:@-._~[]|/", "GET a.example /a!$&'()*+,=:@-._~[]|/"),
        target("/.../..x/x../.x", "GET a.example /.../..x/x../.x"),
        target("/x?a=%zz", "encoding-invalid"),
        target("/x?a=%", "encoding-invalid"),
        target("/x?\u{e9}", "encoding-invalid"),
        target("/x?a=/../b&c=%00//;%2f\\[]{}|", "GET a.example /x?a=/../b&c=%00//;%2f\\[]{}|"),
        target("/x?access_token=t", "token-in-query"),
        target("/x?a=1&Access_Token=t", "token-in-query"),
        target("/x?%61ccess%5ftoken=t", "token-in-query"),
        target("/x?a;access_token=t", "token-in-query"),
        target("/x?access_token", "token-in-query"),
        target("/x?+access_token+=t", "token-in-query"),
        target("/x?my_access_token=t", "GET a.example /x?my_access_token=t"),
        target(&format!("/{}", "x".repeat(9_000)), "head-too-large"),
        target(&format!("/{}", "x".repeat(66_000)), "http 414"),
    ]
}

/// The HTTP layer cuts a fragment off. The listener, which is not in these rooms, has noticed it before.
fn fragments() -> Vec<Case> {
    vec![target("/a#/../x?y", "GET a.example /a"), target("/a?x#y", "GET a.example /a?x")]
}

fn hosts() -> Vec<Case> {
    vec![
        fields("X: y", "host-invalid"),
        fields("Host:", "host-invalid"),
        fields("Host: a.example\r\nHost: a.example", "host-invalid"),
        fields("Host: a.example\r\nhost: b.example", "host-invalid"),
        fields("Host: a.example, b.example", "host-invalid"),
        fields("Host: a.example b", "host-invalid"),
        fields("Host: a.example/b", "host-invalid"),
        fields("Host: a.example/b@c", "host-invalid"),
        fields("Host: user@a.example", "host-invalid"),
        fields("Host: https://a.example", "host-invalid"),
        fields("Host: a.example:", "host-invalid"),
        fields("Host: a.example:99999", "host-invalid"),
        fields("Host: a.example:443:443", "host-invalid"),
        fields("Host: stra\u{df}e.example", "host-invalid"),
        fields("Host: a..example", "host-invalid"),
        fields("Host: a%2eexample", "host-invalid"),
        fields("Host: *", "host-invalid"),
        fields("Host: ::1", "host-invalid"),
        fields("Host: [::1", "host-invalid"),
        fields("Host: [::1%25eth0]", "host-invalid"),
        fields("Host: 0x7f.1", "host-invalid"),
        fields("Host: A.Example.", "GET a.example /x"),
        fields("Host: a.example.:8443", "GET a.example:8443 /x"),
        fields("Host: [2001:DB8::1]:8443", "GET [2001:db8::1]:8443 /x"),
        fields("Host : a.example", "http 400"),
        fields(" Host: a.example", "http 400"),
        fields("Host: a.example\r\n folded", "http 400"),
        fields("Host: strict.example", "misdirected"),
        fields("Host: STRICT.example.", "misdirected"),
        fields("Host\u{212a}: a.example", "http 400"),
        ("GET /x HTTP/1.0\r\n\r\n".into(), "host-invalid"),
    ]
}

fn framings() -> Vec<Case> {
    let next = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    vec![
        post("Content-Length: 3", "abc", "POST a.example /x abc"),
        post("Content-Length: 3\r\nContent-Length: 4", "abcd", "http 400"),
        post("Content-Length: 3, 3", "abc", "http 400"),
        post("Content-Length: +3", "abc", "http 400"),
        post("Content-Length: -1", "abc", "http 400"),
        post("Content-Length: 0x3", "abc", "http 400"),
        post("Content-Length: 3 3", "abc", "http 400"),
        post("Content-Length: 3;", "abc", "http 400"),
        post("Content-Length:", "abc", "http 400"),
        post("Content-Length: 99999999999999999999", "abc", "http 400"),
        post("Content-Length: 4", "abc", "cut"),
        // Stated in two ways: the HTTP layer takes the chunks and closes; nothing behind them is a request.
        post("Content-Length: 3\r\nTransfer-Encoding: chunked", &format!("{chunks}{next}"), "POST a.example /x abc"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 3", &format!("{chunks}{next}"), "POST a.example /x abc"),
        post("Transfer-Encoding: chunked", &format!("{chunks}{next}"), "POST a.example /x abc|GET a.example /smuggled"),
        post("Transfer-Encoding: Chunked", chunks, "POST a.example /x abc"),
        post("Transfer-Encoding: chunked, chunked", chunks, "framing-ambiguous"),
        post("Transfer-Encoding: gzip, chunked", chunks, "framing-ambiguous"),
        post("Transfer-Encoding: identity, chunked", chunks, "framing-ambiguous"),
        post("Transfer-Encoding: , chunked", chunks, "framing-ambiguous"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks, "framing-ambiguous"),
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", chunks, "framing-ambiguous"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunks, "http 400"),
        post("Transfer-Encoding: chunked, gzip", chunks, "http 400"),
        post("Transfer-Encoding: chunked,", chunks, "http 400"),
        post("Transfer-Encoding: identity", chunks, "http 400"),
        post("Transfer-Encoding: xchunked", chunks, "http 400"),
        post("Transfer-Encoding: \"chunked\"", chunks, "http 400"),
        post("Transfer-Encoding: chunked;q=1", chunks, "http 400"),
        post("Transfer-Encoding:\u{b}chunked", chunks, "http 400"),
        post("Transfer-Encoding : chunked", chunks, "http 400"),
        post("Transfer-Encoding:", chunks, "http 400"),
        post("Transfer-Encoding: chunked", "3;ext=1\r\nabc\r\n0\r\n\r\n", "POST a.example /x abc"),
        post("Transfer-Encoding: chunked", "0003\r\nabc\r\n0\r\n\r\n", "POST a.example /x abc"),
        post("Transfer-Encoding: chunked", "+3\r\nabc\r\n0\r\n\r\n", "cut"),
        post("Transfer-Encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n", "cut"),
        post("Transfer-Encoding: chunked", "-1\r\nabc\r\n0\r\n\r\n", "cut"),
        post("Transfer-Encoding: chunked", "3\nabc\n0\n\n", "cut"),
        post("Transfer-Encoding: chunked", "3\r\nabcd\r\n0\r\n\r\n", "cut"),
        post("Transfer-Encoding: chunked", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", "cut"),
        post("Transfer-Encoding: chunked", "3\r\nabc\r\n", "cut"),
        post("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\nAuthorization: Bearer t\r\n\r\n", "POST a.example /x abc"),
        ("POST /x HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), "http 400"),
    ]
}

fn header_fields() -> Vec<Case> {
    vec![
        beside_host("X: a\rb", "http 400"),
        beside_host("X: a\0b", "http 400"),
        beside_host("X\0: ab", "http 400"),
        beside_host("X\u{e9}: ab", "http 400"),
        beside_host("X(: ab", "http 400"),
        beside_host(": ab", "http 400"),
        beside_host("X", "http 400"),
        beside_host("X: 1\r\n folded", "http 400"),
        beside_host("X: 1\r\n\tfolded", "http 400"),
        beside_host("X: \u{e9}", "GET a.example /x"),
        beside_host("Authorization: Bearer \u{e9}", "header-invalid"),
        beside_host("Cookie: a=\u{e9}", "header-invalid"),
        beside_host("Content-Type: text/\u{e9}", "header-invalid"),
        beside_host("Connection: \u{e9}", "header-invalid"),
        beside_host("DPoP: \u{e9}", "header-invalid"),
        beside_host("Content-Type: a/b\r\nContent-Type: a/b", "header-invalid"),
        beside_host("Origin: https://a\r\nOrigin: https://b", "header-invalid"),
        beside_host("Range: bytes=0-1\r\nRange: bytes=2-3", "header-invalid"),
        beside_host("Cookie: a=1\r\nCookie: b=2", "header-invalid"),
        beside_host("Referer: a\r\nReferer: b", "header-invalid"),
        beside_host("Upgrade: a\r\nUpgrade: websocket", "header-invalid"),
        beside_host("Expect: 100-continue\r\nExpect: 100-continue", "header-invalid"),
        beside_host("Expect: 200-ok", "header-invalid"),
        beside_host("Accept: a/b\r\nAccept: c/d", "GET a.example /x"),
        beside_host("Connection: close, authorization", "header-invalid"),
        beside_host("Connection: Host", "header-invalid"),
        beside_host("Connection: content-length", "header-invalid"),
        beside_host("Connection: close\r\nConnection: cookie", "header-invalid"),
        beside_host("Connection: a b", "header-invalid"),
        beside_host("Connection: close, x-any, ,keep-alive", "GET a.example /x"),
        beside_host("X-HTTP-Method-Override: DELETE", "header-invalid"),
        beside_host("x_http_method_override: DELETE", "header-invalid"),
        beside_host("X-Method-Override: DELETE", "header-invalid"),
        beside_host("Authorization: Basic dTpw", "scheme-unsupported"),
        beside_host("Authorization: Bearer", "credential-malformed"),
        beside_host("Authorization: Bearer  t", "credential-malformed"),
        beside_host("Authorization: Bearer\tt", "credential-malformed"),
        beside_host("Authorization: Bearer a b", "credential-malformed"),
        beside_host("Authorization: Bearer a,b", "credential-malformed"),
        beside_host("Authorization: Bearer a=b", "credential-malformed"),
        beside_host("Authorization: Bearer ====", "credential-malformed"),
        beside_host("Authorization: Bearer \"t\"", "credential-malformed"),
        beside_host("Authorization: Bearer:t", "credential-malformed"),
        beside_host("Authorization:", "credential-malformed"),
        beside_host("Authorization: Bearer t\r\nAuthorization: Bearer t", "credential-ambiguous"),
        beside_host("Authorization: Bearer t\r\nauthorization: Basic dTpw", "credential-ambiguous"),
        beside_host("Authorization: DPoP t", "dpop-invalid"),
        beside_host("Authorization: DPoP t\r\nDPoP: a.b", "credential-malformed"),
        beside_host("Authorization: DPoP t\r\nDPoP: a.b.c\r\nDPoP: a.b.c", "credential-ambiguous"),
        beside_host("Authorization: Bearer t\r\nDPoP: a.b.c", "credential-malformed"),
        beside_host("DPoP: a.b.c", "credential-malformed"),
        beside_host("aUTHORIZATION: bEARER t", "GET a.example /x"),
        beside_host(&"X: ab\r\n".repeat(98), "GET a.example /x"),
        beside_host(&vec!["X: ab"; 100].join("\r\n"), "http 431"),
        beside_host(&format!("X: {}", "x".repeat(66_000)), "head-too-large"),
    ]
}

fn cases() -> Vec<Case> {
    [request_lines(), target_forms(), paths(), hosts(), framings(), header_fields()].into_iter().flatten().collect()
}

/// The same bytes through a whole gate: what the tables say is forwarded is what the service receives, whole and in
/// order, and of all the rest it receives nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_a_service_is_what_was_decided_on_and_nothing_else() {
    let mut gate = super::gate::Gate::open().await;
    for (raw, expected) in cases() {
        // A bar may also stand in a target.
        let expected = expected.replace("|GET ", "\nGET ");
        let told: Vec<_> = expected.lines().filter(|told| *told != "cut").collect();
        let is_forwarded = |told: &&str| told.contains(' ') && !told.starts_with("http ");
        let (answer, arrived) = gate.send(raw.as_bytes(), told.len()).await;
        let raw: String = raw.chars().take(300).collect();
        // The rooms before do not ask whether a token is good.
        let denied = raw.contains("aUTHORIZATION");
        let forwarded: Vec<_> = told.iter().copied().filter(|told| is_forwarded(told) && !denied).collect();
        assert_eq!(arrived, forwarded, "{raw:?}");
        let statuses = answer.split("HTTP/1.").skip(1).filter_map(|head| head.get(2..3));
        for (told, status) in told.iter().zip(statuses) {
            let expected = if is_forwarded(told) && !denied { "2" } else { "4" };
            assert_eq!(status, expected, "{raw:?}: {answer}");
            let has_a_reason = !told.contains(' ') && *told != "head-too-large";
            assert!(!has_a_reason || answer.contains(told), "{raw:?} is not {told}: {answer}");
        }
    }
    gate.close().await;
}

#[tokio::test]
async fn request_lines_have_one_meaning() {
    hold(&request_lines()).await;
}

#[tokio::test]
async fn targets_name_a_path_and_one_host() {
    hold(&target_forms()).await;
}

#[tokio::test]
async fn paths_and_queries_are_passed_on_verbatim_or_refused() {
    hold(&paths()).await;
    hold(&fragments()).await;
}

#[tokio::test]
async fn hosts_are_one_and_well_formed() {
    hold(&hosts()).await;
}

#[tokio::test]
async fn bodies_have_one_length() {
    hold(&framings()).await;
}

#[tokio::test]
async fn header_fields_have_one_reader() {
    hold(&header_fields()).await;
}

/// What is left on the connection after a body that was stated in two ways is never read as a request.
#[tokio::test]
async fn a_connection_with_two_lengths_ends() {
    let raw =
        "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    let exchange = send(raw.as_bytes()).await;
    assert_eq!((exchange.told.len(), exchange.closed), (1, true), "{exchange:?}");
}

#[test]
fn the_tables_are_as_long_as_promised() {
    let cases = cases();
    let refused = cases.iter().filter(|(_, expected)| !expected.contains(".example")).count();
    assert!(refused >= 120, "{refused} requests that are refused");
}
