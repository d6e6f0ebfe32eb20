use proptest::prelude::*;

use super::{PrefixRewrite, RewriteError};
use crate::request::{CanonicalPath, PathError, testing};
use crate::route::resolve::tests::route;
use crate::route::{PathPattern, Resolved, Route, Routes};

fn rewriting(path: &str, from: &str, to: &str) -> Route {
    let rewrite = PrefixRewrite::parse(from, to).unwrap();
    assert!(rewrite.fits(&PathPattern::parse(path).unwrap()), "{path} {from}");
    Route { prefix_rewrite: Some(rewrite), ..route(path, "a.example", path, &[]) }
}

#[test]
fn whole_segments_are_replaced_and_the_rest_stays_byte_for_byte() {
    for (from, to, asked, expected) in [
        ("/grafana", "/", "/grafana/", "/"),
        ("/grafana", "/", "/grafana", "/"),
        ("/grafana", "/", "/grafana/a/b%20c/", "/a/b%20c/"),
        ("/grafana", "/", "/gr%61fana/%61", "/%61"),
        ("/a/b", "/", "/a/b/c", "/c"),
        ("/a", "/x/y", "/a", "/x/y"),
        ("/a", "/x/y", "/a/", "/x/y/"),
        ("/a", "/x/y", "/a/b", "/x/y/b"),
        ("/a", "/x", "/a//b", "/x//b"),
        ("/", "/app", "/", "/app/"),
        ("/", "/app", "/b", "/app/b"),
    ] {
        let rewrite = PrefixRewrite::parse(from, to).unwrap();
        let path = CanonicalPath::parse(asked).unwrap();
        assert_eq!(rewrite.apply(&path).unwrap().as_str(), expected, "{from} -> {to}: {asked}");
    }
}

#[test]
fn a_prefix_is_plain_and_whole() {
    for (text, error) in [
        ("", RewriteError::Path(PathError::Relative)),
        ("app", RewriteError::Path(PathError::Relative)),
        ("//evil.example", RewriteError::Plain),
        ("https://evil.example", RewriteError::Path(PathError::Relative)),
        ("/a/../b", RewriteError::Path(PathError::DotSegment)),
        ("/a?b", RewriteError::Path(PathError::Character)),
        ("/a#b", RewriteError::Path(PathError::Character)),
        ("/{a}", RewriteError::Path(PathError::Character)),
        ("/a b\r\nX: y", RewriteError::Path(PathError::Character)),
        ("/*", RewriteError::Plain),
        ("/a;b", RewriteError::Plain),
        ("/a%2Fb", RewriteError::Plain),
        ("/a//b", RewriteError::Plain),
        ("/a/", RewriteError::Slash),
        ("//", RewriteError::Plain),
    ] {
        assert_eq!(PrefixRewrite::parse_prefix(text), Err(error), "{text}");
        assert!(PrefixRewrite::parse(text, "/").is_err() && PrefixRewrite::parse("/", text).is_err(), "{text}");
    }
    assert_eq!(PrefixRewrite::parse("/a", "/a"), Err(RewriteError::Nothing));
    assert_eq!(PrefixRewrite::parse("/", "/"), Err(RewriteError::Nothing));
}

#[test]
fn only_literal_segments_at_the_start_of_the_pattern_are_replaced() {
    let rewrite = PrefixRewrite::parse("/a/b", "/").unwrap();
    let fits = |pattern| rewrite.fits(&PathPattern::parse(pattern).unwrap());
    assert!(fits("/a/b") && fits("/a/b/") && fits("/a/b/{x}/c") && fits("/a/%62/{rest...}"));
    for other in ["/a", "/", "/a/{b}", "/{a}/b", "/a/{rest...}", "/a/bc", "/x/a/b", "/**"] {
        assert!(!fits(other), "{other}");
    }
}

