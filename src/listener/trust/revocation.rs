//! Certificate revocation lists (RFC 5280 section 5): read and verified once, indexed by signer and serial number.
//!
//! webpki would verify a list's signature in every handshake that meets it, 1.5 ms for 100,000 entries; the index costs
//! two look-ups. A list that does not speak for all certificates of its signer is refused: its silence proves nothing.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::WebPkiSupportedAlgorithms;
use webpki::{BorrowedCertRevocationList, EndEntityCert};
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::{FromDer, X509Extension};
use x509_parser::revocation_list::CertificateRevocationList;

use super::authority::{Authority, Signer};
use super::standing::{Link, Serial};
use crate::identity::PeerRefusal;

/// What holds when a list is past its `nextUpdate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenExpired {
    /// No certificate of its signer is accepted until there is a fresh one.
    #[default]
    Deny,
    /// The old list goes on counting; metrics and status say so.
    Warn,
}

/// How fresh one list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The authority that signed it.
    pub signer: String,
    /// `thisUpdate`.
    pub this_update: Timestamp,
    /// `nextUpdate`.
    pub next_update: Timestamp,
    /// How many certificates it revokes.
    pub entries: usize,
}

/// The lists of one bundle.
#[derive(Clone)]
pub(super) struct Revocation {
    lists: HashMap<(Signer, Kind), Arc<List>>,
    when_expired: WhenExpired,
}

/// Which of a signer's certificates a list speaks for (RFC 5280 section 5.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Leaf,
    Authority,
}

impl From<&Link> for Kind {
    fn from(link: &Link) -> Self {
        if link.is_leaf { Self::Leaf } else { Self::Authority }
    }
}

/// One list, verified. Times are seconds since 1970.
struct List {
    title: String,
    this_update: i64,
    next_update: i64,
    /// Sorted.
    serials: Vec<Serial>,
}

impl Revocation {
    pub(super) fn new(when_expired: WhenExpired) -> Self {
        Self { lists: HashMap::new(), when_expired }
    }

    /// Adds a list, after its signature: one of `authorities` must have made it. Of two lists for the same certificates
    /// the later counts.
    pub(super) fn add(
        &mut self,
        der: &[u8],
        authorities: &[&Authority],
        algorithms: &WebPkiSupportedAlgorithms,
        now: i64,
    ) -> Result<(), RevocationFault> {
        let strict = BorrowedCertRevocationList::from_der(der).map_err(|_| RevocationFault::Malformed)?;
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|_| RevocationFault::Malformed)?;
        let kinds = scope(&list)?;
        let authority = signer_of(&list, authorities, algorithms)?;
        let this_update = list.last_update().timestamp();
        if this_update > now {
            return Err(RevocationFault::NotYetValid { when: list.last_update().to_string() });
        }
        let next_update = list.next_update().ok_or(RevocationFault::Malformed)?.timestamp();
        let mut serials = Vec::new();
        for entry in &strict {
            let entry = entry.map_err(|_| RevocationFault::Malformed)?;
            serials.push(Serial::new(entry.serial_number).ok_or(RevocationFault::Malformed)?);
        }
        serials.sort_unstable();
        let list = Arc::new(List { title: authority.title.clone(), this_update, next_update, serials });
        for kind in kinds {
            let place = self.lists.entry((authority.signer, *kind)).or_insert_with(|| list.clone());
            if place.this_update < list.this_update {
                *place = list.clone();
            }
        }
        Ok(())
    }

    /// Whether nothing is said against a chain. A signer without a list, or with one that is too old, leaves it open:
    /// that is a refusal, too.
    pub(super) fn check(&self, links: &[Link], now: i64) -> Result<(), PeerRefusal> {
        for link in links {
            let list = self.lists.get(&(link.signer, link.into())).ok_or(PeerRefusal::RevocationUnknown)?;
            if list.serials.binary_search(&link.serial).is_ok() {
                return Err(PeerRefusal::Revoked);
            }
            if self.when_expired == WhenExpired::Deny && now >= list.next_update {
                return Err(PeerRefusal::RevocationUnknown);
            }
        }
        Ok(())
    }

    /// When the first list that speaks for a chain is too old; `None` when that changes nothing.
    pub(super) fn fresh_until(&self, links: &[Link]) -> Option<i64> {
        if self.when_expired == WhenExpired::Warn {
            return None;
        }
        let lists = links.iter().filter_map(|link| self.lists.get(&(link.signer, link.into())));
        lists.map(|list| list.next_update).min()
    }

    /// Authorities without a list for leaves: no client whose certificate they signed can be accepted.
    pub(super) fn uncovered<'a>(&self, authorities: &'a [Authority]) -> Vec<&'a str> {
        let covers = |authority: &&Authority| !self.lists.contains_key(&(authority.signer, Kind::Leaf));
        authorities.iter().filter(covers).map(|authority| authority.title.as_str()).collect()
    }

    /// The first authority whose list is older here than in `earlier`: such a list would bring revoked certificates back.
    pub(super) fn went_back(&self, earlier: &Self) -> Option<&str> {
        let is_older = |(key, list): &(&(Signer, Kind), &Arc<List>)| {
            earlier.lists.get(key).is_some_and(|before| before.this_update > list.this_update)
        };
        self.lists.iter().find(is_older).map(|(_, list)| list.title.as_str())
    }

    pub(super) fn freshness(&self) -> Vec<Freshness> {
        let moment = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
        let one = |list: &Arc<List>| Freshness {
            signer: list.title.clone(),
            this_update: moment(list.this_update),
            next_update: moment(list.next_update),
            entries: list.serials.len(),
        };
        let mut all: Vec<_> = self.lists.values().map(one).collect();
        all.sort_by(|a, b| (&a.signer, a.this_update).cmp(&(&b.signer, b.this_update)));
        all.dedup();
        all
    }
}

