//! What the decision of a known policy tells about the facts that a record does not hold.

use super::Record;
use crate::identity::Reason;
use crate::policy::rules::relation::{Conjunction, same};
use crate::policy::rules::{Answers, Applies, Criterion, Effect, RouteRules, Rule, Truth};

/// The rules that decided about a record, with what their decision means.
#[derive(Debug)]
pub(super) struct Before<'r> {
    rules: &'r RouteRules,
    outcome: Outcome<'r>,
    /// What held for certain.
    held: Conjunction<'r>,
}

#[derive(Debug)]
enum Outcome<'r> {
    Allowed(&'r Rule),
    Denied(&'r Rule),
    RequirementFailed(&'r Rule),
    NothingAllowed,
}

impl<'r> Before<'r> {
    /// `None` when the record does not tell what decided.
    pub(super) fn of(record: &Record, rules: &'r RouteRules) -> Option<Self> {
        let named = |of: &'r [std::sync::Arc<Rule>]| {
            of.iter().map(AsRef::as_ref).find(|rule| record.rule.as_ref() == Some(&rule.name))
        };
        let outcome = match (record.allowed, record.reason) {
            (true, _) => Outcome::Allowed(named(rules.allows())?),
            (_, Some(Reason::DeniedByRule)) => Outcome::Denied(named(rules.denies())?),
            // Asked for a credential: what else stood in the way was not recorded.
            (_, Some(Reason::CredentialMissing)) => return None,
            _ if record.rule.is_some() => Outcome::RequirementFailed(named(rules.requirements())?),
            _ => Outcome::NothingAllowed,
        };
        let mut held = Conjunction::default();
        if let Outcome::Allowed(rule) = outcome {
            held = held.and(&rule.condition);
        }
        if matches!(outcome, Outcome::Allowed(_) | Outcome::NothingAllowed) {
            let met = rules.requirements().iter().filter(|rule| rule.rollout.is_none());
            held = met.fold(held, |held, rule| held.and(&rule.condition));
        }
        Some(Self { rules, outcome, held })
    }

    /// Whether another rule applies, when the decision settles that.
    pub(super) fn settles(&self, rule: &Rule) -> Option<Applies> {
        let alike =
            |old: &Rule| old.rollout.is_none() && rule.rollout.is_none() && same(&old.condition, &rule.condition);
        let among = |rules: &[std::sync::Arc<Rule>]| rules.iter().any(|old| alike(old));
        match (rule.effect, &self.outcome) {
            (Effect::Deny, Outcome::Denied(old)) => alike(old).then_some(Applies::Surely),
            (Effect::Deny, _) => among(self.rules.denies()).then_some(Applies::Never),
            (Effect::Require, Outcome::RequirementFailed(old)) => alike(old).then_some(Applies::Never),
            (Effect::Require, Outcome::Allowed(_) | Outcome::NothingAllowed) => {
                among(self.rules.requirements()).then_some(Applies::Surely)
            }
            (Effect::Allow, Outcome::Allowed(old)) => {
                let surely = alike(old) || (rule.rollout.is_none() && self.held.implies(&rule.condition));
                surely.then_some(Applies::Surely)
            }
            (Effect::Allow, Outcome::NothingAllowed) => {
                let asks = Conjunction::of(&rule.condition);
                let mut old = self.rules.allows().iter().filter(|old| old.rollout.is_none());
                old.any(|old| asks.implies(&old.condition)).then_some(Applies::Never)
            }
            _ => None,
        }
    }

    /// What a criterion can have answered, given what held.
    pub(super) fn answers(&self, criterion: &Criterion) -> Answers {
        if self.held.implies_criterion(criterion) {
            Answers::only(Truth::Holds)
        } else if self.held.excludes_criterion(criterion) {
            Answers::ANY.without(Truth::Holds)
        } else {
            Answers::ANY
        }
    }
}
