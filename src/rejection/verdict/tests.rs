use std::collections::HashSet;
use std::time::Duration;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::super::{Fault, Rejection};
use crate::authn::{AuthnError, BindingFault, DpopFault};
use crate::credential::CredentialError;
use crate::identity::{Name, PeerRefusal, Reason};
use crate::request::{IntakeError, PathForms};
use crate::route::RouteError;
use crate::upstream::{ForwardError, NotExchanged};

fn every_authn_error() -> Vec<AuthnError> {
    let retry_after = Duration::from_secs(7);
    vec![
        AuthnError::Certificate(PeerRefusal::Expired),
        AuthnError::Malformed,
        AuthnError::TooLarge,
        AuthnError::Type,
        AuthnError::Algorithm,
        AuthnError::Critical,
        AuthnError::Source,
        AuthnError::KeyUnknown,
        AuthnError::Signature,
        AuthnError::Issuer,
        AuthnError::Audience,
        AuthnError::Expired,
        AuthnError::NotYetValid,
        AuthnError::Lifetime,
        AuthnError::Claim("exp"),
        AuthnError::Inactive,
        AuthnError::Revoked,
        AuthnError::Binding(BindingFault::Unbound),
        AuthnError::Dpop(DpopFault::Time),
        AuthnError::DpopReplayed,
        AuthnError::DpopNonce { nonce: "n1".into() },
        AuthnError::Flood,
        AuthnError::IssuerUnavailable { issuer: Name::new("corp"), retry_after },
        AuthnError::IntrospectionUnavailable { server: Name::new("as"), retry_after },
    ]
}

#[test]
fn every_failed_credential_has_a_reason_of_its_own_and_never_a_2xx() {
    let verdicts: Vec<_> = every_authn_error()
        .into_iter()
        .map(|error| Rejection::Authn(error).verdict(false, PathForms::NONE, Some("a.example")))
        .collect();
    let reasons: HashSet<_> = verdicts.iter().map(|verdict| verdict.reason).collect();
    assert_eq!(reasons.len(), verdicts.len());
    for verdict in verdicts {
        assert!(verdict.status.is_client_error() || verdict.status.is_server_error(), "{verdict:?}");
        assert_eq!(verdict.status == StatusCode::UNAUTHORIZED, verdict.headers.contains_key(WWW_AUTHENTICATE));
        let comes_back = verdict.fault == Fault::IdentityProvider || verdict.status == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(comes_back, verdict.headers.contains_key(RETRY_AFTER));
    }
}

#[test]
fn a_nonce_is_handed_over_with_the_refusal() {
    let verdict = Rejection::Authn(AuthnError::DpopNonce { nonce: "n1".into() }).verdict(false, PathForms::NONE, None);
    assert_eq!(verdict.headers["dpop-nonce"], "n1");
    assert!(verdict.headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("DPoP error=\"use_dpop_nonce\""));
}

#[test]
fn who_sends_a_bound_token_as_a_bearer_is_told_the_scheme() {
    for (fault, begins) in [
        (
            BindingFault::ProofMissing,
            "DPoP error=\"invalid_token\", algs=\"ES256 ES384 ES512 EdDSA Ed25519 PS256 RS256\"",
        ),
        (BindingFault::CertificateOther, "Bearer error=\"invalid_token\""),
    ] {
        let verdict = Rejection::Authn(AuthnError::Binding(fault)).verdict(false, PathForms::NONE, None);
        let challenge = verdict.headers[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with(begins), "{challenge}");
    }
}

#[test]
fn what_is_not_exchanged_is_the_identity_providers_fault_and_never_a_2xx() {
    for (error, status, reason, comes_back) in [
        (NotExchanged::Refused("invalid_target"), StatusCode::BAD_GATEWAY, Reason::ExchangeRefused, None),
        (
            NotExchanged::Unavailable(Duration::from_secs(7)),
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::ExchangeUnavailable,
            Some("7"),
        ),
    ] {
        let rejection = Rejection::Forward(ForwardError::NotExchanged { upstream: Name::new("app"), error });
        let verdict = rejection.verdict(false, PathForms::NONE, None);
        assert_eq!((verdict.status, verdict.reason, verdict.fault), (status, reason, Fault::IdentityProvider));
        assert_eq!(verdict.headers.get(RETRY_AFTER).map(|wait| wait.to_str().unwrap()), comes_back);
    }
}

#[test]
fn a_concealed_route_answers_as_if_it_were_not_there_and_the_record_keeps_the_truth() {
    let forms = PathForms { semicolon: true, ..PathForms::NONE };
    let answers = [
        (PathForms::NONE, RouteError::Unknown, StatusCode::NOT_FOUND),
        (forms, RouteError::Path { forms, route: None }, StatusCode::BAD_REQUEST),
    ];
    let method = RouteError::Method { allow: HeaderValue::from_static("GET"), route: Name::new("r"), conceal: true };
    let refusals = [
        (Rejection::Authn(AuthnError::Expired), true, Reason::TokenExpired),
        (Rejection::Credential(CredentialError::Ambiguous), true, Reason::CredentialAmbiguous),
        (Rejection::Route(method), false, Reason::MethodNotAllowed),
    ];
    for (forms, unknown, status) in answers {
        let unknown = Rejection::Route(unknown).verdict(false, forms, Some("a.example"));
        assert_eq!(unknown.status, status);
        for (rejection, conceal, recorded) in &refusals {
            let verdict = rejection.verdict(*conceal, forms, Some("a.example"));
            assert_eq!((verdict.status, verdict.reason), (unknown.status, unknown.reason));
            assert_eq!(verdict.headers, unknown.headers);
            assert_eq!(verdict.recorded, *recorded);
        }
    }
}

#[test]
fn a_wrong_method_tells_the_right_ones() {
    let error =
        RouteError::Method { allow: HeaderValue::from_static("GET, PUT"), route: Name::new("r"), conceal: false };
    let verdict = Rejection::Route(error).verdict(false, PathForms::NONE, None);
    assert_eq!((verdict.status.as_u16(), &verdict.headers[ALLOW]), (405, &HeaderValue::from_static("GET, PUT")));
}

#[test]
fn what_cannot_be_read_in_one_way_is_400() {
    for (error, reason) in
        [(IntakeError::Framing, Reason::FramingAmbiguous), (IntakeError::Method, Reason::MethodInvalid)]
    {
        let verdict = Rejection::Intake(error).verdict(false, PathForms::NONE, None);
        assert_eq!((verdict.status.as_u16(), verdict.reason), (400, reason));
    }
}

#[test]
fn our_own_faults_are_5xx_and_hidden_by_nothing() {
    assert_eq!(Rejection::Internal.verdict(true, PathForms::NONE, None).status, 500);
    assert_eq!(Rejection::AuditUnavailable.verdict(true, PathForms::NONE, None).status, 503);
}
