use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Request};
use proptest::prelude::*;

use super::{CredentialError, DPOP, Presented, extract};
use crate::credential::Credential;
use crate::identity::Name;
use crate::request::{PathForms, testing};
use crate::route::{Authorization, HostPattern, Methods, PathPattern, Resolved, Route, Routed, Routes};

/// Routes that admit every path that intake lets in.
fn routes(authorization: Authorization) -> Routes {
    let every = PathForms { encoded_slash: true, semicolon: true, empty_segments: true };
    let route = Route {
        name: Name::new("all"),
        host: HostPattern::Every,
        path: PathPattern::parse("/{rest...}").unwrap(),
        methods: Methods::Any,
        headers: Vec::new(),
        upstream: Name::new("echo"),
        prefix_rewrite: None,
        tokens: Vec::new(),
        conceal: false,
        admits: every,
        authorization,
        binding: None,
        cors: None,
    };
    Routes::new(vec![route]).unwrap()
}

fn routed(request: Request<()>, authorization: Authorization) -> Option<Routed> {
    match routes(authorization).resolve(testing::intake(request).ok()?).ok()? {
        Resolved::Route(routed) => Some(routed),
        Resolved::Own(_) => None,
    }
}

fn present(fields: &[(&'static str, &str)], authorization: Authorization) -> Result<Presented, CredentialError> {
    let mut request = Request::get("/").header("host", "a.example").body(()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    extract(routed(request, authorization).unwrap())
}

const SECRETS: &[(&str, &str)] =
    &[("authorization", "DPoP canary-token"), ("dpop", "canary.proof.x"), ("proxy-authorization", "Basic canary")];

#[test]
fn the_credential_leaves_the_request_and_is_never_shown() {
    let presented = present(SECRETS, Authorization::Take).unwrap();
    assert!(!format!("{:?}", presented.credential()).contains("canary"));
    let (routed, credential) = presented.into_parts();
    let Some(Credential::Dpop { token, proof }) = credential else { panic!("a DPoP credential") };
    assert_eq!((token.expose(), proof.expose()), ("canary-token", "canary.proof.x"));
    assert!(!format!("{routed:?}").contains("canary"));
    let (head, _, _) = routed.into_parts().0.into_parts();
    for name in [AUTHORIZATION, DPOP, PROXY_AUTHORIZATION] {
        assert!(!head.headers.contains_key(name));
    }
}

#[test]
fn a_route_that_passes_authorization_on_touches_nothing_and_takes_nothing() {
    let twice = [SECRETS, &[("authorization", "Basic two")]].concat();
    let presented = present(&twice, Authorization::Pass).unwrap();
    assert!(presented.credential().is_none());
    let headers: &HeaderMap = presented.routed().request().headers();
    assert_eq!(headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["DPoP canary-token", "Basic two"]);
    assert_eq!(headers[DPOP], "canary.proof.x");
}

#[test]
fn no_credential_is_anonymous_and_an_empty_one_is_not() {
    assert!(present(&[], Authorization::Take).unwrap().credential().is_none());
    assert!(present(&[("proxy-authorization", "Basic x")], Authorization::Take).unwrap().credential().is_none());
    for empty in ["", "Bearer", "Bearer=", "="] {
        let got = present(&[("authorization", empty)], Authorization::Take);
        assert_eq!(got.unwrap_err(), CredentialError::Malformed, "{empty}");
    }
}

proptest! {
    /// Any target and any method that get as far as a decision are forwarded byte for byte as they were decided on.
    #[test]
    fn what_was_resolved_is_byte_for_byte_what_is_forwarded(
        path in "(/|/[a-zA-Z0-9._~!$&'()*+,=:@|;%\\[\\]-]{0,6}|/%[0-9a-fA-F]{2}){1,6}",
        query in prop::option::of("[!$-~]{0,20}"),
        method in "[A-Z]{1,8}",
        host in "[a-zA-Z]{1,8}(\\.[a-z]{1,8}){0,2}\\.?(:[1-9][0-9]{0,3})?",
    ) {
        let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let request = Request::builder().method(method.as_str()).uri(&target).header("host", &host).body(());
        let Ok(request) = request else { return Ok(()) };
        let Some(Ok(presented)) = routed(request, Authorization::Take).map(extract) else { return Ok(()) };
        let (routed, _) = presented.into_parts();
        let (decided_path, decided_query) = (routed.request().path().to_string(), routed.request().query().map(String::from));
        let (decided_host, port) = (routed.request().host().to_string(), routed.request().port());
        let tail = percent_encoding::percent_decode_str(path.strip_prefix('/').unwrap()).decode_utf8().unwrap().into_owned();
        prop_assert_eq!(routed.params().get("rest"), Some(tail.as_str()));
        let (head, _, _) = routed.into_parts().0.into_parts();
        let forwarded = head.uri.to_string();
        prop_assert_eq!(&forwarded, &target);
        prop_assert_eq!(forwarded, decided_query.map_or(decided_path.clone(), |query| format!("{decided_path}?{query}")));
        prop_assert_eq!(head.method.as_str(), method);
        let stated = port.map_or(decided_host.clone(), |port| format!("{decided_host}:{port}"));
        prop_assert_eq!(head.headers.get_all("host").iter().collect::<Vec<_>>(), [stated.as_str()]);
    }

    #[test]
    fn any_bytes_are_a_credential_or_an_error(authorization in any::<Vec<u8>>(), proof in any::<Option<Vec<u8>>>()) {
        let Ok(authorization) = HeaderValue::from_bytes(&authorization) else { return Ok(()) };
        let proof = proof.and_then(|proof| HeaderValue::from_bytes(&proof).ok());
        if let Ok(credential) = Credential::parse(&authorization, proof.as_ref()) {
            prop_assert!(credential.token().expose().bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn a_token_is_taken_verbatim(token in "[A-Za-z0-9._~+/-]{1,40}={0,3}", scheme in "[bB][eE][aA][rR][eE][rR]") {
        let credential = Credential::parse(&HeaderValue::from_str(&format!("{scheme} {token}")).unwrap(), None).unwrap();
        prop_assert_eq!(credential.token().expose(), token);
    }
}
