use http::{HeaderMap, HeaderValue};

use super::{Fields, TRACEPARENT, TRACESTATE, TraceContext};

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn settled(fields: &[(&'static str, &str)]) -> (TraceContext, HeaderMap) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let fields = Fields::of(&headers);
    let trace = TraceContext::of(&headers, fields);
    trace.settle(&mut headers, fields);
    (trace, headers)
}

#[test]
fn a_well_formed_traceparent_is_kept_byte_for_byte() {
    let trace = TraceContext::parse(GOOD.as_bytes()).unwrap();
    assert_eq!(trace.to_string(), GOOD);
    assert_eq!(trace.trace_id(), b"4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(trace.parent_id().to_string(), "00f067aa0ba902b7");
    assert_eq!((trace.flags(), trace.is_kept()), (1, true));
}

#[test]
fn malformed_traceparents_are_no_traceparents() {
    for bad in [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0G",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn a_later_version_is_read_as_version_00_and_restated_so() {
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later";
    let (trace, headers) = settled(&[("traceparent", later)]);
    assert!(trace.is_kept());
    assert_eq!(headers[TRACEPARENT], GOOD);
    assert!(TraceContext::parse(&later.as_bytes()[..55]).is_some());
}

#[test]
fn a_trace_is_begun_when_none_is_stated_or_two_are() {
    for fields in [&[][..], &[("traceparent", "junk")], &[("traceparent", GOOD), ("traceparent", GOOD)]] {
        let (trace, headers) = settled(&[fields, &[("tracestate", "a=1")]].concat());
        assert!(!trace.is_kept());
        assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
        assert_eq!(headers[TRACEPARENT], trace.to_string());
        assert!(!headers.contains_key(TRACESTATE), "the state of a trace that was not kept");
    }
}

#[test]
fn tracestate_is_carried_joined_and_bounded() {
    let (_, headers) = settled(&[("traceparent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")]);
    assert_eq!(headers.get_all(TRACESTATE).iter().collect::<Vec<_>>(), ["a=1,b=2"]);
    for state in ["x".repeat(513), String::from("a=\u{e9}")] {
        let (trace, headers) = settled(&[("traceparent", GOOD), ("tracestate", &state)]);
        assert!(trace.is_kept() && !headers.contains_key(TRACESTATE), "{state}");
    }
}
