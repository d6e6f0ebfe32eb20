//! One certification authority. rustls takes roots as bare anchors and asks nothing of them; here a CA that is expired,
//! no CA, or too weak is refused when it is loaded (RFC 5280 sections 4.2.1.3 and 4.2.1.9).

use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// Who signed something: SHA-256 over the signer's name and public key. A name alone would survive a change of keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::listener) struct Signer([u8; 32]);

impl Signer {
    /// The signer that `certificate` belongs to.
    pub(super) fn of(certificate: &webpki::Cert<'_>) -> Self {
        Self::from_parts(certificate.subject(), certificate.subject_public_key_info().as_ref())
    }

    fn from_parts(subject: &[u8], public_key: &[u8]) -> Self {
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        // The key's length first: no name and key can be moved into each other.
        digest.update(&public_key.len().to_be_bytes());
        digest.update(public_key);
        digest.update(subject);
        let mut sum = [0; 32];
        sum.copy_from_slice(digest.finish().as_ref());
        Self(sum)
    }
}

/// A certificate that may sign others.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) anchor: TrustAnchor<'static>,
    pub(super) signer: Signer,
    /// The subject's DER.
    pub(super) subject: Vec<u8>,
    /// Seconds since 1970.
    pub(super) not_after: i64,
    /// The subject, for people.
    pub(super) title: String,
}

impl Authority {
    /// Checks that the certificate may sign others at `now` (seconds since 1970).
    pub(super) fn new(certificate: CertificateDer<'static>, now: i64) -> Result<Self, AuthorityFault> {
        let parsed = webpki::EndEntityCert::try_from(&certificate).map_err(|_| AuthorityFault::Malformed)?;
        let signer = Signer::of(&parsed);
        let (_, facts) = X509Certificate::from_der(&certificate).map_err(|_| AuthorityFault::Malformed)?;
        let title = facts.subject().to_string();
        let basic = facts.basic_constraints().map_err(|_| AuthorityFault::Malformed)?;
        if !basic.is_some_and(|basic| basic.value.ca) {
            return Err(AuthorityFault::NoAuthority { title });
        }
        let usage = facts.key_usage().map_err(|_| AuthorityFault::Malformed)?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(AuthorityFault::NoAuthority { title });
        }
        let (not_before, not_after) = (facts.validity().not_before, facts.validity().not_after);
        if now >= not_after.timestamp() {
            return Err(AuthorityFault::Expired { title, when: not_after.to_string() });
        }
        if now < not_before.timestamp() {
            return Err(AuthorityFault::NotYetValid { title, when: not_before.to_string() });
        }
        if !is_strong(&facts) {
            return Err(AuthorityFault::Weak { title });
        }
        let (subject, not_after) = (facts.subject().as_raw().to_vec(), not_after.timestamp());
        let anchor = webpki::anchor_from_trusted_cert(&certificate).map_err(|_| AuthorityFault::Malformed)?.to_owned();
        Ok(Self { certificate, anchor, signer, subject, not_after, title })
    }

    /// Whether its key may sign revocation lists (RFC 5280 section 4.2.1.3).
    pub(super) fn may_sign_lists(&self) -> bool {
        X509Certificate::from_der(&self.certificate)
            .ok()
            .and_then(|(_, facts)| facts.key_usage().ok().map(|usage| usage.is_none_or(|usage| usage.value.crl_sign())))
            .unwrap_or(false)
    }
}

/// RSA from 2048 bits, the NIST curves from P-256, Ed25519.
pub(super) fn is_strong(certificate: &X509Certificate<'_>) -> bool {
    let key = certificate.public_key();
    if key.algorithm.algorithm.to_id_string() == "1.3.101.112" {
        return true;
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => (2048..=8192).contains(&rsa.key_size()),
        Ok(PublicKey::EC(point)) => [256, 384, 521, 528].contains(&point.key_size()),
        _ => false,
    }
}

/// Why a certificate cannot be an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityFault {
    /// Not a version 3 certificate that can be read.
    #[error("it is no X.509 version 3 certificate that can be read")]
    Malformed,
    /// `basicConstraints` or `keyUsage` says that it must not sign certificates.
    #[error("`{title}` is no certification authority: it must not sign certificates")]
    NoAuthority {
        /// Its subject.
        title: String,
    },
    /// Past its end.
    #[error("`{title}` expired at {when}")]
    Expired {
        /// Its subject.
        title: String,
        /// Its end.
        when: String,
    },
    /// Before its start.
    #[error("`{title}` is not valid before {when}")]
    NotYetValid {
        /// Its subject.
        title: String,
        /// Its start.
        when: String,
    },
    /// A key that can be broken.
    #[error("the key of `{title}` is too weak: RSA needs 2048 bits or more, elliptic curves P-256 or more")]
    Weak {
        /// Its subject.
        title: String,
    },
}
