//! The parts of `/status`, each without a single identity of whoever asks.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::authn::SourceStatus;
use crate::identity::Name;
use crate::listener::{ServerCertificate, TrustBundle, Untimely};
use crate::telemetry::SubjectCount;
use crate::upstream::EndpointStatus;

/// A version of the policy that a rollback can go back to.
#[derive(Clone, Debug, Serialize)]
pub struct VersionNote {
    /// The version, as records name it.
    pub version: String,
    /// When it last came into force.
    pub since: Timestamp,
    /// Whether a rollback took it out of force.
    pub withdrawn: bool,
}

/// The versions of the policy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VersionsNote {
    /// Those that are kept, the one in force last.
    pub kept: Vec<VersionNote>,
    /// That of the files on disk, when a rollback put another one in force in its place.
    pub set_aside: Option<String>,
}

/// How many subjects are refused in the window that is being counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DenialNote {
    /// Different authenticated subjects that asked, about.
    pub subjects: u64,
    /// Of these, those that were refused at least once.
    pub refused: u64,
    /// The share in percent above which the alarm is raised.
    pub bound_percent: u8,
    /// Whether it is raised.
    pub alarm: bool,
    /// Whether there were too many to tell.
    pub uncounted: bool,
}

impl DenialNote {
    /// A note of what was counted.
    pub fn new(count: Option<SubjectCount>, bound_percent: u8, alarm: bool) -> Self {
        let (subjects, refused) = count.unwrap_or_default().rounded();
        Self { subjects, refused, bound_percent, alarm, uncounted: count.is_none() }
    }
}

/// A bound listener.
#[derive(Debug, Serialize)]
pub struct ListenerState {
    /// Its name.
    pub name: Name,
    /// Its address.
    pub address: SocketAddr,
}

/// A token source.
#[derive(Debug, Serialize)]
pub struct SourceNote {
    /// Its name in the configuration.
    pub name: Name,
    /// `issuer` or `introspection`.
    pub kind: &'static str,
    /// `never`, `fresh`, `stale` or `down`.
    pub state: &'static str,
    /// How many keys of an issuer are known.
    pub keys: usize,
    /// When it last answered well.
    pub last_success: Option<Timestamp>,
    /// What went wrong since, as a word.
    pub last_error: Option<&'static str>,
}

impl From<SourceStatus> for SourceNote {
    fn from(status: SourceStatus) -> Self {
        let SourceStatus { name, kind, state, keys, last_success, last_error, .. } = status;
        Self { name, kind: kind.as_str(), state: state.as_str(), keys, last_success, last_error }
    }
}

/// Somebody who signs client certificates.
#[derive(Debug, Serialize)]
pub struct AuthorityNote {
    /// Its bundle's name in the configuration.
    pub trust: Name,
    /// Its subject.
    pub authority: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether that has passed: none of its certificates count.
    pub expired: bool,
    /// When its next revocation list is due, as the one in force says.
    pub next_update: Option<Timestamp>,
    /// How many certificates that list revokes.
    pub revoked: usize,
    /// Whether revocation is asked and there is no list, or one that is overdue.
    pub list_missing: bool,
}

impl AuthorityNote {
    pub(super) fn of(bundle: &TrustBundle, now: Timestamp) -> Vec<Self> {
        let (lists, without) = (bundle.freshness(), bundle.without_list());
        let note = |(authority, not_after): (&str, Timestamp)| {
            let list = lists.iter().filter(|list| list.signer == authority).min_by_key(|list| list.next_update);
            Self {
                trust: bundle.name().clone(),
                authority: authority.to_owned(),
                not_after,
                expired: not_after <= now,
                next_update: list.map(|list| list.next_update),
                revoked: list.map_or(0, |list| list.entries),
                list_missing: without.contains(&authority) || list.is_some_and(|list| list.next_update <= now),
            }
        };
        bundle.authorities().map(note).collect()
    }
}

/// A server certificate that a listener shows.
#[derive(Debug, Serialize)]
pub struct CertificateNote {
    /// Its listener's name in the configuration.
    pub listener: Name,
    /// The file of its chain.
    pub chain: String,
    /// When it begins: the last one of its chain.
    pub not_before: Timestamp,
    /// When it ends: the first one of its chain.
    pub not_after: Timestamp,
    /// Whether that has passed: clients refuse it.
    pub expired: bool,
    /// Whether it has not begun: clients refuse it until then.
    pub not_yet_valid: bool,
}

impl CertificateNote {
    pub(super) fn of(listener: &Name, certificate: &ServerCertificate, now: Timestamp) -> Self {
        let validity = certificate.validity();
        let untimely = validity.untimely(now);
        Self {
            listener: listener.clone(),
            chain: certificate.file().display().to_string(),
            not_before: validity.not_before,
            not_after: validity.not_after,
            expired: untimely == Some(Untimely::Ended),
            not_yet_valid: untimely == Some(Untimely::NotYet),
        }
    }
}

/// An endpoint of an upstream.
#[derive(Debug, Serialize)]
pub struct EndpointNote {
    /// Its upstream's name in the configuration.
    pub upstream: Name,
    /// Its address there.
    pub endpoint: Arc<str>,
    /// Whether requests are sent to it.
    pub in_service: bool,
    /// Whether its health check finds it well.
    pub well: bool,
    /// How its last health check went.
    pub last_check: Option<&'static str>,
    /// Whether failed requests have put it out of service for now.
    pub ejected: bool,
    /// Requests in flight.
    pub active: u32,
}

impl From<EndpointStatus> for EndpointNote {
    fn from(status: EndpointStatus) -> Self {
        let in_service = status.in_service();
        let EndpointStatus { upstream, endpoint, well, last_check, ejected, active, .. } = status;
        Self { upstream, endpoint, in_service, well, last_check, ejected, active }
    }
}

/// The audit log.
#[derive(Debug, Serialize)]
pub struct AuditState {
    /// Whether records can be written.
    pub writable: bool,
    /// Why not.
    pub failure: Option<String>,
    /// Bytes written.
    pub bytes_written: u64,
    /// Records that were only counted.
    pub records_lost: u64,
}
