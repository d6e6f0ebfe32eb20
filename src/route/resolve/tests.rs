use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use proptest::prelude::*;

use super::{Resolved, RouteError};
use crate::identity::Name;
use crate::request::{CanonicalPath, Host, PathForms, testing};
use crate::route::{
    Authorization, Cors, HeaderCondition, HostPattern, Meant, Methods, OwnEndpoint, PathPattern, Route, Routes,
};

pub(in crate::route) fn route(name: &str, host: &str, path: &str, methods: &[Method]) -> Route {
    Route {
        name: Name::new(name),
        host: HostPattern::parse(host).unwrap(),
        path: PathPattern::parse(path).unwrap(),
        methods: if methods.is_empty() { Methods::Any } else { Methods::These(methods.to_vec()) },
        headers: Vec::new(),
        upstream: Name::new("echo"),
        prefix_rewrite: None,
        tokens: vec![Name::new("corp")],
        conceal: false,
        admits: PathForms::NONE,
        authorization: Authorization::Take,
        binding: None,
        cors: None,
    }
}

/// Routes on one host, named by their path.
fn routes(paths: &[&str]) -> Routes {
    Routes::new(paths.iter().map(|path| route(path, "a.example", path, &[])).collect()).unwrap()
}

fn find(routes: &Routes, path: &str) -> Result<String, RouteError> {
    let (host, path) = (Host::parse("a.example").unwrap(), CanonicalPath::parse(path).unwrap());
    let Meant { route, params, .. } = routes.find(&host, &path, &Method::GET, &HeaderMap::new())?;
    let params: String = params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    Ok(format!("{}{params}", route.name))
}

fn resolve(routes: &Routes, request: http::request::Builder) -> Result<Resolved, RouteError> {
    routes.resolve(testing::intake(request.body(()).unwrap()).unwrap())
}

#[test]
fn a_literal_wins_over_a_parameter_and_a_parameter_over_a_tail() {
    let routes = routes(&[
        "/",
        "/{rest...}",
        "/v1/",
        "/v1/{id}",
        "/v1/me",
        "/v1/{id}/x",
        "/v1/me/{what}",
        "/v1/{id}/x/{more...}",
        "/v1/a/b/c",
        "/f/*/g/**",
    ]);
    for (path, expected) in [
        ("/", "/"),
        ("/x", "/{rest...} rest=x"),
        ("/x/", "/{rest...} rest=x/"),
        ("/v1", "/{rest...} rest=v1"),
        ("/v1/", "/v1/"),
        ("/v1/7", "/v1/{id} id=7"),
        ("/v1/7/", "/{rest...} rest=v1/7/"),
        ("/v1/me", "/v1/me"),
        ("/v1/%6de", "/v1/me"),
        ("/v1/ME", "/v1/{id} id=ME"),
        ("/v1/7/x", "/v1/{id}/x id=7"),
        ("/v1/me/x", "/v1/me/{what} what=x"),
        ("/v1/me/x/y", "/v1/{id}/x/{more...} id=me more=y"),
        ("/v1/7/x/", "/v1/{id}/x/{more...} id=7 more="),
        ("/v1/a/b/c", "/v1/a/b/c"),
        ("/v1/a/b/d", "/{rest...} rest=v1/a/b/d"),
        ("/v1/a%20b", "/v1/{id} id=a b"),
        ("/f/1/g/2/3", "/f/*/g/**"),
        ("/f/1/g", "/{rest...} rest=f/1/g"),
    ] {
        assert_eq!(find(&routes, path).unwrap(), expected, "{path}");
    }
}

#[test]
fn a_tail_is_the_slash_and_below_and_a_parameter_is_one_segment_that_is_not_empty() {
    let routes = routes(&["/x/{rest...}", "/p/{id}"]);
    assert_eq!(find(&routes, "/x/").unwrap(), "/x/{rest...} rest=");
    for path in ["/x", "/xy", "/xy/", "/p", "/p/", "/p/a/", "/p/a/b", "/"] {
        assert_eq!(find(&routes, path), Err(RouteError::Unknown), "{path}");
    }
}

