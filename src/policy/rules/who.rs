//! Who can, and what can somebody: what the rules of a route say when only a part of the facts is known.
//!
//! Sound: *nobody* is never said where some request is admitted, nor *everybody* where some is refused. What lies between is
//! told as the conditions that remain, expressions verbatim.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::relation::{Conjunction, Side};
use super::{Answers, Applies, Condition, Criterion, Effect, Facts, Reading, RouteRules, Rule, Truth};

/// What is known.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// The facts; what is not known stands there as absent and is not looked at.
    pub facts: Facts<'k>,
    /// The moment, when it is known.
    pub at: Timestamp,
    /// Whether the facts hold all that a criterion looks at.
    pub holds: &'k dyn Fn(&Criterion) -> bool,
}

/// Who is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Every such request is admitted.
    Everybody,
    /// None is.
    Nobody,
    /// Those that meet what remains.
    Some,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Who is admitted.
    pub who: Who,
    /// The ways in: of each allow what remains to be met. Empty for nobody.
    pub ways: Vec<Remaining>,
    /// Requirements that remain, each of which must be met.
    pub requirements: Vec<Remaining>,
    /// Denies that remain, none of which must apply.
    pub denies: Vec<Remaining>,
}

/// A rule and what remains open of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remaining {
    /// The rule.
    pub rule: String,
    /// What it still asks; nothing: it applies.
    pub conditions: Vec<String>,
}

/// Asks the rules of a route.
pub fn ask(rules: &RouteRules, known: &Known<'_>) -> Answer {
    let possible = rules.possible(|rule| known.applies(rule));
    let open = |of: &[Arc<Rule>]| -> Vec<_> {
        let open = of.iter().filter(|rule| known.applies(rule) == Applies::Perhaps);
        open.map(|rule| known.remaining(rule)).collect()
    };
    let (requirements, denies) = (open(rules.requirements()), open(rules.denies()));
    let ways = rules.allows().iter().filter(|rule| known.applies(rule) != Applies::Never);
    let ways: Vec<_> = ways.filter(|rule| !stopped(rule, rules)).map(|rule| known.remaining(rule)).collect();
    match (possible.allow && !ways.is_empty(), possible.deny) {
        (false, _) => Answer { who: Who::Nobody, ways: Vec::new(), requirements: Vec::new(), denies: Vec::new() },
        (true, deny) => Answer { who: if deny { Who::Some } else { Who::Everybody }, ways, requirements, denies },
    }
}

/// Whether a requirement excludes whoever the allow admits.
fn stopped(allow: &Rule, rules: &RouteRules) -> bool {
    let everybody = rules.requirements().iter().filter(|rule| rule.rollout.is_none());
    let all = everybody.fold(Conjunction::of(&allow.condition), |all, rule| all.and(&rule.condition));
    all.contradiction(Side::Permission).is_some()
}

impl Known<'_> {
    fn applies(&self, rule: &Rule) -> Applies {
        let answers =
            rule.condition.answers(rule.reading(self.at), &|criterion, reading| self.leaf(criterion, reading));
        match (rule.rollout, Applies::of(rule, answers), rule.effect) {
            (None, applies, _) => applies,
            // Whom a rollout reaches is not known: it may apply as it says, or as if it were not there.
            (Some(_), Applies::Surely, Effect::Require) | (Some(_), Applies::Never, Effect::Allow | Effect::Deny) => {
                Applies::of(rule, answers)
            }
            (Some(_), ..) => Applies::Perhaps,
        }
    }

    fn leaf(&self, criterion: &Criterion, reading: Reading) -> Answers {
        if (self.holds)(criterion) { Answers::only(criterion.truth(&self.facts, reading)) } else { Answers::ANY }
    }

    fn remaining(&self, rule: &Rule) -> Remaining {
        let mut conditions = self.open(&rule.condition, rule.reading(self.at));
        conditions.extend(rule.rollout.map(|rollout| format!("a place among {} percent", rollout.percent)));
        Remaining { rule: rule.name.to_string(), conditions }
    }

    /// What is open of a condition, in words.
    fn open(&self, condition: &Condition, reading: Reading) -> Vec<String> {
        let answers = condition.answers(reading, &|criterion, reading| self.leaf(criterion, reading));
        if answers.is_known() {
            return Vec::new();
        }
        match condition {
            Condition::Is(criterion) => vec![criterion.wanted()],
            Condition::All(parts) => parts.iter().flat_map(|part| self.open(part, reading)).collect(),
            Condition::Any(parts) => {
                let leaf = |criterion: &Criterion, reading| self.leaf(criterion, reading);
                let may = parts.iter().filter(|part| part.answers(reading, &leaf).may_be(Truth::Holds));
                let alternatives: Vec<_> = may.map(|part| self.open(part, reading).join(" and ")).collect();
                vec![alternatives.join(", or ")]
            }
            Condition::Not(inner) => vec![format!("not ({})", inner.wanted())],
            Condition::Named(_, inner) => self.open(inner, reading),
            Condition::WhenAbsent(absent, inner) => self.open(inner, reading.when_absent(*absent)),
        }
    }
}
