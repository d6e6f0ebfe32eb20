//! What the rules of a route look at: so that a grant keeps no more than it may be asked for again.

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};

use super::criterion::{RequestCriterion, SubjectCriterion};
use super::{Criterion, Facts, RouteRules, Rule};
use crate::identity::occurrences;

/// Which header fields rules read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadersRead {
    /// These, sorted; often none.
    These(std::sync::Arc<[HeaderName]>),
    /// Perhaps all: an expression reads them by names that are known only later.
    All,
}

impl Default for HeadersRead {
    fn default() -> Self {
        Self::These(std::sync::Arc::from([].as_slice()))
    }
}

impl HeadersRead {
    /// What these rules read.
    pub(super) fn of<'r>(rules: impl Iterator<Item = &'r Rule>) -> Self {
        let mut names = Vec::new();
        let mut all = false;
        for rule in rules {
            rule.condition.visit(&mut |criterion, _| match criterion {
                Criterion::Request(RequestCriterion::Header(name, _) | RequestCriterion::HeaderPresent(name, _)) => {
                    names.push(name.clone());
                }
                Criterion::When(expression) => all |= expression.reads().headers,
                _ => {}
            });
        }
        names.sort_by(|left, right| left.as_str().cmp(right.as_str()));
        names.dedup();
        if all { Self::All } else { Self::These(names.into()) }
    }

    /// The fields of a request that are read, each under the name by which the rules ask for it.
    pub fn kept(&self, headers: &HeaderMap) -> HeaderMap {
        match self {
            Self::All => headers.clone(),
            Self::These(names) => {
                let mut kept = HeaderMap::new();
                for name in names.iter() {
                    for value in occurrences(headers, name.as_str()) {
                        kept.append(name.clone(), value.clone());
                    }
                }
                kept
            }
        }
    }

    /// Whether everything read here is among what was kept.
    pub fn within(&self, kept: &Self) -> bool {
        match (self, kept) {
            (_, Self::All) => true,
            (Self::All, Self::These(_)) => false,
            (Self::These(read), Self::These(kept)) => read.iter().all(|name| kept.contains(name)),
        }
    }
}

/// How soon an expression that reads the time is asked again: nothing says when it changes.
const EXPRESSION_PERIOD: SignedDuration = SignedDuration::from_secs(60);

impl RouteRules {
    /// The first moment after `now` at which time alone may change what these rules say. `None`: no rule reads the time.
    pub fn next_change(&self, facts: &Facts<'_>, now: Timestamp) -> Option<Timestamp> {
        if !self.reads_time {
            return None;
        }
        let mut first: Option<Timestamp> = None;
        for rule in self.enforced() {
            rule.condition.visit(&mut |criterion, _| {
                let change = criterion.next_change(facts, now).filter(|change| *change > now);
                first = first.into_iter().chain(change).min();
            });
        }
        first
    }
}

impl Criterion {
    fn next_change(&self, facts: &Facts<'_>, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Time(criterion) => criterion.next_change(now),
            Self::Subject(SubjectCriterion::SignedInWithin(most)) => just_after(facts.token?.auth_time?, *most),
            Self::Subject(SubjectCriterion::TokenAge(most)) => just_after(facts.token?.issued_at?, *most),
            Self::When(expression) if expression.reads().now => now.checked_add(EXPRESSION_PERIOD).ok(),
            _ => None,
        }
    }
}

/// The moment after the last at which something of this age is young enough.
fn just_after(time: Timestamp, most: std::time::Duration) -> Option<Timestamp> {
    let end = time.checked_add(SignedDuration::try_from(most).ok()?).ok()?;
    end.checked_add(SignedDuration::from_nanos(1)).ok()
}
