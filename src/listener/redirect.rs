//! A listener that only redirects: every GET and HEAD to the same address under `https` (RFC 9110 section 15.4.9).
//!
//! Anything else is refused and not redirected: its body and credentials went over the wire in the clear, and a client
//! that is redirected would never notice and do it again.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::request::{FragmentCutOff, Host};

/// Answers one request.
pub(super) fn answer<B>(request: &Request<B>, port: u16) -> Response<Full<Bytes>> {
    match location(request, port) {
        Some(location) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Some(_) => refusal(StatusCode::FORBIDDEN, "This address only redirects to https. Send the request there.\n"),
        None => refusal(StatusCode::BAD_REQUEST, "The request names no host or target, or one that is malformed.\n"),
    }
}

/// `None` when the host or the target could be read in more than one way.
fn location<B>(request: &Request<B>, port: u16) -> Option<HeaderValue> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (stated, None) = (hosts.next()?.as_bytes(), hosts.next()) else { return None };
    if request.uri().authority().is_some_and(|authority| authority.as_str().as_bytes() != stated) {
        return None;
    }
    let (host, _) = Host::parse_authority(stated).ok()?;
    let target = request.uri().path_and_query()?.as_str();
    if !target.starts_with('/') || request.extensions().get::<FragmentCutOff>().is_some() {
        return None;
    }
    let location = match port {
        443 => format!("https://{host}{target}"),
        _ => format!("https://{host}:{port}{target}"),
    };
    HeaderValue::try_from(location).ok()
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::LOCATION;

    use super::answer;

    fn redirected(method: &str, target: &str, hosts: &[&str], port: u16) -> (u16, Option<String>) {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let answer = answer(&request.body(()).unwrap(), port);
        let location = answer.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    }

    #[test]
    fn a_page_is_at_the_same_address_under_https() {
        let to = |location: &str| (308, Some(location.to_owned()));
        assert_eq!(redirected("GET", "/a?b=%2f", &["a.example"], 443), to("https://a.example/a?b=%2f"));
        assert_eq!(redirected("HEAD", "/", &["A.example:8080"], 8443), to("https://a.example:8443/"));
        assert_eq!(redirected("GET", "/", &["[2001:db8::1]:80"], 443), to("https://[2001:db8::1]/"));
    }

    #[test]
    fn what_carries_more_than_an_address_is_not_redirected() {
        assert_eq!(redirected("POST", "/", &["a.example"], 443), (403, None));
        for hosts in [&[][..], &["a.example", "b.example"], &["a.example/x"], &["a@b"], &[""], &["a.example:x:1"]] {
            assert_eq!(redirected("GET", "/", hosts, 443), (400, None), "{hosts:?}");
        }
        assert_eq!(redirected("GET", "http://b.example/", &["a.example"], 443), (400, None));
        assert_eq!(redirected("OPTIONS", "*", &["a.example"], 443), (400, None));
    }
}