/// What a list speaks for: everything, leaves alone, or authorities alone, in exactly these encodings. One that covers
/// only some reasons, or only certificates that name a distribution point, is refused: its silence proves nothing.
fn scope(list: &CertificateRevocationList<'_>) -> Result<&'static [Kind], RevocationFault> {
    let is_scope = |extension: &&X509Extension<'_>| extension.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
    match list.extensions().iter().find(is_scope).map(|extension| extension.value) {
        None | Some([0x30, 0]) => Ok(&[Kind::Leaf, Kind::Authority]),
        Some([0x30, 3, 0x81, 1, 0xff]) => Ok(&[Kind::Leaf]),
        Some([0x30, 3, 0x82, 1, 0xff]) => Ok(&[Kind::Authority]),
        Some(_) => Err(RevocationFault::Partial),
    }
}

/// The authority whose key made the signature, and whose name the list bears.
fn signer_of<'a>(
    list: &CertificateRevocationList<'_>,
    authorities: &[&'a Authority],
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<&'a Authority, RevocationFault> {
    let signed = list.tbs_cert_list.as_ref();
    let signature = list.signature_value.as_ref();
    let made = |authority: &&&Authority| {
        let Ok(key) = EndEntityCert::try_from(&authority.certificate) else { return false };
        authority.subject == list.tbs_cert_list.issuer.as_raw()
            && algorithms.all.iter().any(|algorithm| key.verify_signature(*algorithm, signed, signature).is_ok())
    };
    let authority = authorities
        .iter()
        .find(made)
        .ok_or_else(|| RevocationFault::UnknownSigner { issuer: list.issuer().to_string() })?;
    if authority.may_sign_lists() {
        Ok(authority)
    } else {
        Err(RevocationFault::NotItsTask { issuer: authority.title.clone() })
    }
}

/// Why a revocation list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationFault {
    /// Not a version 2 list with `nextUpdate`, or with an extension that is critical and not known.
    #[error("it is no complete X.509 version 2 revocation list that can be read (delta and indirect lists cannot)")]
    Malformed,
    /// It speaks only for some reasons or distribution points.
    #[error("it covers only a part of its signer's certificates; give the complete list")]
    Partial,
    /// No authority of the bundle made its signature.
    #[error("no authority of this bundle signed it; it names `{issuer}`")]
    UnknownSigner {
        /// The issuer that it names.
        issuer: String,
    },
    /// The signer's `keyUsage` leaves out `cRLSign`.
    #[error("`{issuer}` must not sign revocation lists: its keyUsage leaves out cRLSign")]
    NotItsTask {
        /// The signer.
        issuer: String,
    },
    /// `thisUpdate` lies ahead.
    #[error("it is not valid before {when}")]
    NotYetValid {
        /// `thisUpdate`.
        when: String,
    },
}
