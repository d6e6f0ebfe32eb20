//! Client chains that were verified a while ago: whose owner comes again need not have its authority's signatures
//! verified again (RFC 5280 section 6).
//!
//! Nothing else is spared. Trust, end of validity and revocation are asked on every hit, as they are when a session is
//! resumed; that the client has the key is proved in each handshake (RFC 8446 section 4.4.3). An entry is found by all
//! bytes that the client shows, and the memory belongs to the authorities of one configuration: a reload starts with none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use quick_cache::unsync::Cache;
use rustls_pki_types::CertificateDer;

use crate::listener::trust::Standing;

/// Chains that one profile remembers; some hundred bytes each.
const MOST: usize = 8192;

/// The bytes that a client showed, in short.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shown([u8; 32]);

impl Shown {
    pub(super) fn new(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Self {
        let mut context = Context::new(&SHA256);
        for certificate in std::iter::once(leaf).chain(intermediates) {
            // With its length: where one ends and the next begins is said, too.
            context.update(&u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(certificate);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// Remembers chains; what is asked for least goes first.
pub(super) struct Known(Mutex<Cache<Shown, Chain>>);

#[derive(Clone)]
struct Chain {
    standing: Arc<Standing>,
    /// When its signatures were verified; seconds since 1970.
    since: i64,
}

impl Known {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Cache::new(MOST)))
    }

    /// What was found about these bytes. `None` when nothing was, or only at a time that is still to come: a clock that
    /// was set back asks again from when on they count.
    pub(super) fn recall(&self, shown: &Shown, now: i64) -> Option<Arc<Standing>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(shown).filter(|chain| now >= chain.since).map(|chain| chain.standing.clone())
    }

    pub(super) fn keep(&self, shown: Shown, standing: Arc<Standing>, now: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(shown, Chain { standing, since: now });
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;

    use super::Shown;

    #[test]
    fn where_a_certificate_ends_is_part_of_what_is_shown() {
        let of = |leaf: &[u8], rest: &[&[u8]]| {
            let rest: Vec<_> = rest.iter().map(|bytes| CertificateDer::from(bytes.to_vec())).collect();
            Shown::new(&CertificateDer::from(leaf.to_vec()), &rest).0
        };
        let all = [of(b"ab", &[]), of(b"a", &[b"b"]), of(b"", &[b"ab"]), of(b"ab", &[b""]), of(b"a", &[b"", b"b"])];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one), "{index}");
        }
    }
}
