//! Takes the credential out of the request.

use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue};

use super::Credential;
use crate::request::{Field, Received, parameter_names};
use crate::route::{Authorization, Routed};

/// A request without its credential, and the credential.
#[derive(Debug)]
pub struct Presented {
    routed: Routed,
    credential: Option<Credential>,
}

/// Why what was presented is not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// More than one credential, or more than one DPoP proof. 400.
    #[error("more than one credential was presented")]
    Ambiguous,
    /// The field is not a scheme, one blank and a token; or there is a proof without a token of the DPoP scheme. 400.
    #[error("the credential is malformed")]
    Malformed,
    /// `access_token` in the query (RFC 6750 section 2.3 allows it, RFC 9700 section 4.3.2 forbids it). 400.
    #[error("a token was sent in the query")]
    TokenInQuery,
    /// Another scheme than Bearer or DPoP. 401.
    #[error("the authorization scheme is neither Bearer nor DPoP")]
    Scheme,
    /// The DPoP scheme without a proof. 401 with `invalid_dpop_proof`.
    #[error("the DPoP proof is missing")]
    ProofMissing,
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Takes the credential out of the request; without one, the request is anonymous.
pub fn extract(mut routed: Routed) -> Result<Presented, CredentialError> {
    if holds_token_in_query(routed.request()) {
        return Err(CredentialError::TokenInQuery);
    }
    if routed.route().authorization == Authorization::Pass {
        return Ok(Presented { routed, credential: None });
    }
    let authorization = take_only(&mut routed, Field::Authorization, &AUTHORIZATION)?;
    let proof = take_only(&mut routed, Field::Dpop, &DPOP)?;
    if routed.request().fields().has(Field::ProxyAuthorization) {
        routed.take_header(&PROXY_AUTHORIZATION);
    }
    let credential = match (authorization, proof) {
        (Some(authorization), proof) => Some(Credential::parse(&authorization, proof.as_ref())?),
        (None, Some(_)) => return Err(CredentialError::Malformed),
        (None, None) => None,
    };
    Ok(Presented { routed, credential })
}

impl Presented {
    /// The request.
    pub const fn routed(&self) -> &Routed {
        &self.routed
    }

    /// The credential, when one was presented.
    pub const fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Request and credential.
    pub(crate) fn into_parts(self) -> (Routed, Option<Credential>) {
        (self.routed, self.credential)
    }
}

/// The value of a field that may occur once.
fn take_only(routed: &mut Routed, field: Field, name: &HeaderName) -> Result<Option<HeaderValue>, CredentialError> {
    if !routed.request().fields().has(field) {
        return Ok(None);
    }
    let headers = routed.request().headers();
    let is_repeated = headers.keys_len() != headers.len() && headers.get_all(name).iter().nth(1).is_some();
    if is_repeated { Err(CredentialError::Ambiguous) } else { Ok(routed.take_header(name)) }
}

/// Any spelling of the name that a server might read as `access_token`.
fn holds_token_in_query(request: &Received) -> bool {
    request
        .query()
        .is_some_and(|query| parameter_names(query).any(|name| name.trim().eq_ignore_ascii_case("access_token")))
}

#[cfg(test)]
mod tests;
