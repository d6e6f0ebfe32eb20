use http::{HeaderMap, HeaderValue, Request, StatusCode};
use jiff::Timestamp;

use super::super::{Fault, Verdict};
use super::{render, trailers};
use crate::identity::Reason;
use crate::request::{AnswerStyle, Arrival, RequestId};
use crate::upstream::StreamError;

fn verdict(advice: Option<&str>) -> Verdict {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("1"));
    Verdict {
        status: StatusCode::FORBIDDEN,
        reason: Reason::DeniedByRule,
        recorded: Reason::DeniedByRule,
        fault: Fault::Client,
        headers,
        advice: advice.map(Into::into),
    }
}

fn id() -> RequestId {
    Arrival::of(&Request::new(()), Timestamp::UNIX_EPOCH).id
}

#[test]
fn machines_get_problem_details_with_reason_and_request_id() {
    let id = id();
    let response = render(&verdict(None), AnswerStyle::Problem, &id);
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["retry-after"], "1");
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["reason"], "denied-by-rule");
    assert_eq!(problem["status"], 403);
    assert_eq!(problem["instance"], format!("urn:portcullis:request:{id}"));
    assert!(problem.get("advice").is_none());
}

#[test]
fn people_get_a_page_in_which_advice_is_escaped() {
    let id = id();
    let response = render(&verdict(Some("<script>alert(1)</script> & write to it-help")), AnswerStyle::Page, &id);
    let page = std::str::from_utf8(response.body()).unwrap();
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script"), "{page}");
    assert!(page.contains(&id.to_string()) && page.contains("denied-by-rule"));
    assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
}

#[test]
fn grpc_gets_trailers_only() {
    let response = render(&verdict(None), AnswerStyle::Grpc, &id());
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "7");
    assert!(response.body().is_empty());
}

#[test]
fn a_grpc_call_that_breaks_off_ends_with_the_status_of_a_refusal() {
    let deadline = crate::upstream::Deadline::Idle;
    for (error, status, message) in [
        (StreamError::LeaseEnded(Reason::TokenExpired), "16", "token-expired ("),
        (StreamError::LeaseEnded(Reason::DeniedByRule), "7", "denied-by-rule ("),
        (StreamError::Timeout(deadline), "4", "upstream-timeout ("),
        (StreamError::TooLarge { limit: 1 }, "3", "body-too-large ("),
    ] {
        let fields = trailers(&error, &id());
        assert_eq!(fields["grpc-status"], status);
        assert!(fields["grpc-message"].to_str().unwrap().starts_with(message), "{fields:?}");
    }
}
