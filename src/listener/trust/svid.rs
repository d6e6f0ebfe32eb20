//! The rules of an X.509-SVID (SPIFFE X.509-SVID sections 2, 4 and 5) and of leaves in general.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::authority::is_strong;
use crate::identity::{PeerRefusal, SpiffeId, TrustDomain};

/// Checks a leaf that was signed under a bundle which stands for `domain`, or for none.
///
/// Under a trust domain's bundle every leaf must be an SVID of that domain; under another bundle no leaf may carry a
/// SPIFFE ID, since nobody there may speak for a trust domain.
pub(super) fn check_leaf(leaf: &X509Certificate<'_>, domain: Option<&TrustDomain>) -> Result<(), PeerRefusal> {
    if !is_strong(leaf) {
        return Err(PeerRefusal::Malformed);
    }
    let purposes = leaf.extended_key_usage().map_err(|_| PeerRefusal::Malformed)?;
    if !purposes.is_some_and(|purposes| purposes.value.client_auth) {
        return Err(PeerRefusal::Purpose);
    }
    let usage = leaf.key_usage().map_err(|_| PeerRefusal::Malformed)?;
    if usage.as_ref().is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(PeerRefusal::Purpose);
    }
    let uris = uris(leaf)?;
    let is_spiffe = |uri: &&str| uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"));
    let Some(domain) = domain else {
        return if uris.iter().any(is_spiffe) { Err(PeerRefusal::SpiffeId) } else { Ok(()) };
    };
    let [uri] = uris.as_slice() else { return Err(PeerRefusal::SpiffeId) };
    let id = SpiffeId::parse(uri).map_err(|_| PeerRefusal::SpiffeId)?;
    if id.trust_domain() != domain || id.path().is_empty() {
        return Err(PeerRefusal::SpiffeId);
    }
    match usage {
        Some(usage) if !usage.value.key_cert_sign() && !usage.value.crl_sign() => Ok(()),
        _ => Err(PeerRefusal::Purpose),
    }
}

fn uris<'a>(leaf: &'a X509Certificate<'a>) -> Result<Vec<&'a str>, PeerRefusal> {
    let Some(names) = leaf.subject_alternative_name().map_err(|_| PeerRefusal::Malformed)? else {
        return Ok(Vec::new());
    };
    let uri = |name: &'a GeneralName<'a>| if let GeneralName::URI(text) = name { Some(*text) } else { None };
    Ok(names.value.general_names.iter().filter_map(uri).collect())
}