#[test]
fn other_scripts_are_compared_decoded() {
    let routes = routes(&["/stra\u{df}e/{x}", "/a%20b"]);
    assert_eq!(find(&routes, "/stra%C3%9fe/%e2%82%ac").unwrap(), "/stra\u{df}e/{x} x=\u{20ac}");
    assert_eq!(find(&routes, "/a%20b").unwrap(), "/a%20b");
    assert_eq!(find(&routes, "/a+b"), Err(RouteError::Unknown));
}

#[test]
fn a_host_is_owned_by_its_most_specific_pattern() {
    let routes =
        Routes::new(vec![route("exact", "a.example", "/exact", &[]), route("wild", "*.example", "/{rest...}", &[])])
            .unwrap();
    let lead = |host: &str, path: &str| {
        let (host, path) = (Host::parse(host).unwrap(), CanonicalPath::parse(path).unwrap());
        routes.find(&host, &path, &Method::GET, &HeaderMap::new()).map(|meant| meant.route.name.to_string())
    };
    assert_eq!(lead("a.example", "/exact"), Ok("exact".into()));
    assert_eq!(lead("b.example", "/exact"), Ok("wild".into()));
    assert_eq!(lead("a.example", "/other"), Err(RouteError::Unknown), "no falling through to the wider pattern");
    assert_eq!(lead("a.b.example", "/exact"), Err(RouteError::Unknown));
    assert_eq!(lead("example", "/exact"), Err(RouteError::Unknown));
}

#[test]
fn a_wrong_method_is_told_what_is_allowed_and_whether_to_hide_it() {
    let hidden = Route { conceal: true, ..route("hidden", "a.example", "/h", &[Method::GET]) };
    let routes = Routes::new(vec![
        route("read", "a.example", "/x", &[Method::GET, Method::HEAD]),
        route("write", "a.example", "/x", &[Method::PUT]),
        hidden,
    ])
    .unwrap();
    let ask = |method: Method, path: &str| {
        resolve(&routes, Request::builder().method(method).uri(path).header("host", "a.example")).map(|resolved| {
            match resolved {
                Resolved::Route(routed) => routed.route().name.to_string(),
                Resolved::Own(own) => format!("{own:?}"),
            }
        })
    };
    assert_eq!(ask(Method::PUT, "/x"), Ok("write".into()));
    assert_eq!(ask(Method::HEAD, "/x"), Ok("read".into()));
    assert_eq!(
        ask(Method::HEAD, "/h").unwrap_err(),
        RouteError::Method { allow: HeaderValue::from_static("GET"), route: Name::new("hidden"), conceal: true }
    );
    for method in [Method::POST, Method::OPTIONS] {
        let Err(RouteError::Method { allow, conceal: false, .. }) = ask(method, "/x") else { panic!("405") };
        assert_eq!(allow, "GET, HEAD, PUT");
    }
}

