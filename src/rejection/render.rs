//! One refusal in three forms: problem details for machines (RFC 9457), a page for people, trailers for gRPC.

use askama::Template;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Verdict;
use super::verdict::broken_off;
use crate::identity::Reason;
use crate::request::{AnswerStyle, RequestId};
use crate::upstream::StreamError;

/// Renders the answer to a refused request. The body is short and constant but for the request id and the advice that
/// the policy's author wrote.
pub fn render(verdict: &Verdict, style: AnswerStyle, id: &RequestId) -> Response<Bytes> {
    let mut response = match style {
        AnswerStyle::Problem => problem(verdict, id),
        AnswerStyle::Page => page(verdict, id),
        AnswerStyle::Grpc => grpc(verdict, id),
    };
    let headers = response.headers_mut();
    headers.extend(verdict.headers.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", id);
    }
    response
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
}

fn problem(verdict: &Verdict, id: &RequestId) -> Response<Bytes> {
    let problem = Problem {
        r#type: format!("urn:portcullis:reason:{}", verdict.reason),
        title: title(verdict.status),
        status: verdict.status.as_u16(),
        detail: verdict.reason.summary(),
        instance: format!("urn:portcullis:request:{id}"),
        reason: verdict.reason.code(),
        advice: verdict.advice.as_deref(),
    };
    let mut body = serde_json::to_vec(&problem).unwrap_or_default();
    body.push(b'\n'); // so that a terminal's prompt starts on a line of its own
    answer(verdict.status, "application/problem+json", body.into())
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    status: u16,
    title: &'a str,
    summary: &'a str,
    advice: Option<&'a str>,
    next: &'a str,
    code: &'a str,
    id: String,
}

fn page(verdict: &Verdict, id: &RequestId) -> Response<Bytes> {
    let page = Page {
        status: verdict.status.as_u16(),
        title: title(verdict.status),
        summary: verdict.reason.summary(),
        advice: verdict.advice.as_deref(),
        next: next_step(verdict.status),
        code: verdict.reason.code(),
        id: id.to_string(),
    };
    // A page that cannot be rendered still answers with its status.
    let body = page.render().unwrap_or_default();
    let mut response = answer(verdict.status, "text/html; charset=utf-8", body.into());
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A gRPC refusal is "trailers only": status 200, no body, the gRPC status in the header block.
fn grpc(verdict: &Verdict, id: &RequestId) -> Response<Bytes> {
    let mut response = answer(StatusCode::OK, "application/grpc", Bytes::new());
    response.headers_mut().extend(call_status(verdict.status, verdict.reason, id));
    response
}

/// The end of a gRPC call that breaks off in mid-stream: what a refusal for the same reason would have said.
pub fn trailers(error: &StreamError, id: &RequestId) -> HeaderMap {
    call_status(broken_off(error), error.reason(), id)
}

fn call_status(status: StatusCode, reason: Reason, id: &RequestId) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from_static(grpc_status(status)));
    // Percent-encoding is not needed: codes and ids are plain ASCII.
    if let Ok(message) = HeaderValue::from_str(&format!("{reason} ({id})")) {
        fields.insert("grpc-message", message);
    }
    fields
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.headers_mut() = headers;
    response
}

/// The gRPC status for an HTTP status (grpc's HTTP mapping, with 403 and 404 told apart).
fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 405 | 413 | 421 => "3",
        401 => "16",
        403 => "7",
        404 => "5",
        408 | 504 => "4",
        500 => "13",
        _ => "14",
    }
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "This request is not understood",
        401 => "Sign-in needed",
        403 => "You have no access to this",
        404 => "There is nothing at this address",
        405 => "This is not possible here",
        408 => "The request took too long",
        413 => "The request is too large",
        421 => "Please open a new connection",
        502 => "The service did not answer properly",
        503 => "The service is not available right now",
        504 => "The service took too long",
        _ => "Something went wrong",
    }
}

fn next_step(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Send a valid credential with the request.",
        403 => "If you think that you should have access, tell your administrator the request number below.",
        404 => "Look at the address once more.",
        408 | 502 | 503 | 504 => {
            "Try again in a moment. If it lasts, tell your administrator the request number below."
        }
        _ => "If this lasts, tell your administrator the request number below.",
    }
}

#[cfg(test)]
mod tests;
