//! The gateway's own endpoints. They branch off at `route` and hold no request, so they cannot reach an upstream.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Snapshot;
use crate::authn::DPOP_ALGORITHMS;
use crate::route::{OwnEndpoint, ProtectedResource};

/// Answers an endpoint of our own.
pub(super) fn answer(endpoint: OwnEndpoint, snapshot: &Snapshot) -> Response<Bytes> {
    match endpoint {
        OwnEndpoint::Preflight { headers, .. } => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.headers_mut() = headers;
            response
        }
        OwnEndpoint::ProtectedResource(resource) => {
            // Clients that run in a browser read it too; it tells nothing that a challenge does not.
            let mut response = public("application/json", metadata(&resource, snapshot));
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            response
        }
        OwnEndpoint::AssertionKeys => public(
            "application/jwk-set+json",
            snapshot.upstreams.signer().map(|signer| signer.published()).unwrap_or_default(),
        ),
    }
}

/// What anybody may read and keep for five minutes.
fn public(kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// RFC 9728 section 2.
#[derive(Serialize)]
struct Metadata {
    resource: String,
    authorization_servers: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: Vec<&'static str>,
}

fn metadata(resource: &ProtectedResource, snapshot: &Snapshot) -> Bytes {
    let port = resource.port.map(|port| format!(":{port}")).unwrap_or_default();
    let metadata = Metadata {
        resource: format!("https://{}{port}{}", resource.host.as_str(), resource.path),
        authorization_servers: snapshot.authenticator.issuer_urls(&resource.tokens),
        bearer_methods_supported: ["header"],
        dpop_signing_alg_values_supported: DPOP_ALGORITHMS.iter().map(|algorithm| algorithm.name()).collect(),
    };
    serde_json::to_vec(&metadata).unwrap_or_default().into()
}
