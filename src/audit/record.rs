//! The shape of a record: one JSON object a line. `docs/audit.md` describes each member.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::line::{Line, Seconds, member, members};
use crate::identity::{Name, PeerCertificate, Reason, SpiffeId, TokenFacts};
use crate::policy::Watched;
use crate::request::{Connection, RequestId, TraceContext};

/// What is recorded of one request. The path without its query, and no header field: a record holds no credential.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// `request` for the one final record, `opened` for the notice of an exchange that is open for long.
    pub(super) kind: &'static str,
    /// When the head of the request arrived.
    pub(super) time: Timestamp,
    /// The request id that the answer carries.
    pub(super) id: &'a RequestId,
    /// The W3C trace.
    pub(super) trace: &'a TraceContext,
    /// The connection it came over.
    pub(super) connection: &'a Connection,
    /// Where the request comes from: behind a trusted proxy, what that states.
    pub(super) source: Option<IpAddr>,
    /// What the token said, when one was verified.
    pub(super) token: Option<&'a TokenFacts>,
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
    /// Whether it was allowed.
    pub(super) allowed: bool,
    /// Why not, or how an allowed exchange ended other than well.
    pub(super) reason: Option<Reason>,
    /// The rule that decided.
    pub(super) rule: Option<&'a Name>,
    /// The version of the policy that decided.
    pub(super) policy: Option<&'a str>,
    /// What the rules that are only watched would have decided instead, when that differs.
    pub(super) watched: Option<&'a Watched>,
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
    pub(super) fn write(&self, lines: &mut Vec<u8>, seconds: &Seconds) {
        let mut line = Line::begin(lines);
        line.word(member!(first text "kind"), self.kind.as_bytes()).time(member!(text "time"), self.time, seconds);
        line.word(member!(text "id"), self.id.as_bytes()).word(member!(text "trace"), self.trace.trace_id());
        self.write_connection(&mut line);
        match &self.token {
            Some(token) => line.raw(token.recorded.or_render(|| members(|line| write_subject(token, line)))),
            None => line.raw(member!("subject")).raw("null"),
        };
        line.text(member!(text "method"), self.method).text_or_null(member!(text "host"), self.host);
        line.text(member!(text "path"), self.path).text_if(member!(text "rewritten"), self.rewritten);
        line.text_or_null(member!(text "route"), self.route.map(Name::as_str));
        self.write_decision(&mut line);
        line.text_or_null(member!(text "upstream"), self.upstream.map(Name::as_str));
        line.text_or_null(member!(text "endpoint"), self.endpoint);
        match self.status {
            Some(status) => line.number(member!("status"), u64::from(status)),
            None => line.raw(member!("status")).raw("null"),
        };
        line.number(member!("bytes_in"), self.bytes_in).number(member!("bytes_out"), self.bytes_out);
        self.durations_us.write(&mut line);
        line.text_if(member!(text "detail"), self.detail);
        line.end();
    }

    /// Nearly every request comes from where its connection comes from: then all of it is the same each time.
    fn write_connection(&self, line: &mut Line<'_>) {
        let Self { connection, source, .. } = *self;
        if source == Some(connection.client.ip().to_canonical()) {
            line.raw(
                connection.derived.recorded.or_render(|| members(|line| write_connection(connection, source, line))),
            );
        } else {
            write_connection(connection, source, line);
        }
    }

    fn write_decision(&self, line: &mut Line<'_>) {
        line.word(member!(text "decision"), decision(self.allowed));
        line.text_or_null(member!(text "reason"), self.reason.map(Reason::code));
        line.text_or_null(member!(text "rule"), self.rule.map(Name::as_str));
        line.text_or_null(member!(text "policy"), self.policy);
        if let Some(Watched { allowed, rule }) = self.watched {
            line.raw(member!("watched")).word(member!(first text "decision"), decision(*allowed));
            line.text_or_null(member!(text "rule"), rule.as_ref().map(Name::as_str)).raw("}");
        }
    }
}

const fn decision(allowed: bool) -> &'static [u8] {
    if allowed { b"allow" } else { b"deny" }
}

/// The connection, and where a request of it comes from.
fn write_connection(connection: &Connection, source: Option<IpAddr>, line: &mut Line<'_>) {
    line.hex(member!(text "connection"), connection.id.0);
    line.text(member!(text "listener"), connection.listener.as_str());
    line.socket(member!(text "client"), connection.client).address(member!(text "source"), source);
    line.raw(member!("peer"));
    match &connection.peer {
        PeerCertificate::Absent => line.raw("\"absent\""),
        PeerCertificate::Refused(refusal) => line.text(member!(first text "refused"), refusal.as_str()).raw("}"),
        PeerCertificate::Verified(identity) => {
            let facts = identity.facts();
            line.raw(member!(first "verified")).text(member!(first text "trust"), facts.trust.as_str());
            line.text_or_null(member!(text "spiffe_id"), facts.spiffe_id.as_ref().map(SpiffeId::as_str));
            line.text(member!(text "subject"), &facts.subject).text(member!(text "serial"), &facts.serial).raw("}}")
        }
    };
}

/// Who asked, as the token says. Its `token_id` (`jti`) is what `portcullis revoke` takes.
fn write_subject(token: &TokenFacts, line: &mut Line<'_>) {
    line.raw(member!("subject")).text(member!(first text "issuer"), token.principal.issuer.as_str());
    line.text(member!(text "sub"), &token.principal.subject);
    line.text_if(member!(text "client_id"), token.client_id.as_deref());
    line.text(member!(text "source"), token.source.as_str());
    line.text_if(member!(text "token_id"), token.id.as_deref()).raw("}");
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
