//! Why a decision is what it is: every rule of the route, every condition, what was asked and what was seen.
//!
//! Walks the same tree as [`evaluate`](super::evaluate()), without stopping early. That both agree is tested.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Answers, Applies, Condition, Criterion, Effect, Facts, Reading, Refusal, RouteRules, Rule, Truth, evaluate,
};
use crate::identity::Reason;

/// A decision with everything that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether the request is admitted; `None`: that depends on what is not known.
    pub allowed: Option<bool>,
    /// The reason code of a refusal.
    pub reason: Option<String>,
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleExplanation {
    /// Its name.
    pub rule: String,
    /// `allow`, `deny` or `require`.
    pub effect: String,
    /// Where it stands.
    pub origin: String,
    /// Whether it is only watched.
    pub shadow: bool,
    /// `false` when its rollout does not reach whoever asks.
    pub reached: bool,
    /// Whether it admits, refuses, or (a requirement) is met; `None`: that depends on what is not known.
    pub applies: Option<bool>,
    /// Its condition.
    pub condition: Node,
}

/// One part of a condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its answer.
    pub truth: Finding,
    /// What is asked: a criterion in words, or how the parts are joined.
    pub wanted: String,
    /// What was seen; nothing for a part that only joins others.
    pub seen: Option<String>,
    /// The parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Node>,
}

/// The answer of one part: one of the four, or that it depends on what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// What it asks about is missing.
    Missing,
    /// What it asks about is malformed.
    Malformed,
    /// What it asks about is not known.
    Unknown,
}

/// What is known of a criterion: the answers that it may have, and what was seen.
#[derive(Debug)]
pub struct Look {
    /// The answers, before what absence means is applied.
    pub answers: Answers,
    /// What was seen, in words.
    pub seen: String,
}

/// Explains the decision of a route about a request.
pub fn explain(rules: &RouteRules, facts: &Facts<'_>, now: Timestamp) -> Explanation {
    let verdict = evaluate(rules, facts, now);
    let refusal = Refusal::of(&verdict, rules, facts, now);
    let look = |criterion: &Criterion, reading: Reading| Look {
        answers: Answers::only(criterion.truth(facts, reading)),
        seen: criterion.seen(facts, reading),
    };
    let of = |rule: &Rule| {
        let reached = rule.rollout.is_none_or(|rollout| rollout.reaches(rule, facts));
        RuleExplanation::of(rule, now, reached, &look)
    };
    Explanation {
        allowed: Some(verdict.is_allowed()),
        reason: refusal.as_ref().map(|refusal| refusal.reason.code().to_owned()),
        rule: verdict.rule().map(|rule| rule.name.to_string()),
        nearest: refusal.as_ref().and_then(|refusal| refusal.nearest.clone()),
        advice: refusal.as_ref().and_then(|refusal| refusal.advice.as_deref().map(Into::into)),
        rules: RuleExplanation::all(rules, of),
    }
}

impl Explanation {
    /// The explanation of a route that no rule speaks of.
    pub fn closed() -> Self {
        let reason = Some(Reason::NoRuleAllows.code().to_owned());
        Self { allowed: Some(false), reason, rule: None, nearest: None, advice: None, rules: Vec::new() }
    }

    /// The verdict again, worked out from the explained rules alone; for the test that both agree.
    pub fn verdict(&self) -> (bool, Option<&str>) {
        let first = |effect: Effect, applies: bool| {
            let enforced = self.rules.iter().filter(|rule| !rule.shadow && rule.effect == effect.as_str());
            enforced.filter(|rule| rule.applies == Some(applies)).map(|rule| rule.rule.as_str()).min()
        };
        match (first(Effect::Deny, true), first(Effect::Require, false), first(Effect::Allow, true)) {
            (Some(rule), _, _) | (None, Some(rule), _) => (false, Some(rule)),
            (None, None, Some(rule)) => (true, Some(rule)),
            (None, None, None) => (false, None),
        }
    }
}

impl RuleExplanation {
    /// Every rule of a route. Of the permissions the nearest miss comes first, after those that admit, which lack nothing.
    pub fn all(rules: &RouteRules, of: impl Fn(&Rule) -> Self) -> Vec<Self> {
        let each = |rules: &[Arc<Rule>]| -> Vec<Self> { rules.iter().map(|rule| of(rule)).collect() };
        let mut allows = each(rules.allows());
        allows.sort_by_key(|rule| (rule.applies != Some(true), rule.condition.lacks()));
        let every = [each(rules.denies()), each(rules.requirements()), allows, each(rules.shadows())];
        every.into_iter().flatten().collect()
    }

