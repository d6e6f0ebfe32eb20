//! What is noted of a request before anything is asked of it, so that a refusal can be answered and recorded.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;

use super::{Field, Fields, RequestId, TraceContext};

/// Fetch Metadata: what a browser says about why it asks.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// One request as it arrived. Nothing here has been judged: for answers and records, never for a decision.
#[derive(Clone)]
pub struct Arrival {
    /// Its number.
    pub id: RequestId,
    /// How a refusal must look.
    pub style: AnswerStyle,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// The method as it was sent.
    pub method: Method,
    /// When it arrived, for durations.
    pub started: Instant,
    /// When it arrived, for records.
    pub at: Timestamp,
    /// Which fields it came with.
    pub(super) fields: Fields,
    /// As the header field states it, where the target does not.
    host: Option<HeaderValue>,
    target: Uri,
}

/// How a refusal must look, so that whoever asked can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerStyle {
    /// A page for a person: a browser navigates.
    Page,
    /// RFC 9457 problem details.
    Problem,
    /// `grpc-status` in the trailers.
    Grpc,
}

impl Arrival {
    /// Notes what arrived at the time `at`.
    pub fn of<B>(request: &http::Request<B>, at: Timestamp) -> Self {
        let headers = request.headers();
        let target = request.uri().clone();
        let fields = Fields::of(headers);
        Self {
            id: RequestId::random(),
            style: AnswerStyle::of(headers, fields),
            trace: TraceContext::of(headers, fields),
            method: request.method().clone(),
            started: Instant::now(),
            at,
            fields,
            host: headers.get(HOST).cloned(),
            target,
        }
    }

    /// The host as it was stated: not checked, and with whatever bytes the client sent.
    pub fn stated_host(&self) -> Option<Cow<'_, str>> {
        let target = self.target.authority().map(|authority| authority.as_str().as_bytes());
        let stated = target.or_else(|| self.host.as_ref().map(HeaderValue::as_bytes))?;
        Some(std::str::from_utf8(stated).map_or_else(|_| String::from_utf8_lossy(stated), Cow::Borrowed))
    }

    /// The path as it was stated, never the query.
    pub fn stated_path(&self) -> &str {
        self.target.path()
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} {}", self.id, self.method, self.stated_host(), self.stated_path())
    }
}

impl AnswerStyle {
    /// Reads the style off the header fields (Fetch Metadata; gRPC over HTTP/2).
    fn of(headers: &HeaderMap, fields: Fields) -> Self {
        let starts_with = |value: &[u8], prefix: &[u8]| {
            value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let of_grpc = |value: &HeaderValue| starts_with(value.as_bytes(), b"application/grpc");
        if fields.has(Field::ContentType) && headers.get(CONTENT_TYPE).is_some_and(of_grpc) {
            return Self::Grpc;
        }
        let navigates = if fields.has(Field::SecFetchMode) {
            headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode.as_bytes() == b"navigate")
        } else {
            let fetches = fields.has(Field::SecFetchSite) || fields.has(Field::SecFetchDest);
            !fetches && fields.has(Field::Accept) && headers.get_all(ACCEPT).iter().any(accepts_page)
        };
        if navigates { Self::Page } else { Self::Problem }
    }
}

fn accepts_page(accept: &http::HeaderValue) -> bool {
    accept.as_bytes().split(|byte| *byte == b',').any(|item| {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        parts.next().is_some_and(|range| range.eq_ignore_ascii_case(b"text/html"))
            && !parts.any(|parameter| parameter == b"q=0")
    })
}

#[cfg(test)]
mod tests {
    use http::Request;
    use jiff::Timestamp;

    use super::{AnswerStyle, Arrival};

    fn arrival(fields: &[(&str, &str)]) -> Arrival {
        let mut request = Request::get("/a?access_token=canary").body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        Arrival::of(&request, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_browser_that_navigates_gets_a_page_grpc_a_status_and_all_others_a_problem() {
        for (fields, style) in [
            (&[][..], AnswerStyle::Problem),
            (&[("accept", "*/*")], AnswerStyle::Problem),
            (&[("accept", "application/json, text/html;q=0")], AnswerStyle::Problem),
            (&[("accept", "application/xhtml+xml, TEXT/html;q=0.9")], AnswerStyle::Page),
            (&[("accept", "text/html"), ("sec-fetch-mode", "cors")], AnswerStyle::Problem),
            (&[("accept", "text/html"), ("sec-fetch-site", "same-origin")], AnswerStyle::Problem),
            (&[("accept", "*/*"), ("sec-fetch-mode", "navigate")], AnswerStyle::Page),
            (&[("content-type", "application/grpc+proto"), ("accept", "text/html")], AnswerStyle::Grpc),
            (&[("content-type", "Application/gRPC-web")], AnswerStyle::Grpc),
        ] {
            assert_eq!(arrival(fields).style, style, "{fields:?}");
        }
    }

    #[test]
    fn an_arrival_shows_the_path_but_never_the_query() {
        let arrival = arrival(&[("host", "a.example")]);
        assert_eq!((arrival.stated_host().as_deref(), arrival.stated_path()), (Some("a.example"), "/a"));
        assert!(!format!("{arrival:?}").contains("canary"));
    }
}
