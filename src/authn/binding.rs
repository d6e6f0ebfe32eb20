//! Sender-constrained tokens: `cnf` against the connection and the proof (RFC 7800, RFC 8705 section 3, RFC 9449
//! section 6). Runs on every request, cached token or not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::error::BindingFault;
use crate::identity::{Claims, Confirmation, PeerCertificate};
use crate::route::Binding;

/// Reads `cnf`. A member that is not understood makes it malformed: ignoring it would turn a bound token into a bearer
/// token.
pub(super) fn confirmation(claims: &Claims) -> Result<Option<Confirmation>, ()> {
    let Some(cnf) = claims.member("cnf") else { return Ok(None) };
    let members = cnf.as_object().ok_or(())?;
    let (mut certificate, mut jwk) = (None, None);
    for (name, value) in members {
        match name.as_str() {
            "x5t#S256" => certificate = Some(thumbprint(value)?),
            "jkt" => jwk = Some(thumbprint(value)?),
            _ => return Err(()),
        }
    }
    match (certificate, jwk) {
        (Some(certificate), Some(jwk)) => Ok(Some(Confirmation::Both { certificate, jwk })),
        (Some(certificate), None) => Ok(Some(Confirmation::Certificate(certificate))),
        (None, Some(jwk)) => Ok(Some(Confirmation::Jwk(jwk))),
        (None, None) => Err(()),
    }
}

fn thumbprint(value: &Value) -> Result<[u8; 32], ()> {
    let bytes = URL_SAFE_NO_PAD.decode(value.as_str().ok_or(())?).map_err(|_| ())?;
    bytes.try_into().map_err(|_| ())
}

/// Holds a token's `cnf` against the connection and the scheme under which the token came. What it gives is the
/// thumbprint of the DPoP key of which the caller must now see a proof.
pub(super) fn check<'c>(
    confirmation: Option<&'c Confirmation>,
    rule: Binding,
    peer: &PeerCertificate,
    under_dpop: bool,
) -> Result<Option<&'c [u8; 32]>, BindingFault> {
    let (certificate, jwk) = match confirmation {
        _ if rule == Binding::Off => return Ok(None),
        None if rule == Binding::Required => return Err(BindingFault::Unbound),
        None => (None, None),
        Some(Confirmation::Certificate(certificate)) => (Some(certificate), None),
        Some(Confirmation::Jwk(jwk)) => (None, Some(jwk)),
        Some(Confirmation::Both { certificate, jwk }) => (Some(certificate), Some(jwk)),
    };
    if let Some(bound) = certificate {
        check_certificate(bound, peer)?;
    }
    match (jwk, under_dpop) {
        (Some(_), false) => Err(BindingFault::ProofMissing),
        (None, true) => Err(BindingFault::ProofUnexpected),
        (jwk, _) => Ok(jwk),
    }
}

fn check_certificate(bound: &[u8; 32], peer: &PeerCertificate) -> Result<(), BindingFault> {
    match peer {
        PeerCertificate::Verified(identity) if identity.facts().fingerprint == *bound => Ok(()),
        PeerCertificate::Verified(_) => Err(BindingFault::CertificateOther),
        PeerCertificate::Absent | PeerCertificate::Refused(_) => Err(BindingFault::CertificateMissing),
    }
}