#[test]
fn a_request_is_found_by_what_was_asked_and_is_from_there_on_what_is_forwarded() {
    let routes = Routes::new(vec![rewriting("/app/{rest...}", "/app", "/")]).unwrap();
    let request = http::Request::get("/app/x/%41?q=/app").header("host", "a.example").body(()).unwrap();
    let Resolved::Route(routed) = routes.resolve(testing::intake(request).unwrap()).unwrap() else { panic!() };
    let request = routed.request();
    assert_eq!((request.path().as_str(), request.asked_path().as_str()), ("/x/%41", "/app/x/%41"));
    assert_eq!((request.path_and_query(), request.query()), ("/x/%41?q=/app", Some("q=/app")));
    assert_eq!(routed.params().get("rest"), Some("x/A"));
    let (received, ..) = routed.into_parts();
    assert_eq!(received.into_parts().0.uri, "/x/%41?q=/app");
}

#[test]
fn two_ways_to_a_path_of_a_service_are_seen() {
    let plain = |path: &str| route(path, "a.example", path, &[]);
    for (one, other, meet) in [
        (rewriting("/public/{rest...}", "/public", "/"), plain("/admin/{x}"), true),
        (rewriting("/public/{rest...}", "/public", "/"), plain("/"), true),
        (rewriting("/public/{x}", "/public", "/"), plain("/"), false),
        (rewriting("/public/{x}", "/public", "/"), plain("/admin/{x}"), false),
        (rewriting("/public/{x}", "/public", "/admin"), plain("/admin/{x}"), true),
        (rewriting("/public/{x}", "/public", "/admin"), plain("/%61dmin/{rest...}"), true),
        (rewriting("/public", "/public", "/"), plain("/"), true),
        (rewriting("/public", "/public", "/"), plain("/x"), false),
        (rewriting("/public", "/public", "/"), plain("/**"), true),
        (rewriting("/public/", "/public", "/x"), plain("/x"), false),
        (rewriting("/a/{x...}", "/a", "/s"), rewriting("/b/{x...}", "/b", "/s"), true),
        (rewriting("/a/{x...}", "/a", "/s"), rewriting("/b/{x...}", "/b", "/t"), false),
        // One and the same rewrite: which route is meant is told by the path that was asked for.
        (rewriting("/a/{x...}", "/a", "/"), rewriting("/a/admin/{x...}", "/a", "/"), false),
        (plain("/{x...}"), plain("/admin"), false),
    ] {
        assert_eq!(one.reaches_paths_of(&other), meet, "{} and {}", one.path, other.path);
        assert_eq!(other.reaches_paths_of(&one), meet, "{} and {}", other.path, one.path);
    }
}

proptest! {
    /// Whatever is asked: what comes out has one meaning, no form that the request did not have, and two different
    /// requests never become one.
    #[test]
    fn what_comes_out_has_one_meaning(
        rest in "(/[a-z.%;/0-9A-F-]{0,6}){0,4}", other in "(/[a-z.%]{0,4}){0,3}", to in "(/[a-z]{1,3}){0,2}",
    ) {
        let to = if to.is_empty() { "/" } else { &to };
        let rewrite = PrefixRewrite::parse("/from", to);
        prop_assume!(rewrite.is_ok());
        let rewrite = rewrite.unwrap();
        let Ok(path) = CanonicalPath::parse(&format!("/from{rest}")) else { return Ok(()) };
        let rewritten = rewrite.apply(&path).unwrap();
        prop_assert!(rewritten.as_str().ends_with(&rest));
        prop_assert!(path.forms().admit(rewritten.forms()));
        if !path.forms().empty_segments {
            prop_assert!(!rewritten.as_str().starts_with("//"));
        }
        let Ok(second) = CanonicalPath::parse(&format!("/from{other}")) else { return Ok(()) };
        // `/from` and `/from/` are both the root of a service that is rewritten to `/`.
        let roots = |path: &str| to == "/" && (path.is_empty() || path == "/");
        let same = rest == other || (roots(&rest) && roots(&other));
        prop_assert_eq!(rewrite.apply(&second).unwrap() == rewritten, same);
    }
}
