use proptest::prelude::*;

use super::{CanonicalPath, PathError, PathForms, decode};

fn error(text: &str) -> Option<PathError> {
    CanonicalPath::parse(text).err()
}

fn forms(text: &str) -> PathForms {
    CanonicalPath::parse(text).unwrap().forms()
}

#[test]
fn what_servers_read_differently_is_refused_with_its_reason() {
    for (text, expected) in [
        ("", PathError::Relative),
        ("x", PathError::Relative),
        ("*", PathError::Relative),
        ("?", PathError::Relative),
        ("/.", PathError::DotSegment),
        ("/..", PathError::DotSegment),
        ("/a/.", PathError::DotSegment),
        ("/%2e", PathError::DotSegment),
        ("/.%2E/x", PathError::DotSegment),
        ("/..;/x", PathError::DotSegment),
        ("/.;a/x", PathError::DotSegment),
        ("/..%3b/x", PathError::DotSegment),
        ("/%2e%2e%3Bx/x", PathError::DotSegment),
        ("/a%2f../x", PathError::DotSegment),
        ("/..%2fa", PathError::DotSegment),
        ("/a%2F%2e%2E;b%2Fc", PathError::DotSegment),
        ("/a\\b", PathError::Character),
        ("/a%5Cb", PathError::Backslash),
        ("/..%5c..%5cx", PathError::Backslash),
        ("/a%00", PathError::Control),
        ("/a%0A", PathError::Control),
        ("/a%7F", PathError::Control),
        ("/a\n", PathError::Character),
        ("/a b", PathError::Character),
        ("/a#b", PathError::Character),
        ("/a?b", PathError::Character),
        ("/\u{e9}", PathError::Character),
        ("/\u{ff0f}..\u{ff0f}", PathError::Character),
        ("/%", PathError::PercentEncoding),
        ("/%2", PathError::PercentEncoding),
        ("/%/2f", PathError::PercentEncoding),
        ("/%g0", PathError::PercentEncoding),
        ("/%u002e", PathError::PercentEncoding),
        ("/%252e", PathError::DoubleEncoding),
        ("/%2541", PathError::DoubleEncoding),
        ("/%25252e", PathError::DoubleEncoding),
        ("/%25%32%65", PathError::DoubleEncoding),
        ("/%25%32e", PathError::DoubleEncoding),
        ("/%252%65", PathError::DoubleEncoding),
        ("/%c0%ae", PathError::NotUtf8),
        ("/%c0%af..", PathError::NotUtf8),
        ("/%E9", PathError::NotUtf8),
        ("/%ed%a0%80", PathError::NotUtf8),
    ] {
        assert_eq!(error(text), Some(expected), "{text}");
    }
}

#[test]
fn what_a_route_may_admit_is_noted() {
    let none = PathForms::NONE;
    let slash = PathForms { encoded_slash: true, ..none };
    let semicolon = PathForms { semicolon: true, ..none };
    let empty = PathForms { empty_segments: true, ..none };
    for (text, expected) in [
        ("/", none),
        ("/a/b/", none),
        ("/...", none),
        ("/a.b..c/.d/e.", none),
        ("/100%25", none),
        ("/100%25x/%25", none),
        ("/%C3%a9", none),
        ("/%20%23%3F%2A", none),
        ("//", empty),
        ("//a", empty),
        ("/a//", empty),
        ("/a%2fb", slash),
        ("/a%2Fb", slash),
        ("/a%2F", slash.and(empty)),
        ("/%2fa", slash.and(empty)),
        ("/a%2f%2fb", slash.and(empty)),
        ("/a;b", semicolon),
        ("/;", semicolon),
        ("/a%3bb", semicolon),
        ("/a...;b", semicolon),
    ] {
        assert_eq!(forms(text), expected, "{text}");
        assert!(expected.admit(forms(text)) && (expected == none || !none.admit(forms(text))));
    }
}

#[test]
fn segments_are_decoded_once() {
    let path = CanonicalPath::parse("/a%20b/%2525x".replace("%2525", "%25").as_str()).unwrap();
    assert_eq!(path.segments().collect::<Vec<_>>(), ["a b", "%x"]);
    assert_eq!(CanonicalPath::parse("/").unwrap().segments().collect::<Vec<_>>(), [""]);
    assert_eq!(CanonicalPath::parse("/a/").unwrap().segments().collect::<Vec<_>>(), ["a", ""]);
}

/// RFC 3986 section 5.2.4, as a server might do it after decoding.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment.split(';').next() {
            Some(".") => {}
            Some("..") => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Pieces of which trouble is made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "//", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", "%25", "%", "2e", "2f", "%32", "e", "%65", ";",
        "%3b", "a", "b", "%61", "%00", "%c3%a9", "%c0%ae", "\u{e9}", "#", "?", " ", "*", "{x}", "%0d",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn any_text_is_a_path_or_an_error_and_a_path_is_verbatim(text in any::<String>()) {
        if let Ok(path) = CanonicalPath::parse(&text) {
            prop_assert_eq!(path.as_str(), &text);
        }
    }

    /// Whoever decodes first and splits later, decodes twice, or resolves dots, sees the segments that we see.
    #[test]
    fn every_reader_of_an_accepted_path_reads_the_same(text in pieces()) {
        let Ok(path) = CanonicalPath::parse(&text) else { return Ok(()) };
        let once = decode(path.as_str()).into_owned();
        prop_assert_eq!(&without_dots(&once), &once);
        prop_assert_eq!(percent_encoding::percent_decode_str(&once).decode_utf8().unwrap(), once.as_str());
        if path.forms() == PathForms::NONE {
            let segments: Vec<_> = path.segments().collect();
            prop_assert_eq!(once.split('/').skip(1).collect::<Vec<_>>(), segments.clone());
            prop_assert!(segments.iter().rev().skip(1).all(|segment| !segment.is_empty()));
            prop_assert!(!once.contains([';', '\\', '\0']));
        }
    }
}
