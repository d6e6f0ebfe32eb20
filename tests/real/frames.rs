//! Malformed HTTP/2 as frames on the wire, each with what becomes of it, and proof at the service of what arrived.

use serde_json::{Value, json};

use crate::support::{Entry, Gate, Ledger, Plan, Tools, python};

/// The fields of a good request, with changes: a name twice, left out (`-name`), or another value.
fn fields(changes: &[(&str, &str)]) -> Value {
    let mut fields = vec![(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/api/x")];
    for (name, value) in changes {
        match (name.strip_prefix('-'), name.strip_prefix('='), name.strip_prefix('^')) {
            (Some(gone), _, _) => fields.retain(|(name, _)| name != &gone),
            (_, Some(changed), _) => {
                fields.iter_mut().filter(|(name, _)| name == &changed).for_each(|field| field.1 = value)
            }
            (_, _, Some(first)) => fields.insert(0, (first, value)),
            _ => fields.push((name, value)),
        }
    }
    json!(fields)
}

/// A request without a body on stream 1.
fn request(changes: &[(&str, &str)]) -> Vec<Value> {
    vec![json!(["headers", 1, fields(changes), "eh"])]
}

/// A request whose body follows.
fn upload(changes: &[(&str, &str)], rest: &[Value]) -> Vec<Value> {
    let mut changes = changes.to_vec();
    changes.push(("=:method", "PUT"));
    [&[json!(["headers", 1, fields(&changes), "h"])], rest].concat()
}

fn raw(kind: u8, flags: u8, stream: u32, payload: &str) -> Value {
    json!(["raw", kind, flags, stream, payload])
}

fn then(steps: Vec<Value>, rest: &[Value]) -> Vec<Value> {
    [&steps[..], rest].concat()
}

type Case = (&'static str, Vec<Value>, &'static str);

/// Fields that mean nothing, or two things (RFC 9113 section 8).
fn malformed_fields() -> Vec<Case> {
    let one = |name, changes: &[(&str, &str)], expected| (name, request(changes), expected);
    vec![
        one("a capital in a name", &[("X-Probe", "a")], "goaway 1"),
        one("a space in a name", &[("x probe", "a")], "goaway 1"),
        one("a colon in a name", &[("x:probe", "a")], "goaway 1"),
        one("a line end in a name", &[("x\r\ny", "a")], "goaway 1"),
        one("a zero in a name", &[("x\0y", "a")], "goaway 1"),
        one("no name", &[("", "a")], "goaway 1"),
        one("a line end in a value", &[("x-probe", "a\r\nx-auth-user: mallory")], "goaway 1"),
        one("a lone line feed in a value", &[("x-probe", "a\nb")], "goaway 1"),
        one("a zero in a value", &[("x-probe", "a\0b")], "goaway 1"),
        one("a space before a value", &[("x-probe", " a")], "400 header-invalid"),
        one("a space after a value", &[("x-probe", "a ")], "400 header-invalid"),
        one("a pseudo-field after a field", &[("x-probe", "a"), (":path", "/api/y"), ("-:path", "")], "reset 1"),
        one("two paths", &[(":path", "/api/y")], "reset 1"),
        one("two methods", &[(":method", "PUT")], "reset 1"),
        one("two authorities", &[(":authority", "elsewhere")], "reset 1"),
        one("two schemes", &[(":scheme", "https")], "reset 1"),
        one("an unknown pseudo-field", &[("^:fast", "1")], "goaway 1"),
        one("a pseudo-field of answers", &[("^:status", "200")], "reset 1"),
        one("no method", &[("-:method", "")], "reset 1"),
        one("no path", &[("-:path", "")], "reset 1"),
        one("no scheme", &[("-:scheme", "")], "reset 1"),
        one("an empty path", &[("=:path", "")], "reset 1"),
        one("an empty method", &[("=:method", "")], "goaway 1"),
        one("a path without a slash", &[("=:path", "api/x")], "reset 1"),
        one("a space in a path", &[("=:path", "/api/x HTTP/1.1")], "reset 1"),
        one("a line end in a path", &[("=:path", "/api/x\r\nx-auth-user: mallory")], "reset 1"),
        one("a space in a method", &[("=:method", "GET /api/x HTTP/1.1")], "goaway 1"),
        one("another host beside the authority", &[("host", "elsewhere")], "400 host-invalid"),
        one("a space in the authority", &[("=:authority", "local host")], "reset 1"),
        one("a user in the authority", &[("=:authority", "mallory@localhost")], "400 host-invalid"),
        one("another scheme", &[("=:scheme", "http")], "400 target-form"),
        one("connection", &[("connection", "x-auth-user")], "reset 1"),
        one("keep-alive", &[("keep-alive", "timeout=5")], "reset 1"),
        one("proxy-connection", &[("proxy-connection", "close")], "reset 1"),
        one("transfer-encoding", &[("transfer-encoding", "chunked")], "reset 1"),
        one("upgrade", &[("upgrade", "websocket")], "reset 1"),
        one("te other than trailers", &[("te", "gzip")], "reset 1"),
        one("connect with a path", &[("=:method", "CONNECT")], "reset 1"),
        one("a protocol without connect", &[("^:protocol", "websocket")], "reset 1"),
        one("an unknown protocol", &[("=:method", "CONNECT"), ("^:protocol", "connect-udp")], "400 target-form"),
        one("more fields than allowed", &[("x-probe", "a"); 120], "431 head-too-large"),
    ]
}

/// Bodies that are not what their head says (RFC 9113 section 8.1.1).
fn malformed_bodies() -> Vec<Case> {
    let data = |text: &str, flags: &str| json!(["data", 1, text, flags]);
    let trailers = |fields: Value, flags: &str| json!(["headers", 1, fields, flags]);
    vec![
        ("a body shorter than said", upload(&[("content-length", "5")], &[data("abc", "e")]), "reset 1"),
        ("a body longer than said", upload(&[("content-length", "3")], &[data("abcde", "e")]), "reset 1"),
        ("no body where one is said", request(&[("content-length", "5")]), "reset 1"),
        ("a length that is no number", request(&[("content-length", "+1")]), "reset 1"),
        ("two lengths", upload(&[("content-length", "3"), ("content-length", "4")], &[data("abc", "e")]), "reset 1"),
        (
            "trailers that do not end",
            upload(&[], &[data("abc", ""), trailers(json!([["x-probe", "a"]]), "h")]),
            "reset 1",
        ),
        (
            "a capital in trailers",
            upload(&[], &[data("abc", ""), trailers(json!([["X-Probe", "a"]]), "eh")]),
            "goaway 1",
        ),
    ]
}

/// Frames that break the connection (RFC 9113 sections 4 to 6). Where the RFC has a code of its own for a fault (3 flow
/// control, 6 frame size, 9 compression), the h2 crate may say 1 (protocol): what counts is that the connection ends.
fn malformed_frames() -> Vec<Case> {
    let good = || request(&[]);
    let head = "828487410b6c6f63616c686f73743a31"; // GET https://localhost:1/ in HPACK
    vec![
        ("a body before its head", vec![json!(["data", 1, "abc", "e"])], "goaway 1"),
        ("a stream of the server's", vec![json!(["headers", 2, fields(&[]), "eh"])], "goaway 1"),
        ("a head on no stream", vec![json!(["headers", 0, fields(&[]), "eh"])], "goaway 1"),
        ("a body on no stream", then(good(), &[json!(["data", 0, "abc", "e"])]), "goaway 1"),
        ("a reset on no stream", vec![raw(3, 0, 0, "00000008")], "goaway 1"),
        ("a reset of what never was", vec![raw(3, 0, 9, "00000008")], "goaway 1"),
        ("a reset of three bytes", vec![raw(3, 0, 1, "000008")], "goaway 1"),
        ("a window that grows by nothing", vec![raw(8, 0, 0, "00000000")], "goaway 1"),
        ("a window beyond all bounds", vec![raw(8, 0, 0, "7fffffff"), raw(8, 0, 0, "7fffffff")], "goaway 3"),
        ("a window of three bytes", vec![raw(8, 0, 0, "000001")], "goaway 1"),
        ("settings on a stream", vec![raw(4, 0, 1, "")], "goaway 1"),
        ("settings of five bytes", vec![raw(4, 0, 0, "0001000000")], "goaway 1"),
        ("settings that say yes and more", vec![raw(4, 1, 0, "000100000000")], "goaway 1"),
        ("a push that is neither on nor off", vec![raw(4, 0, 0, "000200000002")], "goaway 1"),
        ("a first window beyond all bounds", vec![raw(4, 0, 0, "000480000000")], "goaway 1"),
        ("frames smaller than allowed", vec![raw(4, 0, 0, "000500000064")], "goaway 1"),
        ("a ping of seven bytes", vec![raw(6, 0, 0, "00000000000000")], "goaway 1"),
        ("a ping on a stream", vec![raw(6, 0, 1, "0000000000000000")], "goaway 1"),
        ("a promise of a client", vec![raw(5, 4, 1, &format!("00000002{head}"))], "goaway 1"),
        ("more of a head that never began", vec![raw(9, 4, 1, head)], "goaway 1"),
        ("something else within a head", vec![raw(1, 1, 1, head), raw(6, 0, 0, "0000000000000000")], "goaway 1"),
        ("padding longer than the frame", vec![raw(1, 13, 1, "ff82")], "goaway 1"),
        ("an index into nothing", vec![raw(1, 5, 1, "ff8001")], "goaway 1"),
        ("a table larger than allowed", vec![raw(1, 5, 1, "3fe1ff7f82")], "goaway 1"),
        ("a string that never ends", vec![raw(1, 5, 1, "0005616263")], "goaway 1"),
        ("a frame larger than allowed", vec![raw(0, 0, 1, &"00".repeat(16_385))], "goaway 6"),
        ("another protocol", vec![json!(["bare"]), json!(["bytes", "474554202f20485454502f312e310d0a0d0a"])], "closed"),
    ]
}

/// What looks odd and is allowed, what becomes of it, and what reaches the service.
fn odd_and_good() -> Vec<(Case, &'static str)> {
    let data = |text: &str, flags: &str| json!(["data", 1, text, flags]);
    let get = |name, steps| ((name, steps, "200"), "GET /api/x ");
    let put = |name, steps, arrives| ((name, steps, "200"), arrives);
    vec![
        get("a plain request", request(&[])),
        get("a host beside the same authority", request(&[("host", "localhost")])),
        get("te: trailers", request(&[("te", "trailers")])),
        get("frames of a kind that nobody knows", then(vec![raw(0x42, 0xff, 0, "abcd")], &request(&[]))),
        get("priorities, which mean nothing any more", then(vec![raw(2, 0, 1, "0000000310")], &request(&[]))),
        get("a thousand pings", then(vec![json!(["times", 1000, raw(6, 0, 0, "0000000000000000")])], &request(&[]))),
        // The HTTP layer drops what nobody may send and nobody acts on.
        get("a fragment", request(&[("=:path", "/api/x#y")])),
        put(
            "a body in many pieces",
            upload(&[("content-length", "6")], &[data("ab", ""), data("cd", ""), data("ef", "e")]),
            "PUT /api/x abcdef",
        ),
        put(
            "a pseudo-field in trailers",
            upload(&[], &[data("abc", ""), json!(["headers", 1, [[":path", "/api/y"]], "eh"])]),
            "PUT /api/x abc",
        ),
        put("a body without a length", upload(&[], &[data("abc", "e")]), "PUT /api/x abc"),
    ]
}

/// The steps of a case, with its name in a field at the end of the first head: so the service can tell whose request it got.
fn named(name: &str, steps: &[Value]) -> Value {
    let mut steps = steps.to_vec();
    if let Some(head) = steps.iter_mut().find(|step| step[0] == "headers") {
        head[2].as_array_mut().unwrap().push(json!(["x-case", name]));
    }
    json!(steps)
}

#[test]
fn what_is_malformed_is_refused_and_never_reaches_the_service() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let service = Ledger::start();
    let mut gate = Gate::start(folder.path(), &Plan::open(&service.address.to_string()));
    let (bodies, good) = (malformed_bodies(), odd_and_good());
    let bad = [malformed_fields(), bodies.clone(), malformed_frames()].concat();
    assert!(bad.len() >= 40, "{} requests that are refused", bad.len());

    let cases: Vec<&Case> = bad.iter().chain(good.iter().map(|(case, _)| case)).collect();
    let steps: serde_json::Map<String, Value> =
        cases.iter().map(|(name, steps, _)| ((*name).to_owned(), named(name, steps))).collect();
    assert_eq!(steps.len(), cases.len(), "each has a name of its own");
    let asked = json!({ "port": gate.port, "authority": gate.file("certs/ca.pem"), "cases": steps });
    let told = python(&tools, "frames.py", &[], &asked);
    let wrong: Vec<_> = cases.iter().filter(|(name, _, expected)| told[*name] != *expected).collect();
    let wrong: Vec<_> =
        wrong.iter().map(|(name, _, expected)| format!("{name}: {}, not {expected}", told[*name])).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Nothing may come late: the gate has finished all that it began.
    gate.running().signal(rustix::process::Signal::TERM);
    assert!(gate.wait().success());
    let arrived = service.entries();
    let of = |name: &str| -> Vec<String> {
        arrived.iter().filter(|entry| entry.field("x-case") == Some(name)).map(Entry::told).collect()
    };
    for (name, _, _) in &bad {
        // A body that is not what its head says may have been begun; what the service got of it is no request.
        let is_body = bodies.iter().any(|(body, _, _)| body == name);
        let arrived: Vec<_> =
            of(name).into_iter().filter(|told| !is_body || told != "PUT /api/x (broken off)").collect();
        assert_eq!(arrived, [""; 0], "{name}");
    }
    for ((name, _, _), arrives) in &good {
        assert_eq!(of(name), [*arrives], "{name}");
    }
    let nobodys: Vec<_> =
        arrived.iter().filter(|entry| !cases.iter().any(|(name, _, _)| entry.field("x-case") == Some(name))).collect();
    assert!(nobodys.is_empty(), "{nobodys:?}");
}
