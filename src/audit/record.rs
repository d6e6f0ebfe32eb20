//! The shape of a record: one JSON object a line. `docs/audit.md` describes each member.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::identity::{Issuer, Name, PeerCertificate, Reason, TokenFacts};
use crate::policy::Watched;

/// What is recorded of one request. The path without its query, and no header field: a record holds no credential.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// `request` for the one final record, `opened` for the notice of an exchange that is open for long.
    pub kind: &'static str,
    /// When the head of the request arrived.
    pub time: Timestamp,
    /// The request id that the answer carries.
    pub id: &'a str,
    /// The W3C trace id.
    pub trace: &'a str,
    /// The connection, the same for all of its requests.
    pub connection: &'a str,
    /// The listener that accepted it.
    pub listener: &'a Name,
    /// The connection's other end.
    pub client: SocketAddr,
    /// Where the request comes from: behind a trusted proxy, what that states.
    pub source: Option<IpAddr>,
    /// What the client showed in the TLS handshake.
    pub peer: PeerRecord<'a>,
    /// Who asked, when a token was verified.
    pub subject: Option<SubjectRecord<'a>>,
    /// The method.
    pub method: &'a str,
    /// The host.
    pub host: Option<&'a str>,
    /// The path as it was forwarded, without query.
    pub path: &'a str,
    /// The route.
    pub route: Option<&'a Name>,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// Why not, or how an allowed exchange ended other than well.
    #[serde(serialize_with = "reason")]
    pub reason: Option<Reason>,
    /// The rule that decided.
    pub rule: Option<&'a Name>,
    /// The version of the policy that decided.
    pub policy: Option<&'a str>,
    /// What the rules that are only watched would have decided instead, when that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<WatchedRecord<'a>>,
    /// The upstream that answered.
    pub upstream: Option<&'a Name>,
    /// Its endpoint.
    pub endpoint: Option<&'a str>,
    /// The status that the client was sent.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Durations in microseconds.
    pub durations_us: Durations,
    /// More about a refusal, for the operator alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

/// A decision that was not made: by rules in shadow mode, or by a candidate policy.
#[derive(Debug, Serialize)]
pub struct WatchedRecord<'a> {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The rule that would have decided.
    pub rule: Option<&'a Name>,
}

impl<'a> From<&'a Watched> for WatchedRecord<'a> {
    fn from(watched: &'a Watched) -> Self {
        Self { decision: if watched.allowed { "allow" } else { "deny" }, rule: watched.rule.as_ref() }
    }
}

/// Durations in microseconds, counted from the arrival of the request's head.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Durations {
    /// Until who asks was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identified: Option<u64>,
    /// Until the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<u64>,
    /// Until the head of the upstream's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<u64>,
    /// Until the end of the exchange.
    pub total: u64,
}

/// Microseconds, for a record.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What the client showed in the TLS handshake.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerRecord<'a> {
    /// No certificate.
    Absent,
    /// A certificate that was not accepted, and why.
    Refused(&'static str),
    /// A verified certificate.
    Verified {
        /// The trust bundle.
        trust: &'a Name,
        /// The SPIFFE ID.
        spiffe_id: Option<&'a str>,
        /// The subject's distinguished name.
        subject: &'a str,
        /// The serial number, in hexadecimal.
        serial: &'a str,
    },
}

impl<'a> From<&'a PeerCertificate> for PeerRecord<'a> {
    fn from(peer: &'a PeerCertificate) -> Self {
        match peer {
            PeerCertificate::Absent => Self::Absent,
            PeerCertificate::Refused(refusal) => Self::Refused(refusal.as_str()),
            PeerCertificate::Verified(identity) => {
                let facts = identity.facts();
                Self::Verified {
                    trust: &facts.trust,
                    spiffe_id: facts.spiffe_id.as_ref().map(crate::identity::SpiffeId::as_str),
                    subject: &facts.subject,
                    serial: &facts.serial,
                }
            }
        }
    }
}

/// Who asked.
#[derive(Debug, Serialize)]
pub struct SubjectRecord<'a> {
    /// Who says so.
    pub issuer: &'a Issuer,
    /// The issuer's name for them.
    pub sub: &'a str,
    /// The client that acts for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a str>,
    /// The token source of the configuration.
    pub source: &'a Name,
    /// The token's own id (`jti`), which `portcullis revoke` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<&'a str>,
}

impl<'a> From<&'a TokenFacts> for SubjectRecord<'a> {
    fn from(token: &'a TokenFacts) -> Self {
        Self {
            issuer: &token.principal.issuer,
            sub: &token.principal.subject,
            client_id: token.client_id.as_deref(),
            source: &token.source,
            token_id: token.id.as_deref(),
        }
    }
}

/// A connection that ended before its first request, or in a way that HTTP cannot tell.
#[derive(Debug, Serialize)]
pub struct ConnectionRecord<'a> {
    /// Always `connection`.
    pub kind: &'static str,
    /// When it ended.
    pub time: Timestamp,
    /// The connection.
    pub connection: &'a str,
    /// The listener that accepted it.
    pub listener: &'a Name,
    /// The connection's other end.
    pub client: SocketAddr,
    /// What went wrong: a word.
    pub failure: &'a str,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn reason<S: Serializer>(reason: &Option<Reason>, serializer: S) -> Result<S::Ok, S::Error> {
    reason.map(Reason::code).serialize(serializer)
}
