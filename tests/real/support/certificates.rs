//! Certificate authorities of a test, and what they sign, as PEM files in the test's folder.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// An authority that signs with a P-256 key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    /// Its own certificate, PEM.
    pub(crate) file: PathBuf,
}

/// A certificate and its key, PEM files.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// An authority whose files are called after it.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder: folder.to_path_buf(), file }
    }

    /// A server certificate for 127.0.0.1 and these host names.
    pub(crate) fn server(&self, name: &str, hosts: &[&str]) -> Identity {
        let mut names: Vec<SanType> = hosts.iter().map(|host| SanType::DnsName((*host).try_into().unwrap())).collect();
        names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        self.sign(name, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate that names a SPIFFE ID.
    pub(crate) fn client(&self, name: &str, spiffe_id: &str) -> Identity {
        let names = vec![SanType::URI(spiffe_id.try_into().unwrap())];
        self.sign(name, names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, names: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = self.folder.join(format!("{name}.crt"));
        let key_file = self.folder.join(format!("{name}.key"));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Identity { chain, key: key_file }
    }
}
