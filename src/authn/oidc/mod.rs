//! Discovery of an issuer's key set (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).
//!
//! The only place that knows openidconnect: it reads the metadata. It verifies nothing here.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{IssuerUrl, JsonWebKeySetUrl};
use serde::Deserialize;
use serde_json::Value;

use crate::identity::Claims;
use crate::outbound::{Endpoint, Outbound, OutboundError, PlainHttp};

/// Asks the issuer where its keys are: its OpenID Connect document, or where there is none, its OAuth one.
///
/// The document must name exactly this issuer, and a key set on its own host or on one of `hosts`: a document is not
/// believed about other machines.
pub(super) async fn jwks_address(
    outbound: &Outbound,
    issuer: &Endpoint,
    hosts: &[Box<str>],
) -> Result<Endpoint, DiscoveryError> {
    let base = issuer.as_str().trim_end_matches('/');
    let openid = read(outbound, &format!("{base}/.well-known/openid-configuration")).await?;
    let found = match openid {
        Some(document) => openid_metadata(&document)?,
        None => {
            let path = issuer.path().trim_end_matches('/');
            let address = format!("{}/.well-known/oauth-authorization-server{path}", issuer.origin());
            oauth_metadata(&read(outbound, &address).await?.ok_or(DiscoveryError::Status(404))?)?
        }
    };
    if found.issuer.as_str() != issuer.as_str() {
        return Err(DiscoveryError::OtherIssuer);
    }
    let own_scheme = issuer.uri().scheme_str();
    let plain = if own_scheme == Some("http") { PlainHttp::Anywhere } else { PlainHttp::Loopback };
    let jwks = Endpoint::parse(found.jwks_uri.as_str(), plain).map_err(|_| DiscoveryError::KeySetAddress)?;
    let host_is_known = [issuer.host()].into_iter().chain(hosts.iter().map(|host| &**host));
    let known = host_is_known.into_iter().any(|host| host.eq_ignore_ascii_case(jwks.host()));
    let no_downgrade = own_scheme == Some("http") || jwks.uri().scheme_str() == Some("https");
    if known && no_downgrade { Ok(jwks) } else { Err(DiscoveryError::KeySetAddress) }
}

#[derive(Deserialize)]
struct Found {
    issuer: IssuerUrl,
    jwks_uri: JsonWebKeySetUrl,
}

fn openid_metadata(document: &Value) -> Result<Found, DiscoveryError> {
    let metadata = CoreProviderMetadata::deserialize(document).map_err(|_| DiscoveryError::Malformed)?;
    Ok(Found { issuer: metadata.issuer().clone(), jwks_uri: metadata.jwks_uri().clone() })
}

/// An authorization server without OpenID Connect lacks what openidconnect demands of a provider.
fn oauth_metadata(document: &Value) -> Result<Found, DiscoveryError> {
    Found::deserialize(document).map_err(|_| DiscoveryError::Malformed)
}

/// Reads a JSON object; nothing when the server has no such document.
async fn read(outbound: &Outbound, address: &str) -> Result<Option<Value>, DiscoveryError> {
    let request = Request::get(address).header(http::header::ACCEPT, "application/json");
    let request = request.body(Full::<Bytes>::default()).map_err(|_| DiscoveryError::Malformed)?;
    let answer = outbound.send(request).await.map_err(DiscoveryError::Outbound)?;
    match answer.status {
        StatusCode::OK => {
            let claims = Claims::parse(&answer.body).map_err(|_| DiscoveryError::Malformed)?;
            Ok(Some(Value::Object(claims.as_map().clone())))
        }
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(DiscoveryError::Status(status.as_u16())),
    }
}

/// Why an issuer's key set was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DiscoveryError {
    #[error(transparent)]
    Outbound(OutboundError),
    #[error("the discovery document has status {0}")]
    Status(u16),
    #[error("the discovery document is malformed")]
    Malformed,
    #[error("the discovery document states another `issuer` than the address that it was asked at")]
    OtherIssuer,
    #[error("the discovery document names a key set on another host, or without https")]
    KeySetAddress,
}