#[test]
fn header_conditions_choose_among_routes_of_one_path() {
    let when = |name, path: &str, methods: &[Method], fields: &[(&'static str, &'static str)]| Route {
        headers: fields
            .iter()
            .map(|(name, value)| HeaderCondition {
                name: HeaderName::from_static(name),
                value: HeaderValue::from_static(value),
            })
            .collect(),
        ..route(name, "a.example", path, methods)
    };
    let routes = Routes::new(vec![
        when("plain", "/x", &[], &[]),
        when("two", "/x", &[Method::GET], &[("x-version", "2")]),
        when("three", "/x", &[Method::GET], &[("x-version", "3")]),
        when("two-beta", "/x", &[Method::GET], &[("x-version", "2"), ("x-beta", "1")]),
        when("only", "/only", &[Method::GET], &[("x-version", "2")]),
    ])
    .unwrap();
    let ask = |method: Method, path: &str, fields: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path).header("host", "a.example");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match resolve(&routes, request) {
            Ok(Resolved::Route(routed)) => routed.route().name.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(ask(Method::GET, "/x", &[]), "plain");
    assert_eq!(ask(Method::GET, "/x", &[("x-version", "1")]), "plain");
    assert_eq!(ask(Method::GET, "/x", &[("x-version", "2")]), "two");
    assert_eq!(ask(Method::GET, "/x", &[("x-version", "3"), ("x-beta", "1")]), "three");
    assert_eq!(ask(Method::GET, "/x", &[("x-version", "2"), ("x-beta", "1")]), "two-beta");
    assert_eq!(ask(Method::POST, "/x", &[("x-version", "2")]), "plain");
    assert_eq!(ask(Method::GET, "/x", &[("x_version", "2"), ("x-version", "2")]), "two");
    for other in ["x-version", "x_version", "X.Version"] {
        let answer = ask(Method::GET, "/x", &[("x-version", "1"), (other, "2")]);
        assert!(answer.contains("Header"), "the service may take the second for the version: {answer}");
    }
    assert_eq!(ask(Method::GET, "/only", &[]), "Err(Unknown)");
    assert_eq!(ask(Method::POST, "/only", &[]), "Err(Unknown)");
    assert!(ask(Method::POST, "/only", &[("x-version", "2")]).contains("Method"));
}

#[test]
fn routes_that_nothing_tells_apart_overlap() {
    let with = |value: &'static str, route: Route| Route {
        headers: vec![HeaderCondition { name: HeaderName::from_static("x-v"), value: HeaderValue::from_static(value) }],
        ..route
    };
    let get = |name: &str, path: &str| route(name, "a.example", path, &[Method::GET]);
    let overlap = |routes: Vec<Route>| Routes::new(routes).err().map(|overlaps| overlaps.len()).unwrap_or_default();
    assert_eq!(overlap(vec![get("a", "/x/{a}"), get("b", "/x/{b}")]), 1);
    assert_eq!(overlap(vec![get("a", "/x/{a}"), get("b", "/x/*")]), 1);
    assert_eq!(overlap(vec![get("a", "/x/{a...}"), get("b", "/x/**")]), 1);
    assert_eq!(overlap(vec![get("a", "/%61"), get("b", "/a")]), 1);
    assert_eq!(overlap(vec![get("a", "/x"), route("b", "A.example.", "/x", &[])]), 1);
    assert_eq!(overlap(vec![get("a", "/x"), get("b", "/x"), get("c", "/x")]), 2);
    assert_eq!(overlap(vec![with("1", get("a", "/x")), with("1", get("b", "/x"))]), 1);
    for apart in [
        vec![get("a", "/x"), route("b", "a.example", "/x", &[Method::PUT])],
        vec![get("a", "/x"), route("b", "*.example", "/x", &[])],
        vec![get("a", "/x"), get("b", "/x/")],
        vec![get("a", "/x/{a}"), get("b", "/x/{a...}"), get("c", "/x/y")],
        vec![get("a", "/{a}/y"), get("b", "/x/{b}")],
        vec![get("a", "/x"), with("1", get("b", "/x")), with("2", get("c", "/x"))],
    ] {
        assert_eq!(overlap(apart), 0);
    }
    let error = Routes::new(vec![get("first", "/x"), get("second", "/x")]).unwrap_err().remove(0);
    assert_eq!(error.to_string(), "the routes `first` and `second` overlap: same host, same path, a method in common");
    assert_eq!(error.places, (0, 1));
}

