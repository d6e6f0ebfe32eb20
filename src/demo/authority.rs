//! A development certificate authority: one root, leaf certificates of every kind that the gateway must tell apart.
//!
//! Takes the time from its caller. Keys are P-256, and no key of the authority is ever written to disk by this file.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

use crate::identity::Secret;

/// How long the root and a current certificate are valid.
const LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Certificates start this much before they are made, for clients whose clock is behind.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// A root that signs certificates for development and tests.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: Timestamp,
}

/// What a certificate shall say.
#[derive(Clone, Debug)]
pub struct Leaf<'a> {
    /// The common name of its subject.
    pub common_name: &'a str,
    /// Its extended key usage.
    pub purpose: Purpose,
    /// Subject alternative names of the kind `dNSName`.
    pub hosts: &'a [&'a str],
    /// Subject alternative names of the kind `iPAddress`.
    pub addresses: &'a [IpAddr],
    /// A SPIFFE ID, as the only URI.
    pub spiffe_id: Option<&'a str>,
    /// Whether it is valid now.
    pub validity: Validity,
}

/// What a certificate is meant for (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `serverAuth`.
    Server,
    /// `clientAuth`.
    Client,
}

/// Whether a certificate is valid at the authority's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From an hour ago, for 90 days.
    Current,
    /// It ended an hour ago.
    Expired,
    /// It starts tomorrow.
    NotYet,
}

/// A certificate and its key, as PEM.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: Secret<String>,
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A name cannot stand in a certificate, or the cryptography failed.
    #[error("cannot make the certificate")]
    Certificate(#[from] rcgen::Error),
    /// The system gave no random bytes.
    #[error("the system gives no random numbers")]
    Random,
}

impl Authority {
    /// Makes a root with a fresh key. Certificates count their validity from `now`.
    ///
    /// # Errors
    /// [`AuthorityError`] when no key can be made.
    pub fn new(common_name: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let mut params = params(common_name, now - SKEW, now + LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?, now })
    }

    /// The root's certificate as PEM: what the other side must trust.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate with a fresh key.
    ///
    /// # Errors
    /// [`AuthorityError`] when a name cannot stand in a certificate.
    pub fn issue(&self, leaf: &Leaf<'_>) -> Result<Issued, AuthorityError> {
        let (start, end) = match leaf.validity {
            Validity::Current => (self.now - SKEW, self.now + LIFE),
            Validity::Expired => (self.now - SKEW - LIFE, self.now - SKEW),
            Validity::NotYet => (self.now + SignedDuration::from_hours(24), self.now + LIFE),
        };
        let mut params = params(leaf.common_name, start, end)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match leaf.purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        for host in leaf.hosts {
            params.subject_alt_names.push(SanType::DnsName((*host).try_into()?));
        }
        params.subject_alt_names.extend(leaf.addresses.iter().copied().map(SanType::IpAddress));
        if let Some(spiffe_id) = leaf.spiffe_id {
            params.subject_alt_names.push(SanType::URI(spiffe_id.try_into()?));
        }
        let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate, key: Secret::new(key.serialize_pem()), serial })
    }

    /// A revocation list (RFC 5280 section 5) as PEM that names these certificates and is current for a day.
    ///
    /// # Errors
    /// [`AuthorityError`] when it cannot be signed.
    pub fn revocation_list(&self, revoked: &[&Issued]) -> Result<String, AuthorityError> {
        let entries = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&issued.serial),
            revocation_time: date_time_ymd(1970, 1, 1) + since_1970(self.now - SKEW),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since_1970(self.now - SKEW),
            next_update: date_time_ymd(1970, 1, 1) + since_1970(self.now + SignedDuration::from_hours(24)),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: entries.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }
}

fn params(common_name: &str, start: Timestamp, end: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Portcullis development");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(start);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(end);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| AuthorityError::Random)?;
    // A serial number is positive and keeps its length (RFC 5280 section 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// From 1970 until `at`: rcgen's own calendar type cannot be named here, but such a span can be added to one.
fn since_1970(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