    /// What becomes of a rule. `reached`: whether its rollout reaches whoever asks.
    pub fn of(rule: &Rule, now: Timestamp, reached: bool, look: &dyn Fn(&Criterion, Reading) -> Look) -> Self {
        let (answers, condition) = node(&rule.condition, rule.reading(now), look);
        let applies = match (reached, Applies::of(rule, answers)) {
            (false, _) => Some(rule.effect == Effect::Require),
            (true, Applies::Surely) => Some(true),
            (true, Applies::Never) => Some(false),
            (true, Applies::Perhaps) => None,
        };
        Self {
            rule: rule.name.to_string(),
            effect: rule.effect.as_str().to_owned(),
            origin: rule.origin.to_string(),
            shadow: rule.mode == super::Mode::Shadow,
            reached,
            applies,
            condition,
        }
    }
}

impl Finding {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holds => Truth::Holds.word(),
            Self::Fails => Truth::Fails.word(),
            Self::Missing => Truth::Missing.word(),
            Self::Malformed => Truth::Malformed.word(),
            Self::Unknown => "unknown",
        }
    }
}

impl From<Answers> for Finding {
    fn from(answers: Answers) -> Self {
        match answers.known() {
            Some(Truth::Holds) => Self::Holds,
            Some(Truth::Fails) => Self::Fails,
            Some(Truth::Missing) => Self::Missing,
            Some(Truth::Malformed) => Self::Malformed,
            None => Self::Unknown,
        }
    }
}

impl Node {
    /// How many criteria stand in the way, and how many perhaps do; of alternatives those that lack least.
    fn lacks(&self) -> (usize, usize) {
        let sum = |(one, two): (usize, usize), (three, four): (usize, usize)| (one + three, two + four);
        match (self.truth, self.parts.as_slice(), self.wanted.as_str()) {
            (Finding::Holds, _, _) => (0, 0),
            (Finding::Unknown, [], _) | (Finding::Unknown, _, "not") => (0, 1),
            (_, [], _) | (_, _, "not") => (1, 0),
            (_, parts, "any of") => parts.iter().map(Self::lacks).min().unwrap_or((1, 0)),
            (_, parts, _) => parts.iter().map(Self::lacks).fold((0, 0), sum),
        }
    }

    /// The criteria that do not hold for certain; of alternatives those of the nearest.
    pub fn wanting(&self) -> Vec<&Self> {
        match (self.truth, self.parts.as_slice(), self.wanted.as_str()) {
            (Finding::Holds, _, _) => Vec::new(),
            (_, [], _) | (_, _, "not") => vec![self],
            (_, parts, "any of") => parts.iter().min_by_key(|part| part.lacks()).map(Self::wanting).unwrap_or_default(),
            (_, parts, _) => parts.iter().flat_map(Self::wanting).collect(),
        }
    }
}

fn node(condition: &Condition, reading: Reading, look: &dyn Fn(&Criterion, Reading) -> Look) -> (Answers, Node) {
    let told =
        |answers: Answers, wanted: String, seen, parts| (answers, Node { truth: answers.into(), wanted, seen, parts });
    let join = |wanted: &str, parts: &[Condition], start: Truth, join: fn(Truth, Truth) -> Truth| {
        let parts: Vec<_> = parts.iter().map(|part| node(part, reading, look)).collect();
        let answers = parts.iter().fold(Answers::only(start), |all, (answers, _)| all.join(*answers, join));
        told(answers, wanted.into(), None, parts.into_iter().map(|(_, part)| part).collect())
    };
    match condition {
        Condition::Is(criterion) => {
            let Look { answers, seen } = look(criterion, reading);
            told(answers.map(|truth| reading.settle(truth)), criterion.wanted(), Some(seen), Vec::new())
        }
        Condition::All(parts) => join("all of", parts, Truth::Holds, Truth::and),
        Condition::Any(parts) => join("any of", parts, Truth::Fails, Truth::or),
        Condition::Not(inner) => {
            let (answers, inner) = node(inner, reading.inside_not(), look);
            told(answers.map(Truth::negated), "not".into(), None, vec![inner])
        }
        Condition::Named(name, inner) => {
            let (answers, inner) = node(inner, reading, look);
            told(answers, format!("condition `{name}`"), None, vec![inner])
        }
        Condition::WhenAbsent(absent, inner) => node(inner, reading.when_absent(*absent), look),
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
