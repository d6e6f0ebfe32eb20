//! One `[trust.NAME]`: authorities, revocation lists, and the verification of a client's chain.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::DistinguishedName;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::authority::{Authority, AuthorityFault};
use super::revocation::{Freshness, Revocation, RevocationFault, WhenExpired};
use super::standing::{Standing, links};
use super::svid::check_leaf;
use crate::identity::{Name, PeerRefusal, TrustDomain};

/// `id-kp-clientAuth`. An authority that states purposes must state this one; most state none (RFC 5280 section
/// 4.2.1.12). A leaf must state it: [`check_leaf`] sees to that.
const CLIENT_AUTH: KeyUsage = KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);

/// Where a bundle comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// PEM files of the authorities that are trusted.
    pub authorities: Vec<PathBuf>,
    /// PEM files of authorities below them: not trusted by themselves, only found here when a client leaves them out,
    /// and needed to verify their revocation lists.
    pub intermediates: Vec<PathBuf>,
    /// The trust domain that the bundle stands for.
    pub spiffe_trust_domain: Option<TrustDomain>,
    /// Revocation lists, PEM or DER; none, and no addresses of any, means that nothing is ever revoked.
    pub revocation_lists: Vec<PathBuf>,
    /// Addresses of revocation lists. Until one was fetched, nothing is known of its signer's certificates.
    pub revocation_urls: Vec<Box<str>>,
    /// How often they are fetched.
    pub refresh: Duration,
    /// What holds when a list is too old.
    pub when_expired: WhenExpired,
}

/// Who signs client certificates.
pub struct TrustBundle {
    name: Name,
    domain: Option<TrustDomain>,
    authorities: Arc<Vec<Authority>>,
    /// The authorities again, in the form that webpki takes.
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Arc<Vec<Authority>>,
    revocation: Option<Revocation>,
    urls: Vec<Box<str>>,
    refresh: Duration,
    /// What the addresses gave last, as it came.
    fetched: HashMap<Box<str>, Arc<[u8]>>,
}

