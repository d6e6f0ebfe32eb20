//! The client's certificate: absent, verified or refused, and what a verified one says (RFC 5280, SPIFFE X.509-SVID).

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Name, SpiffeId};

/// What the client showed in the TLS handshake. *Refused* is not *absent*: it answers every request of its connection.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerCertificate {
    /// The client showed no certificate, or was not asked for one.
    Absent,
    /// The chain, the dates, the purpose, the revocation and the handshake's signature were verified.
    Verified(PeerIdentity),
    /// A certificate was shown and is not accepted.
    Refused(PeerRefusal),
}

/// Proof that a TLS handshake with a verified client certificate is finished.
///
/// ```compile_fail,E0451
/// # fn forge(facts: std::sync::Arc<portcullis::identity::PeerFacts>) {
/// let forged = portcullis::identity::PeerIdentity { facts, check: None };
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PeerIdentity {
    facts: Arc<PeerFacts>,
    check: Option<PeerCheck>,
}

impl PartialEq for PeerIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}

/// Asks whether a certificate that was verified earlier would be accepted at a moment, by the authorities and revocation
/// lists that are in force when it is asked.
#[derive(Clone)]
pub struct PeerCheck(Arc<Check>);

type Check = dyn Fn(Timestamp) -> Result<(), PeerRefusal> + Send + Sync;

impl PeerCheck {
    /// Asks by `check`.
    pub fn new(check: impl Fn(Timestamp) -> Result<(), PeerRefusal> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    /// Asks.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn ask(&self, now: Timestamp) -> Result<(), PeerRefusal> {
        (self.0)(now)
    }
}

impl fmt::Debug for PeerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerCheck")
    }
}

impl PeerIdentity {
    /// Reads the identity from a server connection whose verifier required or checked the client's certificate.
    ///
    /// `None` while the handshake goes on, when no certificate was shown, or when the certificate cannot be read
    /// (which the caller must treat as *refused*, never as absent). `trust` names the bundle that verified it.
    pub fn from_handshake(connection: &rustls::ServerConnection, trust: Name) -> Option<Self> {
        if connection.is_handshaking() {
            return None;
        }
        let leaf = connection.peer_certificates()?.first()?;
        Some(Self { facts: Arc::new(PeerFacts::parse(leaf, trust)?), check: None })
    }

    /// The same, to be asked about again for as long as anything rests on it.
    #[must_use]
    pub fn checked_by(self, check: PeerCheck) -> Self {
        Self { check: Some(check), ..self }
    }

    /// Asks about it again. `None`: it counts for as long as its connection.
    pub const fn check(&self) -> Option<&PeerCheck> {
        self.check.as_ref()
    }

    /// What the certificate says.
    pub const fn facts(&self) -> &Arc<PeerFacts> {
        &self.facts
    }
}

/// Why a certificate that was shown is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerRefusal {
    /// No trusted authority signed it.
    UnknownIssuer,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Its issuer has revoked it.
    Revoked,
    /// Whether it was revoked is not known: the list is missing or too old.
    RevocationUnknown,
    /// It is not meant for client authentication.
    Purpose,
    /// Its SPIFFE ID is malformed, not alone, or of another trust domain.
    SpiffeId,
    /// It is malformed, too weak, or wrong in another way.
    Malformed,
}

impl PeerRefusal {
    /// A word for records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown-issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation-unknown",
            Self::Purpose => "purpose",
            Self::SpiffeId => "spiffe-id",
            Self::Malformed => "malformed",
        }
    }
}

/// What a certificate says. Facts only: holding them proves nothing, see [`PeerIdentity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// The trust bundle that verified it: a `[trust.NAME]`.
    pub trust: Name,
    /// The SPIFFE ID, when the certificate is an X.509-SVID.
    pub spiffe_id: Option<SpiffeId>,
    /// The subject's distinguished name, in RFC 4514 style.
    pub subject: Box<str>,
    /// The issuer's distinguished name.
    pub issuer: Box<str>,
    /// Subject alternative names of the kind `dNSName`.
    pub dns_names: Vec<Box<str>>,
    /// Subject alternative names of the kind `uniformResourceIdentifier`.
    pub uris: Vec<Box<str>>,
    /// Subject alternative names of the kind `rfc822Name`.
    pub emails: Vec<Box<str>>,
    /// The serial number in hexadecimal, without leading zeros.
    pub serial: Box<str>,
    /// The public key's algorithm: `rsa`, `ec` or `ed25519`.
    pub key_algorithm: &'static str,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the DER, which RFC 8705 calls `x5t#S256`.
    pub fingerprint: [u8; 32],
    /// The certificate itself, for services that are told of it (RFC 9440).
    pub der: Arc<[u8]>,
}

impl PeerFacts {
    /// Reads the facts out of a certificate's DER. `None` when it is malformed or holds more than one URI beside a
    /// SPIFFE ID (X.509-SVID section 2).
    pub fn parse(der: &[u8], trust: Name) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut facts = Self {
            trust,
            spiffe_id: None,
            subject: certificate.subject().to_string().into(),
            issuer: certificate.issuer().to_string().into(),
            dns_names: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            serial: certificate.tbs_certificate.serial.to_str_radix(16).into(),
            key_algorithm: key_algorithm(&certificate)?,
            not_before: Timestamp::from_second(certificate.validity().not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?,
            fingerprint: sha256(der),
            der: der.into(),
        };
        if let Some(extension) = certificate.subject_alternative_name().ok()? {
            facts.take_names(&extension.value.general_names)?;
        }
        Some(facts)
    }

    fn take_names(&mut self, names: &[GeneralName<'_>]) -> Option<()> {
        for name in names {
            match name {
                GeneralName::DNSName(text) => self.dns_names.push((*text).into()),
                GeneralName::RFC822Name(text) => self.emails.push((*text).into()),
                GeneralName::URI(text) => self.uris.push((*text).into()),
                _ => {}
            }
        }
        if let Some(uri) = self.uris.iter().find(|uri| uri.to_ascii_lowercase().starts_with("spiffe:")) {
            if self.uris.len() > 1 {
                return None;
            }
            self.spiffe_id = Some(SpiffeId::parse(uri).ok()?);
        }
        Some(())
    }
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => Some("rsa"),
        "1.2.840.10045.2.1" => Some("ec"),
        "1.3.101.112" => Some("ed25519"),
        _ => None,
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::PeerFacts;
    use crate::identity::Name;

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn parse(der: &[u8]) -> Option<PeerFacts> {
        PeerFacts::parse(der, Name::new("corp"))
    }

    #[test]
    fn a_certificate_ends_where_its_bytes_end() {
        let der = certificate(&[]);
        assert!(parse(&der).is_some());
        assert!(parse(&[&der[..], &[0]].concat()).is_none());
        assert!(parse(&[&der[..], &der[..]].concat()).is_none(), "two of them have two fingerprints");
    }

    #[test]
    fn a_spiffe_id_stands_alone() {
        let id = "spiffe://corp.example/api";
        assert_eq!(parse(&certificate(&[id])).unwrap().spiffe_id.unwrap().as_str(), id);
        assert!(parse(&certificate(&["https://a.example", "https://b.example"])).is_some());
        for other in ["https://a.example", "spiffe://corp.example/other"] {
            assert!(parse(&certificate(&[id, other])).is_none() && parse(&certificate(&[other, id])).is_none());
        }
    }
}
