//! A line of the audit log, read again. `docs/audit.md` describes its members.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::Value;

use crate::identity::{ClaimForm, Claims, Issuer, Name, PeerFacts, Principal, Reason, Rendered, SpiffeId, TokenFacts};
use crate::policy::case::Case;
use crate::policy::rules::Criterion;
use crate::policy::rules::criterion::{PeerCriterion, RequestCriterion, SubjectCriterion};
use crate::request::{CanonicalPath, Host};

/// The refusals that the policy decides.
const DECIDED: [Reason; 6] = [
    Reason::NoRuleAllows,
    Reason::DeniedByRule,
    Reason::RequirementFailed,
    Reason::StepUpRequired,
    Reason::ScopeInsufficient,
    Reason::CredentialMissing,
];

/// One decision that was recorded.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request id.
    pub id: String,
    /// The request, as far as the record holds it.
    pub case: Case,
    /// Whether it was admitted.
    pub allowed: bool,
    /// The reason of the refusal.
    pub reason: Option<Reason>,
    /// The route.
    pub route: Option<Name>,
    /// The rule.
    pub rule: Option<Name>,
    /// The version of the policy that decided.
    pub policy: Option<String>,
    source_known: bool,
}

/// Why a line is no record to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A connection, or a notice of an exchange whose record follows.
    OtherKind,
    /// A request that was refused before the policy was asked.
    NotDecided,
    /// Nothing that the audit log writes.
    Malformed,
}

impl Unreadable {
    /// Why the record on `line` cannot be explained, for a person.
    pub fn told(self, line: &str) -> String {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("unknown");
        match self {
            Self::OtherKind => "that is no record of a request".into(),
            Self::Malformed => "the record cannot be read".into(),
            Self::NotDecided => format!(
                "the request was refused before the policy was asked: {} ({}); docs/reasons.md tells more",
                text("reason"),
                text("detail")
            ),
        }
    }
}

impl Record {
    /// Reads a line.
    ///
    /// # Errors
    /// [`Unreadable`] says why there is nothing to replay.
    pub fn parse(line: &str) -> Result<Self, Unreadable> {
        let value: Value = serde_json::from_str(line).map_err(|_| Unreadable::Malformed)?;
        match value.get("kind").and_then(Value::as_str) {
            Some("request") => {}
            Some("opened" | "connection") => return Err(Unreadable::OtherKind),
            _ => return Err(Unreadable::Malformed),
        }
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let name = |key: &str| text(key).map(Name::new);
        let reason = text("reason").and_then(|text| Reason::ALL.iter().copied().find(|reason| reason.code() == text));
        let allowed = text("decision").as_deref() == Some("allow");
        if !allowed && reason.is_none_or(|reason| !DECIDED.contains(&reason)) {
            return Err(Unreadable::NotDecided);
        }
        let source = text("source").and_then(|text| text.parse::<IpAddr>().ok());
        let (case, record) = (Self::case(&value, source).ok_or(Unreadable::Malformed)?, text("id"));
        Ok(Self {
            id: record.unwrap_or_default(),
            case,
            allowed,
            reason,
            route: name("route"),
            rule: name("rule"),
            policy: text("policy"),
            source_known: source.is_some(),
        })
    }

    fn case(value: &Value, source: Option<IpAddr>) -> Option<Case> {
        let text = |key: &str| value.get(key)?.as_str();
        Some(Case {
            method: Method::from_bytes(text("method")?.as_bytes()).ok()?,
            host: Host::parse_authority(text("host")?.as_bytes()).ok()?.0,
            path: CanonicalPath::parse(text("path")?).ok()?,
            query: None,
            headers: HeaderMap::new(),
            token: value.get("subject").and_then(token),
            peer: value.get("peer").and_then(|peer| verified(peer.get("verified")?)),
            source: source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            at: text("time")?.parse().ok()?,
        })
    }

    /// Whether it was admitted; `None` when the policy was not asked.
    pub fn decided(&self) -> Option<bool> {
        let asked = self.allowed || self.reason.is_some_and(|reason| DECIDED.contains(&reason));
        asked.then_some(self.allowed)
    }

    /// Who asked, in one word.
    pub fn who(&self) -> String {
        match (&self.case.token, &self.case.peer) {
            (Some(token), _) => format!("{} at {}", token.principal.subject, token.source),
            (None, Some(peer)) => peer.spiffe_id.as_ref().map_or_else(|| peer.subject.to_string(), ToString::to_string),
            (None, None) => "anonymous".into(),
        }
    }

    /// Whether the record holds all that the criterion looks at.
    pub fn holds(&self, criterion: &Criterion) -> bool {
        let (no_token, no_peer) = (self.case.token.is_none(), self.case.peer.is_none());
        match criterion {
            Criterion::Subject(
                SubjectCriterion::Any
                | SubjectCriterion::Issuer(_)
                | SubjectCriterion::Sub(_)
                | SubjectCriterion::ClientId(_),
            ) => true,
            Criterion::Subject(_) | Criterion::Claim(_) => no_token,
            Criterion::Peer(
                PeerCriterion::Any
                | PeerCriterion::None
                | PeerCriterion::Trust(_)
                | PeerCriterion::SpiffeId(_)
                | PeerCriterion::Subject(_)
                | PeerCriterion::Serial(_),
            ) => true,
            Criterion::Peer(_) => no_peer,
            Criterion::Request(
                RequestCriterion::Method(_)
                | RequestCriterion::Host(_)
                | RequestCriterion::Path(_)
                | RequestCriterion::PathParam(..),
            )
            | Criterion::Time(_) => true,
            Criterion::Request(_) => false,
            Criterion::Source(_) => self.source_known,
            Criterion::When(expression) => {
                let reads = expression.reads();
                let known = (no_token || !reads.token) && (no_peer || !reads.peer);
                known && !reads.query && !reads.headers && (self.source_known || !reads.source)
            }
        }
    }
}

/// The token, as far as it was recorded; [`Record::holds`] keeps the rest from being read.
fn token(value: &Value) -> Option<TokenFacts> {
    let text = |key: &str| value.get(key)?.as_str();
    Some(TokenFacts {
        source: Name::new(text("source")?),
        principal: Principal { issuer: Issuer::new(text("issuer")?), subject: text("sub")?.into() },
        client_id: text("client_id").map(Into::into),
        audiences: Vec::new(),
        scopes: Vec::new(),
        groups: Vec::new(),
        groups_claim: ClaimForm::Absent,
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        issued_at: None,
        expires_at: Timestamp::MAX,
        id: text("token_id").map(Into::into),
        confirmation: None,
        claims: Claims::from(serde_json::Map::new()),
        recorded: Rendered::default(),
    })
}

/// The certificate, as far as it was recorded.
fn verified(value: &Value) -> Option<PeerFacts> {
    let text = |key: &str| value.get(key)?.as_str();
    Some(PeerFacts {
        trust: Name::new(text("trust")?),
        spiffe_id: text("spiffe_id").and_then(|id| SpiffeId::parse(id).ok()),
        subject: text("subject")?.into(),
        issuer: "".into(),
        dns_names: Vec::new(),
        uris: Vec::new(),
        emails: Vec::new(),
        serial: text("serial")?.into(),
        key_algorithm: "",
        not_before: Timestamp::MIN,
        not_after: Timestamp::MAX,
        fingerprint: [0; 32],
        der: std::sync::Arc::from([].as_slice()),
    })
}
