//! The shape of a record: one JSON object a line. `docs/audit.md` describes each member.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::line::{Line, member};
use crate::identity::{Issuer, Name, PeerCertificate, Reason, TokenFacts};
use crate::policy::Watched;
use crate::request::ConnectionId;

/// What is recorded of one request. The path without its query, and no header field: a record holds no credential.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// `request` for the one final record, `opened` for the notice of an exchange that is open for long.
    pub(super) kind: &'static str,
    /// When the head of the request arrived.
    pub(super) time: Timestamp,
    /// The request id that the answer carries.
    pub(super) id: &'a str,
    /// The W3C trace id.
    pub(super) trace: &'a str,
    /// The connection, the same for all of its requests.
    pub(super) connection: ConnectionId,
    /// The listener that accepted it.
    pub(super) listener: &'a Name,
    /// The connection's other end.
    pub(super) client: SocketAddr,
    /// Where the request comes from: behind a trusted proxy, what that states.
    pub(super) source: Option<IpAddr>,
    /// What the client showed in the TLS handshake.
    pub(super) peer: PeerRecord<'a>,
    /// Who asked, when a token was verified.
    pub(super) subject: Option<SubjectRecord<'a>>,
    /// The method.
    pub(super) method: &'a str,
    /// The host.
    pub(super) host: Option<&'a str>,
    /// The path that was asked for, without query.
    pub(super) path: &'a str,
    /// The path that was decided on and forwarded, when the route rewrites it.
    pub(super) rewritten: Option<&'a str>,
    /// The route.
    pub(super) route: Option<&'a Name>,
    /// `allow` or `deny`.
    pub(super) decision: &'static str,
    /// Why not, or how an allowed exchange ended other than well.
    pub(super) reason: Option<Reason>,
    /// The rule that decided.
    pub(super) rule: Option<&'a Name>,
    /// The version of the policy that decided.
    pub(super) policy: Option<&'a str>,
    /// What the rules that are only watched would have decided instead, when that differs.
    pub(super) watched: Option<WatchedRecord<'a>>,
    /// The upstream that answered.
    pub(super) upstream: Option<&'a Name>,
    /// Its endpoint.
    pub(super) endpoint: Option<&'a str>,
    /// The status that the client was sent.
    pub(super) status: Option<u16>,
    /// Bytes of the request's body.
    pub(super) bytes_in: u64,
    /// Bytes of the answer's body.
    pub(super) bytes_out: u64,
    /// Durations in microseconds.
    pub(super) durations_us: Durations,
    /// More about a refusal, for the operator alone.
    pub(super) detail: Option<&'a str>,
}

impl Record<'_> {
    /// Writes the record behind what is in `lines` already.
    pub(super) fn write(&self, lines: &mut Vec<u8>) {
        let mut line = Line::begin(lines);
        line.text(member!(first "kind"), self.kind).time(member!("time"), self.time);
        line.text(member!("id"), self.id).text(member!("trace"), self.trace);
        line.hex(member!("connection"), self.connection.0).text(member!("listener"), self.listener.as_str());
        line.socket(member!("client"), self.client).address(member!("source"), self.source);
        self.peer.write(&mut line);
        match &self.subject {
            Some(subject) => subject.write(&mut line),
            None => {
                line.raw(member!("subject")).raw("null");
            }
        }
        line.text(member!("method"), self.method).text_or_null(member!("host"), self.host);
        line.text(member!("path"), self.path).text_if(member!("rewritten"), self.rewritten);
        line.text_or_null(member!("route"), self.route.map(Name::as_str));
        line.text(member!("decision"), self.decision).text_or_null(member!("reason"), self.reason.map(Reason::code));
        line.text_or_null(member!("rule"), self.rule.map(Name::as_str)).text_or_null(member!("policy"), self.policy);
        if let Some(WatchedRecord { decision, rule }) = self.watched {
            line.raw(member!("watched")).text(member!(first "decision"), decision);
            line.text_or_null(member!("rule"), rule.map(Name::as_str)).raw("}");
        }
        line.text_or_null(member!("upstream"), self.upstream.map(Name::as_str));
        line.text_or_null(member!("endpoint"), self.endpoint);
        match self.status {
            Some(status) => line.number(member!("status"), u64::from(status)),
            None => line.raw(member!("status")).raw("null"),
        };
        line.number(member!("bytes_in"), self.bytes_in).number(member!("bytes_out"), self.bytes_out);
        self.durations_us.write(&mut line);
        line.text_if(member!("detail"), self.detail);
        line.end();
    }
}

/// A decision that was not made: by rules in shadow mode, or by a candidate policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchedRecord<'a> {
    /// `allow` or `deny`.
    pub(super) decision: &'static str,
    /// The rule that would have decided.
    pub(super) rule: Option<&'a Name>,
}

impl<'a> From<&'a Watched> for WatchedRecord<'a> {
    fn from(watched: &'a Watched) -> Self {
        Self { decision: if watched.allowed { "allow" } else { "deny" }, rule: watched.rule.as_ref() }
    }
}

/// Durations in microseconds, counted from the arrival of the request's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Durations {
    /// Until who asks was known.
    pub(super) identified: Option<u64>,
    /// Until the decision.
    pub(super) decided: Option<u64>,
    /// Until the head of the upstream's answer.
    pub(super) answered: Option<u64>,
    /// Until the end of the exchange.
    pub(super) total: u64,
}

impl Durations {
    fn write(&self, line: &mut Line<'_>) {
        let Self { identified, decided, answered, total } = *self;
        line.raw(member!("durations_us")).number(member!(first "total"), total);
        line.number_if(member!("identified"), identified).number_if(member!("decided"), decided);
        line.number_if(member!("answered"), answered).raw("}");
    }
}

/// Microseconds, for a record.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What the client showed in the TLS handshake.
#[derive(Debug)]
pub(super) enum PeerRecord<'a> {
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

impl PeerRecord<'_> {
    fn write(&self, line: &mut Line<'_>) {
        line.raw(member!("peer"));
        match self {
            Self::Absent => line.raw("\"absent\""),
            Self::Refused(why) => line.text(member!(first "refused"), why).raw("}"),
            Self::Verified { trust, spiffe_id, subject, serial } => {
                line.raw(member!(first "verified")).text(member!(first "trust"), trust.as_str());
                line.text_or_null(member!("spiffe_id"), *spiffe_id).text(member!("subject"), subject);
                line.text(member!("serial"), serial).raw("}}")
            }
        };
    }
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
#[derive(Debug)]
pub(super) struct SubjectRecord<'a> {
    /// Who says so.
    pub(super) issuer: &'a Issuer,
    /// The issuer's name for them.
    pub(super) sub: &'a str,
    /// The client that acts for them.
    pub(super) client_id: Option<&'a str>,
    /// The token source of the configuration.
    pub(super) source: &'a Name,
    /// The token's own id (`jti`), which `portcullis revoke` takes.
    pub(super) token_id: Option<&'a str>,
}

impl SubjectRecord<'_> {
    fn write(&self, line: &mut Line<'_>) {
        let Self { issuer, sub, client_id, source, token_id } = self;
        line.raw(member!("subject")).text(member!(first "issuer"), issuer.as_str()).text(member!("sub"), sub);
        line.text_if(member!("client_id"), *client_id).text(member!("source"), source.as_str());
        line.text_if(member!("token_id"), *token_id).raw("}");
    }
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