#[test]
fn a_form_that_is_not_admitted_is_the_same_refusal_whether_a_route_is_there_or_not() {
    let hidden = Route { conceal: true, ..route("hidden", "a.example", "/h/{rest...}", &[]) };
    let slash = PathForms { encoded_slash: true, ..PathForms::NONE };
    let admitting = Route { admits: slash, ..route("raw", "a.example", "/raw/{x}", &[Method::GET]) };
    let routes = Routes::new(vec![hidden, admitting]).unwrap();
    for path in ["/h/a%2Fb", "/nowhere/a%2Fb", "/raw/a;b", "/raw/a%2Fb;c"] {
        assert!(matches!(find(&routes, path), Err(RouteError::Path { .. })), "{path}");
    }
    assert_eq!(find(&routes, "/raw/a%2Fb").unwrap(), "raw x=a/b");
}

fn metadata(routes: &Routes, method: Method, path: &str) -> String {
    match resolve(routes, Request::builder().method(method).uri(path).header("host", "A.example:8443")) {
        Ok(Resolved::Own(OwnEndpoint::ProtectedResource(resource))) => {
            let tokens: Vec<_> = resource.tokens.iter().map(Name::as_str).collect();
            format!("{} {:?} {:?} {}", resource.host, resource.port, resource.path, tokens.join(","))
        }
        Ok(Resolved::Own(other)) => format!("{other:?}"),
        Ok(Resolved::Route(routed)) => format!("route {}", routed.route().name),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn metadata_is_the_gateways_own_and_never_goes_upstream() {
    let with = |tokens: &[&'static str], route: Route| Route {
        tokens: tokens.iter().map(|name| Name::new(*name)).collect(),
        ..route
    };
    let routes = Routes::new(vec![
        with(&["corp"], route("v1", "a.example", "/v1/{rest...}", &[])),
        with(&["partners", "corp"], route("v2", "a.example", "/v2", &[])),
        Route { conceal: true, ..with(&["secret"], route("hidden", "a.example", "/hidden", &[])) },
        with(&[], route("open", "a.example", "/{rest...}", &[])),
    ])
    .unwrap();
    let own = "/.well-known/oauth-protected-resource";
    let get = |path: &str| metadata(&routes, Method::GET, path);
    assert_eq!(get(own), "a.example Some(8443) \"\" corp,partners");
    assert_eq!(metadata(&routes, Method::HEAD, own), get(own));
    assert_eq!(get(&format!("{own}?x=y")), get(own));
    assert_eq!(get("/%2ewell-known/%6fauth-protected-resource"), get(own));
    assert_eq!(get(&format!("{own}/v2")), "a.example Some(8443) \"/v2\" corp,partners");
    assert_eq!(get(&format!("{own}/v1/x/y")), "a.example Some(8443) \"/v1/x/y\" corp");
    for path in ["/hidden", "/nothing", "/", "//v2", "/v2;x", "/v1/%2F"] {
        assert_eq!(get(&format!("{own}{path}")), "Unknown", "{path}");
    }
    assert!(metadata(&routes, Method::POST, own).contains("GET, HEAD"));
    assert_eq!(get("/.well-known/other"), "route open");
    assert_eq!(get("/.well-known/oauth-protected-resourcex"), "route open");
    let bare = Routes::new(vec![with(&[], route("open", "a.example", "/{rest...}", &[]))]).unwrap();
    assert_eq!(metadata(&bare, Method::GET, own), "Unknown");
}

#[test]
fn preflights_are_answered_where_a_route_says_so_and_nowhere_else() {
    let cors = Cors {
        origins: vec![Cors::parse_origin("https://app.example").unwrap()],
        headers: vec![http::header::AUTHORIZATION],
        credentials: true,
        max_age: 600,
    };
    let routes = Routes::new(vec![
        Route { cors: Some(cors.clone()), ..route("cors", "a.example", "/cors", &[Method::PUT]) },
        Route { cors: Some(cors), conceal: true, ..route("hidden", "a.example", "/hidden", &[Method::PUT]) },
        route("plain", "a.example", "/plain", &[Method::PUT, Method::OPTIONS]),
    ])
    .unwrap();
    let ask = |path: &str, origin: &str, method: &str| {
        let request = Request::options(path)
            .header("host", "a.example")
            .header("origin", origin)
            .header("access-control-request-method", method);
        resolve(&routes, request)
    };
    let Ok(Resolved::Own(OwnEndpoint::Preflight { route, headers })) = ask("/cors", "https://app.example", "PUT")
    else {
        panic!("a preflight")
    };
    assert_eq!(route.name.as_str(), "cors");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(headers[name], value);
    }
    for origin in ["https://app.example.evil", "https://APP.example", "null", "http://app.example"] {
        let Ok(Resolved::Own(OwnEndpoint::Preflight { headers, .. })) = ask("/cors", origin, "PUT") else {
            panic!("204")
        };
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["vary"], "{origin}");
    }
    assert!(matches!(ask("/cors", "https://app.example", "GET"), Err(RouteError::Method { .. })));
    assert!(matches!(ask("/plain", "https://app.example", "PUT"), Ok(Resolved::Route(_))));
    let hidden = ask("/hidden", "https://app.example", "PUT");
    assert!(matches!(hidden, Err(RouteError::Method { conceal: true, .. })), "a preflight would tell of it");
    let bare = Request::options("/cors").header("host", "a.example");
    assert!(matches!(resolve(&routes, bare), Err(RouteError::Method { .. })), "OPTIONS without being a preflight");
}

