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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::check_leaf;
    use crate::identity::PeerRefusal;

    /// RSA with 1024 bits: no provider here makes such a key or signs with one, but a certificate can hold it.
    const WEAK: &str = "-----BEGIN PUBLIC KEY-----\n\
                        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC2B/Q1KjFYZhhgyVzEKUGQ/v0T\n\
                        E7uXCBMRoUZjrBShaOIQRXKc1xujFNkLzD5ZYP3aPwUJYs3U1I02BAXDRz8KBrc8\n\
                        bdeqS2NE3FTBVj3LPSp8ZyzrWMC/0vzRwbYee+BAEUqxJp/4dXZXb9LDLV0ddutI\n\
                        qKB8AnCq3i7Rrff/3QIDAQAB\n\
                        -----END PUBLIC KEY-----\n";

    fn checked(key: &impl PublicKeyData) -> Result<(), PeerRefusal> {
        let issuer = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(CertificateParams::default(), issuer).unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(key, &issuer).unwrap();
        let (_, facts) = X509Certificate::from_der(leaf.der()).unwrap();
        check_leaf(&facts, None)
    }

    #[test]
    fn a_key_that_can_be_broken_proves_nothing() {
        assert_eq!(checked(&rcgen::SubjectPublicKeyInfo::from_pem(WEAK).unwrap()), Err(PeerRefusal::Malformed));
        for strong in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            assert_eq!(checked(&KeyPair::generate_for(strong).unwrap()), Ok(()));
        }
    }
}
