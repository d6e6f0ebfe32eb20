//! One fetch of an issuer's key set, from its address or through discovery.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;

use super::{KeySet, KeySetError};
use crate::authn::algorithm::Algorithm;
use crate::authn::oidc::{self, DiscoveryError};
use crate::outbound::{Endpoint, Outbound, OutboundError};

/// Where a key set is fetched from.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Discovery { issuer: Endpoint, jwks_hosts: Vec<Box<str>> },
    Url(Endpoint),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Discovery { issuer: address, .. } | Self::Url(address)) = self;
        address.fmt(f)
    }
}

/// A key set and how long its server says that it is fresh.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) max_age: Option<Duration>,
}

pub(super) async fn fetch(outbound: &Outbound, place: &Place, algorithms: &[Algorithm]) -> Result<Fetched, FetchError> {
    let address = match place {
        Place::Url(url) => url.clone(),
        Place::Discovery { issuer, jwks_hosts } => oidc::jwks_address(outbound, issuer, jwks_hosts).await?,
    };
    let request = Request::get(address.uri()).header(header::ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(Full::<Bytes>::default()).map_err(|_| FetchError::Outbound(OutboundError::Settings))?;
    let answer = outbound.send(request).await?;
    if answer.status != StatusCode::OK {
        return Err(FetchError::Status);
    }
    Ok(Fetched { keys: KeySet::parse(&answer.body, algorithms)?, max_age: max_age(&answer.headers) })
}

/// RFC 9111 section 5.2.2, as far as it says how long an answer is fresh.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
    let mut age = None;
    for directive in directives {
        if directive == "no-cache" || directive == "no-store" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

/// Why a fetch gave no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error("the key set has another status than 200")]
    Status,
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    #[error("reading the key set failed inside the gateway")]
    Internal,
}

impl FetchError {
    /// A word for states and metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound(error) | Self::Discovery(DiscoveryError::Outbound(error)) => error.as_str(),
            Self::Discovery(DiscoveryError::Status(_)) => "discovery-status",
            Self::Discovery(DiscoveryError::Malformed) => "discovery-malformed",
            Self::Discovery(DiscoveryError::OtherIssuer) => "discovery-issuer",
            Self::Discovery(DiscoveryError::KeySetAddress) => "discovery-jwks-uri",
            Self::Status => "jwks-status",
            Self::KeySet(KeySetError::Malformed) => "jwks-malformed",
            Self::KeySet(KeySetError::TooMany) => "jwks-too-many-keys",
            Self::Internal => "internal",
        }
    }
}
