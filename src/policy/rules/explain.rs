//! Why a decision is what it is: every rule of the route, every condition, what was asked and what was seen.
//!
//! Walks the same tree as [`evaluate`](super::evaluate()), without stopping early. That both agree is tested.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Condition, Effect, Facts, Reading, Refusal, RouteRules, Rule, Truth, evaluate};
use crate::identity::Reason;

/// A decision with everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether the request is admitted.
    pub allowed: bool,
    /// The reason code of a refusal.
    pub reason: Option<&'static str>,
    /// The rule that made it so.
    pub rule: Option<String>,
    /// What was nearest to being allowed.
    pub nearest: Option<String>,
    /// What the person refused is told.
    pub advice: Option<String>,
    /// Every rule of the route: denials, requirements, permissions, then those that are only watched.
    pub rules: Vec<RuleExplanation>,
}

/// One rule and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleExplanation {
    /// Its name.
    pub rule: String,
    /// `allow`, `deny` or `require`.
    pub effect: &'static str,
    /// Where it stands.
    pub origin: String,
    /// Whether it is only watched.
    pub shadow: bool,
    /// `false` when its rollout does not reach whoever asks.
    pub reached: bool,
    /// Whether it admits, refuses, or (a requirement) is met.
    pub applies: bool,
    /// Its condition.
    pub condition: Node,
}

/// One part of a condition.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// `holds`, `fails`, `missing` or `malformed`.
    #[serde(serialize_with = "truth_word")]
    pub truth: Truth,
    /// What is asked: a criterion in words, or how the parts are joined.
    pub wanted: String,
    /// What was seen; nothing for a part that only joins others.
    pub seen: Option<String>,
    /// The parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Node>,
}

/// Explains the decision of a route about a request.
pub fn explain(rules: &RouteRules, facts: &Facts<'_>, now: Timestamp) -> Explanation {
    let verdict = evaluate(rules, facts, now);
    let refusal = Refusal::of(&verdict, rules, facts, now);
    let of =
        |rules: &[Arc<Rule>]| -> Vec<_> { rules.iter().map(|rule| RuleExplanation::of(rule, facts, now)).collect() };
    let mut allows = of(rules.allows());
    // Nearest miss first; those that admit stand at the top, since they lack nothing.
    allows.sort_by_key(|rule| rule.condition.lacks());
    let every = [of(rules.denies()), of(rules.requirements()), allows, of(rules.shadows())];
    Explanation {
        allowed: verdict.is_allowed(),
        reason: refusal.as_ref().map(|refusal| refusal.reason.code()),
        rule: verdict.rule().map(|rule| rule.name.to_string()),
        nearest: refusal.as_ref().and_then(|refusal| refusal.nearest.clone()),
        advice: refusal.as_ref().and_then(|refusal| refusal.advice.as_deref().map(Into::into)),
        rules: every.into_iter().flatten().collect(),
    }
}

impl Explanation {
    /// The explanation of a route that no rule speaks of.
    pub fn closed() -> Self {
        let reason = Some(Reason::NoRuleAllows.code());
        Self { allowed: false, reason, rule: None, nearest: None, advice: None, rules: Vec::new() }
    }

    /// The verdict again, worked out from the explained rules alone; for the test that both agree.
    pub fn verdict(&self) -> (bool, Option<&str>) {
        let first = |effect: Effect, applies: bool| {
            let enforced = self.rules.iter().filter(|rule| !rule.shadow && rule.effect == effect.as_str());
            enforced.filter(|rule| rule.applies == applies).map(|rule| rule.rule.as_str()).min()
        };
        match (first(Effect::Deny, true), first(Effect::Require, false), first(Effect::Allow, true)) {
            (Some(rule), _, _) | (None, Some(rule), _) => (false, Some(rule)),
            (None, None, Some(rule)) => (true, Some(rule)),
            (None, None, None) => (false, None),
        }
    }
}

impl RuleExplanation {
    fn of(rule: &Rule, facts: &Facts<'_>, now: Timestamp) -> Self {
        let condition = Node::of(&rule.condition, facts, rule.reading(now));
        let reached = rule.rollout.is_none_or(|rollout| rollout.reaches(rule, facts));
        let applies = match (rule.effect, reached, condition.truth) {
            (Effect::Require, false, _) => true,
            (_, false, _) => false,
            (Effect::Allow | Effect::Require, true, truth) => truth == Truth::Holds,
            (Effect::Deny, true, truth) => truth != Truth::Fails,
        };
        Self {
            rule: rule.name.to_string(),
            effect: rule.effect.as_str(),
            origin: rule.origin.to_string(),
            shadow: rule.mode == super::Mode::Shadow,
            reached,
            applies,
            condition,
        }
    }
}

impl Node {
    /// How many criteria stand in the way; of alternatives those that lack least.
    fn lacks(&self) -> usize {
        match (self.truth, self.parts.as_slice(), self.wanted.as_str()) {
            (Truth::Holds, _, _) => 0,
            (_, [], _) | (_, _, "not") => 1,
            (_, parts, "any of") => parts.iter().map(Self::lacks).min().unwrap_or(1),
            (_, parts, _) => parts.iter().map(Self::lacks).sum(),
        }
    }

    fn of(condition: &Condition, facts: &Facts<'_>, reading: Reading) -> Self {
        let join = |wanted: &str, parts: &[Condition], start: Truth, join: fn(Truth, Truth) -> Truth| {
            let parts: Vec<_> = parts.iter().map(|part| Self::of(part, facts, reading)).collect();
            let truth = parts.iter().map(|part| part.truth).fold(start, join);
            Self { truth, wanted: wanted.into(), seen: None, parts }
        };
        match condition {
            Condition::Is(criterion) => Self {
                truth: reading.settle(criterion.truth(facts, reading)),
                wanted: criterion.wanted(),
                seen: Some(criterion.seen(facts, reading)),
                parts: Vec::new(),
            },
            Condition::All(parts) => join("all of", parts, Truth::Holds, Truth::and),
            Condition::Any(parts) => join("any of", parts, Truth::Fails, Truth::or),
            Condition::Not(inner) => {
                let inner = Self::of(inner, facts, reading.inside_not());
                Self { truth: inner.truth.negated(), wanted: "not".into(), seen: None, parts: vec![inner] }
            }
            Condition::Named(name, inner) => {
                let inner = Self::of(inner, facts, reading);
                Self { truth: inner.truth, wanted: format!("condition `{name}`"), seen: None, parts: vec![inner] }
            }
            Condition::WhenAbsent(absent, inner) => Self::of(inner, facts, reading.when_absent(*absent)),
        }
    }
}

impl Condition {
    /// What the condition asks for, in one line.
    pub fn wanted(&self) -> String {
        let joined = |parts: &[Self], word: &str| parts.iter().map(Self::wanted).collect::<Vec<_>>().join(word);
        match self {
            Self::Is(criterion) => criterion.wanted(),
            Self::All(parts) if parts.is_empty() => "everybody".into(),
            Self::All(parts) => joined(parts, ", "),
            Self::Any(parts) => format!("either {}", joined(parts, " or ")),
            Self::Not(inner) => format!("not ({})", inner.wanted()),
            Self::Named(name, _) => format!("condition `{name}`"),
            Self::WhenAbsent(_, inner) => inner.wanted(),
        }
    }
}

fn truth_word<S: serde::Serializer>(truth: &Truth, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(truth.word())
}