impl TrustBundle {
    /// Reads and checks every file.
    ///
    /// # Errors
    /// Every file that is wrong.
    pub fn load(name: Name, sources: &Sources, now: Timestamp) -> Result<Self, Vec<TrustError>> {
        let now = now.as_second();
        let mut errors = Vec::new();
        let mut authorities = Vec::new();
        for path in &sources.authorities {
            authorities.extend(read_authorities(path, now, &mut errors));
        }
        let mut intermediates = Vec::new();
        for path in &sources.intermediates {
            intermediates.extend(read_authorities(path, now, &mut errors));
        }
        if authorities.is_empty() && errors.is_empty() {
            errors.push(TrustError::Empty);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let anchors = authorities.iter().map(|authority| authority.anchor.clone()).collect();
        let domain = sources.spiffe_trust_domain.clone();
        let mut bundle = Self {
            name,
            domain,
            authorities: Arc::new(authorities),
            anchors,
            intermediates: Arc::new(intermediates),
            revocation: None,
            urls: sources.revocation_urls.clone(),
            refresh: sources.refresh,
            fetched: HashMap::new(),
        };
        bundle.revocation = bundle.read_lists(sources, now)?;
        Ok(bundle)
    }

    /// Its name.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The addresses of its revocation lists.
    pub fn revocation_urls(&self) -> &[Box<str>] {
        &self.urls
    }

    /// How often they are to be fetched.
    pub const fn refresh(&self) -> Duration {
        self.refresh
    }

    /// The bundle with what one of its addresses gave. `None` when that changes nothing: a list that is no newer than the
    /// one in force never takes its place.
    ///
    /// # Errors
    /// What is wrong with the list; nothing of it counts then.
    pub fn with_list(&self, url: &str, bytes: &[u8], now: Timestamp) -> Result<Option<Self>, RevocationFault> {
        let before = self.revocation.as_ref().filter(|_| self.urls.iter().any(|known| **known == *url));
        let before = before.ok_or(RevocationFault::Malformed)?;
        let mut revocation = before.clone();
        for list in lists_in(bytes).ok_or(RevocationFault::Malformed)? {
            revocation.add(&list, &self.signers(), &ALGORITHMS, now.as_second())?;
        }
        if revocation.freshness() == before.freshness() {
            return Ok(None);
        }
        let mut fetched = self.fetched.clone();
        fetched.insert(url.into(), bytes.into());
        Ok(Some(Self {
            name: self.name.clone(),
            domain: self.domain.clone(),
            authorities: self.authorities.clone(),
            anchors: self.anchors.clone(),
            intermediates: self.intermediates.clone(),
            revocation: Some(revocation),
            urls: self.urls.clone(),
            refresh: self.refresh,
            fetched,
        }))
    }

    /// The bundle with what the addresses gave to the one before it.
    pub fn inheriting(self, before: &Self, now: Timestamp) -> Self {
        let mut bundle = self;
        for (url, bytes) in &before.fetched {
            // An address that is gone, or a signer that is no longer trusted, has nothing to say.
            if let Ok(Some(with)) = bundle.with_list(url, bytes, now) {
                bundle = with;
            }
        }
        bundle
    }

    fn signers(&self) -> Vec<&Authority> {
        self.authorities.iter().chain(&*self.intermediates).collect()
    }

    /// How fresh each revocation list is.
    pub fn freshness(&self) -> Vec<Freshness> {
        self.revocation.as_ref().map(Revocation::freshness).unwrap_or_default()
    }

    /// Each authority and the end of its validity, for alarms.
    pub fn authorities(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.signers().into_iter().map(|authority| {
            (authority.title.as_str(), Timestamp::from_second(authority.not_after).unwrap_or(Timestamp::MAX))
        })
    }

    /// Authorities for which revocation is asked and no list is there: none of their clients can be accepted.
    pub fn without_list(&self) -> Vec<&str> {
        let Some(revocation) = &self.revocation else { return Vec::new() };
        let mut without = revocation.uncovered(&self.authorities);
        without.extend(revocation.uncovered(&self.intermediates));
        without
    }

    /// The authority whose revocation list is older here than in `earlier`, when there is one: such a list would bring
    /// revoked certificates back, so a reload that finds one is refused.
    pub fn went_back(&self, earlier: &Self) -> Option<&str> {
        self.revocation.as_ref()?.went_back(earlier.revocation.as_ref()?)
    }

    pub(in crate::listener) fn hints(&self) -> impl Iterator<Item = DistinguishedName> {
        self.anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
    }

    /// Verifies a client's chain: signatures, dates, purpose, constraints, revocation, and the SPIFFE rules.
    pub(in crate::listener) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        now: i64,
    ) -> Result<Standing, PeerRefusal> {
        let parsed = EndEntityCert::try_from(leaf).map_err(|_| PeerRefusal::Malformed)?;
        let (_, facts) = X509Certificate::from_der(leaf).map_err(|_| PeerRefusal::Malformed)?;
        let own = self.intermediates.iter().map(|authority| authority.certificate.clone());
        let intermediates: Vec<CertificateDer<'_>> = shown.iter().cloned().chain(own).collect();
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.max(0).unsigned_abs()));
        let found = RefCell::new(None);
        let judge = |path: &VerifiedPath<'_>| {
            let standing = self.standing(leaf, &facts, path).map_err(|_| webpki::Error::BadDer)?;
            self.holds(&standing, now).map_err(|refusal| match refusal {
                PeerRefusal::Expired => webpki::Error::CertExpired { time, not_after: time },
                PeerRefusal::Revoked => webpki::Error::CertRevoked,
                _ => webpki::Error::UnknownRevocationStatus,
            })?;
            found.replace(Some(standing));
            Ok(())
        };
        let algorithms = ALGORITHMS.all;
        parsed
            .verify_for_usage(algorithms, &self.anchors, &intermediates, time, CLIENT_AUTH, None, Some(&judge))
            .map_err(|error| refusal(&error))?;
        check_leaf(&facts, self.domain.as_ref())?;
        found.into_inner().ok_or(PeerRefusal::Malformed)
    }

    /// Whether a chain that was verified earlier, by this bundle or the one before it, would be accepted now.
    pub(in crate::listener) fn holds(&self, standing: &Standing, now: i64) -> Result<(), PeerRefusal> {
        if standing.domain != self.domain {
            return Err(PeerRefusal::SpiffeId);
        }
        if !self.authorities.iter().any(|authority| authority.signer == standing.anchor) {
            return Err(PeerRefusal::UnknownIssuer);
        }
        if now >= standing.not_after {
            return Err(PeerRefusal::Expired);
        }
        self.revocation.as_ref().map_or(Ok(()), |revocation| revocation.check(&standing.links, now))
    }

    /// Until when [`TrustBundle::holds`] cannot change for a chain that it holds for; seconds since 1970.
    pub(in crate::listener) fn holds_until(&self, standing: &Standing) -> i64 {
        let lists = self.revocation.as_ref().and_then(|revocation| revocation.fresh_until(&standing.links));
        lists.map_or(standing.not_after, |fresh| fresh.min(standing.not_after))
    }

    fn standing(
        &self,
        leaf: &CertificateDer<'_>,
        facts: &X509Certificate<'_>,
        path: &VerifiedPath<'_>,
    ) -> Result<Standing, PeerRefusal> {
        let is_anchor = |authority: &&Authority| authority.anchor == *path.anchor();
        let anchor = self.authorities.iter().find(is_anchor).ok_or(PeerRefusal::UnknownIssuer)?;
        let mut not_after = anchor.not_after.min(facts.validity().not_after.timestamp());
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let (_, facts) = X509Certificate::from_der(&der).map_err(|_| PeerRefusal::Malformed)?;
            not_after = not_after.min(facts.validity().not_after.timestamp());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf).as_ref());
        Ok(Standing {
            bundle: self.name.clone(),
            fingerprint,
            domain: self.domain.clone(),
            anchor: anchor.signer,
            links: links(path, anchor.signer).ok_or(PeerRefusal::Malformed)?,
            not_after,
        })
    }

    fn read_lists(&self, sources: &Sources, now: i64) -> Result<Option<Revocation>, Vec<TrustError>> {
        if sources.revocation_lists.is_empty() && sources.revocation_urls.is_empty() {
            return Ok(None);
        }
        let signers = self.signers();
        let mut revocation = Revocation::new(sources.when_expired);
        let mut errors = Vec::new();
        for path in &sources.revocation_lists {
            let lists = match read_list_file(path) {
                Ok(lists) => lists,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            for list in lists {
                if let Err(fault) = revocation.add(&list, &signers, &ALGORITHMS, now) {
                    errors.push(TrustError::List { path: path.clone(), fault });
                }
            }
        }
        if errors.is_empty() { Ok(Some(revocation)) } else { Err(errors) }
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBundle").field("name", &self.name).field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// The signatures that are accepted in chains, lists and handshakes: those of aws-lc-rs, none of them with SHA-1.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> =
    LazyLock::new(|| rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms);

fn refusal(error: &webpki::Error) -> PeerRefusal {
    use webpki::Error;
    match error {
        // Somebody else's key under a known authority's name.
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => PeerRefusal::UnknownIssuer,
        Error::CertExpired { .. } => PeerRefusal::Expired,
        Error::CertNotValidYet { .. } => PeerRefusal::NotYetValid,
        Error::CertRevoked => PeerRefusal::Revoked,
        Error::UnknownRevocationStatus => PeerRefusal::RevocationUnknown,
        Error::RequiredEkuNotFoundContext(_) => PeerRefusal::Purpose,
        _ => PeerRefusal::Malformed,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    std::fs::read(path).map_err(|error| TrustError::Unreadable { path: path.into(), error })
}

fn read_authorities(path: &Path, now: i64, errors: &mut Vec<TrustError>) -> Vec<Authority> {
    let certificates = read(path).and_then(|text| {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        all.ok().filter(|all| !all.is_empty()).ok_or_else(|| TrustError::NoCertificate { path: path.into() })
    });
    let certificates = match certificates {
        Ok(certificates) => certificates,
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    let mut authorities = Vec::new();
    for certificate in certificates {
        match Authority::new(certificate, now) {
            Ok(authority) => authorities.push(authority),
            Err(fault) => errors.push(TrustError::Authority { path: path.into(), fault }),
        }
    }
    authorities
}

/// One file: DER, or any number of lists in PEM form.
fn read_list_file(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TrustError> {
    let lists = lists_in(&read(path)?);
    lists.ok_or_else(|| TrustError::List { path: path.into(), fault: RevocationFault::Malformed })
}

fn lists_in(bytes: &[u8]) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    if bytes.first() == Some(&0x30) {
        return Some(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    lists.ok().filter(|lists| !lists.is_empty())
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No file names an authority.
    #[error("it names no authority")]
    Empty,
    /// A file could not be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// No certificate where authorities are expected.
    #[error("`{}` holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that cannot be an authority.
    #[error("`{}` holds a certificate that cannot be trusted: {fault}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        fault: AuthorityFault,
    },
    /// A revocation list that cannot be used.
    #[error("`{}` cannot be used as a revocation list: {fault}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        fault: RevocationFault,
    },
}
