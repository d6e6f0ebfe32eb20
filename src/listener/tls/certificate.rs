//! Server certificates: read and matched with their key when they are loaded, chosen by name in the handshake.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Validity, provider};

/// A server certificate with its chain and its key, which belong together.
#[derive(Clone)]
pub struct ServerCertificate {
    key: Arc<CertifiedKey>,
    names: Arc<[Box<str>]>,
    file: Arc<Path>,
    validity: Validity,
}

impl ServerCertificate {
    /// Reads the chain (leaf first) and the key from PEM files.
    ///
    /// # Errors
    /// [`CertificateError`] names the file that is wrong.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| CertificateError::Unreadable { path: path.into(), error })
        };
        let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::NoCertificate(chain.into()))?;
        let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| CertificateError::NoKey(key.into()))?;
        Self::new(chain, certificates, secret, &provider()).map_err(|fault| match fault {
            KeyFault::NoCertificate => CertificateError::NoCertificate(chain.into()),
            KeyFault::Unusable => CertificateError::NoKey(key.into()),
            KeyFault::Mismatch => CertificateError::Mismatch { chain: chain.into(), key: key.into() },
        })
    }

    /// The names that the certificate is for (`dNSName`), lower case.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The file that its chain was read from.
    pub const fn file(&self) -> &Arc<Path> {
        &self.file
    }

    /// From when until when it and its chain are valid.
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    fn new(
        file: &Path,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, KeyFault> {
        let leaf = chain.first().ok_or(KeyFault::NoCertificate)?;
        let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|_| KeyFault::NoCertificate)?;
        let validity = Validity::of(&chain);
        let names = parsed.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect();
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => KeyFault::Mismatch,
            _ => KeyFault::Unusable,
        })?;
        Ok(Self { key: Arc::new(certified), names, file: file.into(), validity })
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

enum KeyFault {
    NoCertificate,
    Unusable,
    Mismatch,
}

/// Why a server certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// No certificate where a chain is expected.
    #[error("`{}` holds no certificate in PEM form; `chain` is the certificate, `key` its private key", .0.display())]
    NoCertificate(PathBuf),
    /// No private key that can be used.
    #[error("`{}` holds no private key that can be used; `chain` is the certificate, `key` its private key", .0.display())]
    NoKey(PathBuf),
    /// The key is another certificate's.
    #[error("the key in `{}` does not belong to the certificate in `{}`", key.display(), chain.display())]
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// Chooses by name, and among certificates of one name by what the client can verify.
pub(super) struct Chooser {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    fallback: Vec<Arc<CertifiedKey>>,
}

impl Chooser {
    pub(super) fn new(certificates: &[ServerCertificate]) -> Self {
        let mut chooser = Self { exact: HashMap::new(), wildcard: HashMap::new(), fallback: Vec::new() };
        for certificate in certificates {
            for name in certificate.names() {
                let (table, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut chooser.wildcard, suffix),
                    None => (&mut chooser.exact, &**name),
                };
                table.entry(name.into()).or_default().push(certificate.key.clone());
            }
        }
        let first = certificates.first().map(|certificate| &certificate.names);
        let alike = certificates.iter().filter(|certificate| Some(&certificate.names) == first);
        chooser.fallback = alike.map(|certificate| certificate.key.clone()).collect();
        chooser
    }

    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let named = name.and_then(|name| {
            let parent = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(parent)
        });
        named.unwrap_or(&self.fallback)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(super::normal_host);
        let candidates = self.candidates(name.as_deref());
        let fits = |candidate: &&Arc<CertifiedKey>| candidate.key.choose_scheme(hello.signature_schemes()).is_some();
        candidates.iter().find(fits).or_else(|| candidates.first()).cloned()
    }
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chooser").field("exact", &self.exact.len()).finish_non_exhaustive()
    }
}
