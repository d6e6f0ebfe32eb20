//! The head of a request that may have to be sent once more, when a kept connection turns out to be dead.
//!
//! It is made for nearly every request and used for hardly any. So its fields are copied into one piece of memory: a
//! copy of the map would count references up and down for each of them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::body::RequestBody;

/// The head of a request without a body.
pub(super) struct Spare {
    method: Method,
    /// Names and values in turn, the length of each before it.
    fields: Vec<u8>,
}

impl Spare {
    /// Copies the head.
    pub(super) fn of(request: &Request<RequestBody>) -> Self {
        let mut fields = Vec::with_capacity(1024);
        for (name, value) in request.headers() {
            put(&mut fields, name.as_str().as_bytes());
            put(&mut fields, value.as_bytes());
        }
        Self { method: request.method().clone(), fields }
    }

    /// The request again. Its target is the business of whoever sends it.
    pub(super) fn request(&self) -> Option<Request<RequestBody>> {
        let mut headers = HeaderMap::new();
        let mut rest = self.fields.as_slice();
        while !rest.is_empty() {
            let name = HeaderName::from_bytes(take(&mut rest)?).ok()?;
            headers.append(name, HeaderValue::from_bytes(take(&mut rest)?).ok()?);
        }
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers;
        Some(request)
    }
}

fn put(fields: &mut Vec<u8>, piece: &[u8]) {
    fields.extend_from_slice(&piece.len().to_ne_bytes());
    fields.extend_from_slice(piece);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<{ size_of::<usize>() }>()?;
    let (piece, after) = after.split_at_checked(usize::from_ne_bytes(*length))?;
    *rest = after;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, Request};

    use super::Spare;
    use crate::upstream::body::RequestBody;

    #[test]
    fn the_head_comes_back_as_it_was() {
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = Method::DELETE;
        for (name, value) in [("accept", &b""[..]), ("x-a", b"1"), ("x-a", b"\xff 2"), ("host", b"a.example")] {
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let again = Spare::of(&request).request().unwrap();
        assert_eq!((again.method(), again.headers()), (request.method(), request.headers()));
    }
}