/// The same answer, found the slow way: every pattern against every segment, the best by comparing kinds from the left.
fn by_hand<'r>(patterns: &'r [String], path: &str) -> Option<&'r String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let rank = |pattern: &str| -> Option<Vec<u8>> {
        let parts: Vec<&str> = pattern.split('/').skip(1).collect();
        let mut ranks = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            if *part == "**" {
                return (place < segments.len()).then(|| [ranks, vec![2]].concat());
            }
            let segment = segments.get(place)?;
            match *part {
                "*" if segment.is_empty() => return None,
                "*" => ranks.push(1),
                literal if literal == *segment => ranks.push(0),
                _ => return None,
            }
        }
        (parts.len() == segments.len()).then_some(ranks)
    };
    patterns.iter().filter_map(|pattern| Some((rank(pattern)?, pattern))).min().map(|(_, pattern)| pattern)
}

fn pattern() -> impl Strategy<Value = String> {
    let inner = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*"]), 0..4);
    let last = prop::sample::select(vec!["a", "b", "*", "**", ""]);
    (inner, last).prop_map(|(inner, last)| format!("/{}", [inner, vec![last]].concat().join("/")))
}

proptest! {
    #[test]
    fn the_tree_finds_what_a_search_of_all_routes_finds(
        patterns in prop::collection::btree_set(pattern(), 1..20),
        paths in prop::collection::vec("/([abcd]/){0,4}[abcd]?", 1..20),
    ) {
        let patterns: Vec<_> = BTreeSet::into_iter(patterns).collect();
        let tree = routes(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        for path in paths {
            prop_assert_eq!(find(&tree, &path).ok(), by_hand(&patterns, &path).cloned(), "{}", path);
        }
    }
}

#[test]
fn the_keys_of_assertions_are_on_one_listener_and_nothing_else_has_their_name() {
    let all = || Routes::new(vec![route("all", "a.example", "/{rest...}", &[])]).unwrap();
    let path = "/.well-known/portcullis/jwks.json";
    assert_eq!(metadata(&all(), Method::GET, path), "Unknown");
    let listener = |name: &'static str| all().publishing_keys_on(Some(Name::new(name)));
    assert_eq!(metadata(&listener("elsewhere"), Method::GET, path), "Unknown");
    let here = listener("test");
    assert_eq!(metadata(&here, Method::GET, path), "AssertionKeys");
    assert!(metadata(&here, Method::POST, path).starts_with("Method"));
    for other in ["/.well-known/portcullis/", "/.well-known/portcullis", "/.well-known/portcullis/jwks.json/x"] {
        assert_eq!(metadata(&here, Method::GET, other), "Unknown", "{other}");
    }
    assert_eq!(metadata(&here, Method::GET, "/.well-known/other"), "route all");
}
