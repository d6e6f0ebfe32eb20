//! The decision: one table, which can be checked by eye. Pure and total: facts and a moment in, a verdict out.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Effect, Facts, RouteRules, Rule};

/// What the rules of a route say about a request.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'r> {
    /// Admitted, by this rule.
    Allowed(&'r Arc<Rule>),
    /// This deny applies.
    Denied(&'r Arc<Rule>),
    /// This requirement is not met.
    RequirementFailed(&'r Arc<Rule>),
    /// No allow applies.
    NothingAllows,
}

impl<'r> Verdict<'r> {
    /// Whether the request is admitted.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// The rule that made it so.
    pub const fn rule(&self) -> Option<&'r Arc<Rule>> {
        match self {
            Self::Allowed(rule) | Self::Denied(rule) | Self::RequirementFailed(rule) => Some(rule),
            Self::NothingAllows => None,
        }
    }
}

/// Evaluates the rules of a route. Allocates nothing.
///
/// Where several rules of a kind apply, the first by name is told; the verdict does not depend on which.
pub fn evaluate<'r>(rules: &'r RouteRules, facts: &Facts<'_>, now: Timestamp) -> Verdict<'r> {
    combine(
        rules.denies.iter().find(|rule| rule.applies(facts, now)),
        rules.requirements.iter().find(|rule| !rule.applies(facts, now)),
        rules.allows.iter().find(|rule| rule.applies(facts, now)),
    )
}

/// Evaluates the rules of a route as if those that are only watched counted too.
pub fn evaluate_with_shadows<'r>(rules: &'r RouteRules, facts: &Facts<'_>, now: Timestamp) -> Verdict<'r> {
    let watched = |effect: Effect| rules.shadows.iter().filter(move |rule| rule.effect == effect);
    let mut denies = rules.denies.iter().chain(watched(Effect::Deny));
    let mut requirements = rules.requirements.iter().chain(watched(Effect::Require));
    let mut allows = rules.allows.iter().chain(watched(Effect::Allow));
    combine(
        denies.find(|rule| rule.applies(facts, now)),
        requirements.find(|rule| !rule.applies(facts, now)),
        allows.find(|rule| rule.applies(facts, now)),
    )
}

/// POLICY semantics 1, whole: deny beats require, require beats allow, and nothing is nothing.
const fn combine<'r>(
    deny: Option<&'r Arc<Rule>>,
    unmet: Option<&'r Arc<Rule>>,
    allow: Option<&'r Arc<Rule>>,
) -> Verdict<'r> {
    match (deny, unmet, allow) {
        (Some(rule), Some(_) | None, Some(_) | None) => Verdict::Denied(rule),
        (None, Some(rule), Some(_) | None) => Verdict::RequirementFailed(rule),
        (None, None, Some(rule)) => Verdict::Allowed(rule),
        (None, None, None) => Verdict::NothingAllows,
    }
}
