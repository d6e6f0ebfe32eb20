//! What an OAuth client sends: a form body and its own credentials (RFC 6749 section 2.3.1 and appendix B).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use percent_encoding::percent_decode_str;

use crate::identity::Secret;

/// The parameters of a form, each at most once.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, Secret<String>)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`. `None` when it is another type, is malformed, or repeats a parameter
    /// (RFC 6749 section 3.2).
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return None;
        }
        let mut form: Vec<(String, Secret<String>)> = Vec::new();
        for pair in std::str::from_utf8(body).ok()?.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if form.iter().any(|(known, _)| *known == name) {
                return None;
            }
            form.push((name, Secret::new(value)));
        }
        Some(Self(form))
    }

    /// A parameter. One that is empty counts as left out (RFC 6749 section 3.1).
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.expose().as_str()).filter(|value| !value.is_empty())
    }
}

/// How a client says who it is.
#[derive(Debug)]
pub(super) struct ClientCredentials {
    /// `client_id`.
    pub(super) id: String,
    /// `client_secret`; public clients have none.
    pub(super) secret: Option<Secret<String>>,
}

impl ClientCredentials {
    /// From the `Authorization` header (`client_secret_basic`), else from the form (`client_secret_post`, `none`).
    /// `None` when there are none, they are malformed, or there are two (RFC 6749 section 2.3).
    pub(super) fn read(headers: &HeaderMap, form: &Form) -> Option<Self> {
        let posted = form.parameter("client_secret").map(|secret| Secret::new(secret.to_owned()));
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Some(Self { id: form.parameter("client_id")?.to_owned(), secret: posted });
        };
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || posted.is_some() {
            return None;
        }
        let decoded = Secret::new(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
        let (id, secret) = decoded.expose().split_once(':')?;
        let id = decode(id)?;
        if form.parameter("client_id").is_some_and(|other| other != id) {
            return None;
        }
        Some(Self { id, secret: Some(Secret::new(decode(secret)?)) })
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::HeaderMap;

    use super::{ClientCredentials, Form};

    fn headers(authorization: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-www-form-urlencoded; charset=UTF-8".parse().unwrap());
        if let Some(pair) = authorization {
            headers.insert("authorization", format!("Basic {}", STANDARD.encode(pair)).parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_form_is_decoded_once_and_repeats_nothing() {
        let form = Form::parse(&headers(None), b"scope=a+b%2Bc&empty=&token=x%25").unwrap();
        assert_eq!(form.parameter("scope"), Some("a b+c"));
        assert_eq!(form.parameter("token"), Some("x%"));
        assert_eq!(form.parameter("empty"), None);
        assert!(Form::parse(&headers(None), b"a=1&%61=2").is_none());
        assert!(Form::parse(&HeaderMap::new(), b"a=1").is_none());
        assert!(!format!("{form:?}").contains("x%"));
    }

    #[test]
    fn one_way_of_client_authentication_and_no_second() {
        let read = |header: Option<&str>, body: &str| {
            let headers = headers(header);
            ClientCredentials::read(&headers, &Form::parse(&headers, body.as_bytes()).unwrap())
        };
        assert_eq!(read(Some("a%3Ab:s%20s"), "").unwrap().secret.unwrap().expose(), "s s");
        assert_eq!(read(Some("a%3Ab:s"), "client_id=a:b").unwrap().id, "a:b");
        assert!(read(Some("a:s"), "client_secret=s").is_none());
        assert!(read(Some("a:s"), "client_id=b").is_none());
        assert!(read(None, "client_secret=s").is_none());
        assert_eq!(read(None, "client_id=a&client_secret=s").unwrap().id, "a");
    }
}
