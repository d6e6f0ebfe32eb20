//! Why a request is refused, and what would be needed instead. Worked out only when a request is refused.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::criterion::{Remedy, SubjectCriterion};
use super::{Condition, Criterion, Facts, Reading, RouteRules, Rule, Verdict};
use crate::identity::Reason;

/// A refusal with everything a challenge, a page and a record need. Nothing of the request is in it, but `nearest` tells
/// what the rules ask for, so it is for the operator alone.
#[derive(Clone, Debug)]
pub struct Refusal<'r> {
    /// The reason code. `CredentialMissing` is 401, every other one is 403.
    pub reason: Reason,
    /// The rule that refused, when one did; when nothing allowed, none.
    pub rule: Option<&'r Rule>,
    /// A text that a rule holds ready for the person refused.
    pub advice: Option<Arc<str>>,
    /// The scopes that a token would need (RFC 6750 section 3).
    pub scopes: Vec<Box<str>>,
    /// The classes of sign-in that would do (RFC 9470 section 3).
    pub acr: Vec<Box<str>>,
    /// How old a sign-in may be (RFC 9470 section 3).
    pub max_age: Option<Duration>,
    /// What was nearest to being allowed: "would be allowed by `rule` with group `sre`". None where a rule denies.
    pub nearest: Option<String>,
}

impl<'r> Refusal<'r> {
    /// The refusal that a verdict means; `None` for a verdict that allows.
    pub fn of(verdict: &Verdict<'r>, rules: &'r RouteRules, facts: &Facts<'_>, now: Timestamp) -> Option<Self> {
        let mut refusal = match *verdict {
            Verdict::Allowed(_) => return None,
            Verdict::Denied(rule) => Self::new(Reason::DeniedByRule, Some(rule)),
            Verdict::RequirementFailed(rule) => {
                let mut refusal = Self::new(Reason::RequirementFailed, Some(rule));
                let blockers = blockers(rule, facts, now);
                refusal.offer_remedy(&blockers);
                refusal.nearest = Some(told("would meet", rule, &blockers));
                refusal
            }
            Verdict::NothingAllows => {
                let mut refusal = Self::new(Reason::NoRuleAllows, None);
                if let Some((rule, blockers)) = nearest(rules, facts, now) {
                    refusal.offer_remedy(&blockers);
                    refusal.nearest = Some(told("would be allowed by", rule, &blockers));
                    refusal.advice = rule.advice().cloned();
                }
                refusal
            }
        };
        if must_present_credential(rules, facts, now) {
            refusal.reason = Reason::CredentialMissing;
        }
        Some(refusal)
    }

    /// The refusal of a route without rules.
    pub const fn closed() -> Self {
        Self {
            reason: Reason::NoRuleAllows,
            rule: None,
            advice: None,
            scopes: Vec::new(),
            acr: Vec::new(),
            max_age: None,
            nearest: None,
        }
    }

    fn new(reason: Reason, rule: Option<&'r Rule>) -> Self {
        Self { reason, rule, advice: rule.and_then(Rule::advice).cloned(), ..Self::closed() }
    }

    /// When only the token is too weak, says so: a client can fetch a better one.
    fn offer_remedy(&mut self, blockers: &[Blocker<'_>]) {
        let remedies: Option<Vec<_>> = blockers.iter().map(|blocker| blocker.remedy()).collect();
        let Some(remedies) = remedies.filter(|remedies| !remedies.is_empty()) else { return };
        let scope = remedies.contains(&Remedy::Scope);
        self.reason = if scope { Reason::ScopeInsufficient } else { Reason::StepUpRequired };
        for blocker in blockers {
            match blocker.criterion {
                Some(Criterion::Subject(SubjectCriterion::Scopes(list))) => {
                    let wanted = [&list.all, &list.any].into_iter().flatten().flat_map(|set| set.iter());
                    self.scopes.extend(wanted.map(Box::from));
                }
                Some(Criterion::Subject(SubjectCriterion::Acr(values))) => {
                    self.acr.extend(values.iter().map(Box::from));
                }
                Some(Criterion::Subject(SubjectCriterion::SignedInWithin(most))) => {
                    self.max_age = Some(self.max_age.map_or(*most, |least| least.min(*most)));
                }
                _ => {}
            }
        }
    }
}

/// POLICY semantics 10: whoever presented nothing where tokens count is asked to, unless something refuses them that no
/// token could change.
fn must_present_credential(rules: &RouteRules, facts: &Facts<'_>, now: Timestamp) -> bool {
    facts.token.is_none()
        && rules.takes_tokens
        && !rules.denies.iter().any(|rule| !rule.reads_token() && rule.applies(facts, now))
}

/// One thing that stands between a request and a rule.
struct Blocker<'r> {
    /// The criterion, when it stands by itself and not under an `unless`.
    criterion: Option<&'r Criterion>,
    wanted: String,
}

impl Blocker<'_> {
    fn remedy(&self) -> Option<Remedy> {
        self.criterion.and_then(Criterion::remedy)
    }

    /// Somebody whom this issuer knows can be given a group; a token of another issuer makes them somebody else.
    const fn distance(&self) -> u32 {
        match self.criterion {
            Some(Criterion::Subject(SubjectCriterion::Issuer(_))) => 3,
            _ => 1,
        }
    }
}

/// The allow that lacks least, and what it lacks; the first by name among equals.
fn nearest<'r>(rules: &'r RouteRules, facts: &Facts<'_>, now: Timestamp) -> Option<(&'r Rule, Vec<Blocker<'r>>)> {
    let candidates = rules.allows.iter().map(|rule| (rule.as_ref(), blockers(rule, facts, now)));
    candidates
        .filter(|(_, blockers)| !blockers.is_empty())
        .min_by_key(|(_, blockers)| blockers.iter().map(Blocker::distance).sum::<u32>())
}

fn told(verb: &str, rule: &Rule, blockers: &[Blocker<'_>]) -> String {
    let wanted: Vec<_> = blockers.iter().map(|blocker| blocker.wanted.as_str()).collect();
    format!("{verb} `{}` with {}", rule.name, wanted.join(", "))
}

fn blockers<'r>(rule: &'r Rule, facts: &Facts<'_>, now: Timestamp) -> Vec<Blocker<'r>> {
    if rule.rollout.is_some_and(|rollout| !rollout.reaches(rule, facts)) {
        return vec![Blocker { criterion: None, wanted: "a place in the rollout".into() }];
    }
    let mut found = Vec::new();
    find_blockers(&rule.condition, facts, rule.reading(now), &mut found);
    found
}

fn find_blockers<'r>(condition: &'r Condition, facts: &Facts<'_>, reading: Reading, found: &mut Vec<Blocker<'r>>) {
    if condition.truth(facts, reading) == super::Truth::Holds {
        return;
    }
    match condition {
        Condition::Is(criterion) => found.push(Blocker { criterion: Some(criterion), wanted: criterion.wanted() }),
        Condition::All(parts) => parts.iter().for_each(|part| find_blockers(part, facts, reading, found)),
        Condition::Any(parts) => {
            let alternatives = parts.iter().map(|part| {
                let mut blockers = Vec::new();
                find_blockers(part, facts, reading, &mut blockers);
                blockers
            });
            found.extend(alternatives.min_by_key(Vec::len).unwrap_or_default());
        }
        Condition::Not(inner) => found.push(Blocker { criterion: None, wanted: format!("not {}", inner.wanted()) }),
        Condition::Named(_, inner) => find_blockers(inner, facts, reading, found),
        Condition::WhenAbsent(absent, inner) => find_blockers(inner, facts, reading.when_absent(*absent), found),
    }
}
