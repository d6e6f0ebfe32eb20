//! Authorities and certificates for tests, good and bad, made by rcgen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Seconds since 1970, in the type that rcgen takes and that has no name here.
macro_rules! moment {
    ($seconds:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from($seconds).unwrap())
    };
}

/// The time at which every test begins: 2026-06-01T00:00:00Z.
pub const NOW: i64 = 1_780_272_000;
pub const DAY: i64 = 86_400;

/// A certificate with its chain and its key, as a client or a server shows it.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
    pub serial: Vec<u8>,
}

impl Identity {
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// Writes `name.pem` and `name.key` and gives their paths.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let pem: String = self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&paths.0, pem).unwrap();
        std::fs::write(&paths.1, self.key.serialize_pem()).unwrap();
        paths
    }
}

/// A certification authority.
pub struct Ca {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    above: Vec<CertificateDer<'static>>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().unwrap(), |_| {})
    }

    pub fn with_key(name: &str, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        change(&mut params);
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap(), above: Vec::new() }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        change(&mut params);
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let above = [vec![issuer.der().clone()], self.above.clone()].concat();
        Self { issuer, above }
    }

    /// An authority with somebody else's key, of which only the public half is known; as PEM.
    pub fn sign_authority(&self, key: &impl PublicKeyData) -> String {
        authority("signed").signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A leaf for clients, changed as the test wants.
    pub fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        self.client_with_key(KeyPair::generate().unwrap(), change)
    }

    pub fn client_with_key(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = leaf();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        self.sign(params, key)
    }

    /// An X.509-SVID.
    pub fn svid(&self, id: &str) -> Identity {
        self.client(|params| params.subject_alt_names = vec![uri(id)])
    }

    pub fn server(&self, names: &[&str]) -> Identity {
        let mut params = leaf();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names =
            names.iter().map(|name| SanType::DnsName((*name).to_owned().try_into().unwrap())).collect();
        self.sign(params, KeyPair::generate().unwrap())
    }

    fn sign(&self, params: CertificateParams, key: KeyPair) -> Identity {
        let serial = params.serial_number.clone().unwrap().to_bytes();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { chain: [vec![der], self.above.clone()].concat(), key, serial }
    }

    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(format!("{name}.pem"));
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// A revocation list, from `this_update` until `next_update`, in PEM form.
    pub fn list(&self, this_update: i64, next_update: i64, revoked: &[&Identity]) -> String {
        self.list_with(this_update, next_update, revoked, |_| {})
    }

    /// The same, changed as the test wants.
    pub fn list_with(
        &self,
        this_update: i64,
        next_update: i64,
        revoked: &[&Identity],
        change: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> String {
        let revoked_certs = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&identity.serial),
            revocation_time: moment!(this_update),
            reason_code: None,
            invalidity_date: None,
        });
        let mut params = CertificateRevocationListParams {
            this_update: moment!(this_update),
            next_update: moment!(next_update),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Writes a list that is valid for a day around [`NOW`].
    pub fn write_list(&self, folder: &Path, name: &str, revoked: &[&Identity]) -> PathBuf {
        let path = folder.join(format!("{name}.crl"));
        std::fs::write(&path, self.list(NOW - DAY, NOW + DAY, revoked)).unwrap();
        path
    }
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().unwrap())
}

/// Sets the first and the last moment of a certificate; seconds since 1970.
pub fn set_dates(params: &mut CertificateParams, from: i64, until: i64) {
    (params.not_before, params.not_after) = (moment!(from), moment!(until));
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named(name);
    set_dates(&mut params, NOW - 365 * DAY, NOW + 3650 * DAY);
    params
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.distinguished_name = named("a leaf");
    let mut serial = [1; 16];
    aws_lc_rs::rand::fill(&mut serial[1..]).unwrap();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    set_dates(&mut params, NOW - 30 * DAY, NOW + 365 * DAY);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
