//! The criteria: one question each about the facts of a request. One file a family.
//!
//! A criterion knows three things: its answer ([`Criterion::truth`]), what it asks for in words
//! ([`Criterion::wanted`]), and what it saw ([`Criterion::seen`]). To add one, add a variant; the compiler leads.

mod claim;
mod list;
mod peer;
mod request;
mod source;
mod subject;
mod text;
mod time;

use super::when::Expression;
use super::{Facts, Quantifier, Reading, Truth};

pub use claim::{ClaimCriterion, ClaimTest};
pub use list::ListMatch;
pub use peer::{DnsPattern, PatternError, PeerCriterion, SpiffePattern};
pub use request::{PathPattern, RequestCriterion};
pub use source::SourceCriterion;
pub use subject::SubjectCriterion;
pub use text::{StringSet, TextMatch, TextTest};
pub use time::{TimeCriterion, Weekdays};

/// One question about the facts.
#[derive(Clone, Debug)]
pub enum Criterion {
    /// `subject = { .. }` except claims.
    Subject(SubjectCriterion),
    /// `subject = { claims = { .. } }`.
    Claim(ClaimCriterion),
    /// `device = { .. }` or `workload = { .. }`.
    Peer(PeerCriterion),
    /// `request = { .. }`.
    Request(RequestCriterion),
    /// `source = { .. }`.
    Source(SourceCriterion),
    /// `time = { .. }`.
    Time(Box<TimeCriterion>),
    /// `when = '..'`.
    When(std::sync::Arc<Expression>),
}

/// What a refused client could bring instead, for a challenge (RFC 6750 section 3.1, RFC 9470 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A token with more scopes.
    Scope,
    /// A stronger or more recent sign-in.
    SignIn,
}

impl Criterion {
    /// The criterion's own answer; the tree around it decides what it counts for.
    pub fn truth(&self, facts: &Facts<'_>, reading: Reading) -> Truth {
        let quantifier = reading.quantifier();
        match self {
            Self::Subject(criterion) => criterion.truth(facts, reading.now),
            Self::Claim(criterion) => criterion.truth(facts, quantifier),
            Self::Peer(criterion) => criterion.truth(facts),
            Self::Request(criterion) => criterion.truth(facts, quantifier),
            Self::Source(criterion) => criterion.truth(facts),
            Self::Time(criterion) => criterion.truth(reading.now),
            Self::When(expression) => match expression.evaluate(facts, reading.now) {
                Ok(holds) => Truth::from(holds),
                Err(_) => Truth::Malformed,
            },
        }
    }

    /// Whether the answer may depend on the token.
    pub fn reads_token(&self) -> bool {
        match self {
            Self::Subject(_) | Self::Claim(_) => true,
            Self::When(expression) => expression.reads().token,
            Self::Peer(_) | Self::Request(_) | Self::Source(_) | Self::Time(_) => false,
        }
    }

    /// Whether the answer may depend on the client certificate.
    pub fn reads_peer(&self) -> bool {
        match self {
            Self::Peer(_) => true,
            Self::When(expression) => expression.reads().peer,
            Self::Subject(_) | Self::Claim(_) | Self::Request(_) | Self::Source(_) | Self::Time(_) => false,
        }
    }

    /// Whether the answer changes as time goes by.
    pub fn reads_time(&self) -> bool {
        match self {
            Self::Time(_) | Self::Subject(SubjectCriterion::SignedInWithin(_) | SubjectCriterion::TokenAge(_)) => true,
            Self::When(expression) => expression.reads().now,
            _ => false,
        }
    }

    /// Whether it names somebody or something by what they proved: what an allow must do, unless it says
    /// `anonymous = true`.
    pub const fn identifies(&self) -> bool {
        match self {
            Self::Subject(_) | Self::Claim(_) => true,
            Self::Peer(criterion) => criterion.identifies(),
            Self::Request(_) | Self::Source(_) | Self::Time(_) | Self::When(_) => false,
        }
    }

    /// What could be brought instead, when this criterion alone stands in the way.
    pub const fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Subject(SubjectCriterion::Scopes(_)) => Some(Remedy::Scope),
            Self::Subject(SubjectCriterion::Acr(_) | SubjectCriterion::SignedInWithin(_)) => Some(Remedy::SignIn),
            _ => None,
        }
    }

    /// What it asks for, as the rest of a sentence: ``group `sre` ``.
    pub fn wanted(&self) -> String {
        match self {
            Self::Subject(criterion) => criterion.wanted(),
            Self::Claim(criterion) => criterion.wanted(),
            Self::Peer(criterion) => criterion.wanted(),
            Self::Request(criterion) => criterion.wanted(),
            Self::Source(criterion) => criterion.wanted(),
            Self::Time(criterion) => criterion.wanted(),
            Self::When(expression) => format!("when `{}`", expression.source()),
        }
    }

    /// What it saw, for whoever may see everything. Never shown to the person refused.
    pub fn seen(&self, facts: &Facts<'_>, reading: Reading) -> String {
        match self {
            Self::Subject(criterion) => criterion.seen(facts, reading.now),
            Self::Claim(criterion) => criterion.seen(facts),
            Self::Peer(criterion) => criterion.seen(facts),
            Self::Request(criterion) => criterion.seen(facts),
            Self::Source(_) => facts.source.to_canonical().to_string(),
            Self::Time(criterion) => criterion.seen(reading.now),
            Self::When(expression) => {
                let parts = expression.explain(facts, reading.now);
                let parts: Vec<_> = parts.into_iter().map(|(part, value)| format!("{part} = {value}")).collect();
                parts.join("; ")
            }
        }
    }
}

/// Joins several readings of one thing, by the quantifier. `None` when there is none.
fn each(mut answers: impl Iterator<Item = Truth>, quantifier: Quantifier) -> Option<Truth> {
    let first = answers.next()?;
    Some(answers.fold(first, |all, next| match quantifier {
        Quantifier::Every => all.and(next),
        Quantifier::One => all.or(next),
    }))
}

/// A value as explanations quote it; what is long is cut.
fn quoted(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Values as explanations list them.
fn listed<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    const MOST: usize = 20;
    let mut shown: Vec<_> = texts.map(quoted).collect();
    if shown.len() > MOST {
        let more = shown.len() - MOST;
        shown.truncate(MOST);
        shown.push(format!("and {more} more"));
    }
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}
