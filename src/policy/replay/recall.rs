//! Why a decision that was recorded was what it was, and what it would be today: every rule of the route as the rules in
//! force have it, every condition as far as the record, or the decision itself, tells what it saw.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::before::Before;
use super::{Record, Replay, decisive};
use crate::policy::PolicyVersion;
use crate::policy::rules::{
    Answers, Applies, Criterion, Effect, Explanation, Facts, Finding, Look, Node, Reading, RouteRules, Rule,
    RuleExplanation,
};

/// A recorded decision, explained.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recalled {
    /// The request id.
    pub id: String,
    /// When it was decided.
    pub time: Timestamp,
    /// The request: `GET https://host/path`.
    pub request: String,
    /// Who asked.
    pub who: String,
    /// What was decided then.
    pub then: Then,
    /// The version of the policy that is asked now.
    pub policy: String,
    /// The route as of now, or why there is none.
    pub route: Result<String, String>,
    /// What the rules of now say.
    pub now: Explanation,
}

/// What was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Then {
    /// Whether it was admitted.
    pub allowed: bool,
    /// The reason code of a refusal.
    pub reason: Option<String>,
    /// The rule.
    pub rule: Option<String>,
    /// The version of the policy.
    pub policy: Option<String>,
}

impl Replay<'_> {
    /// Explains a recorded decision under the policy that is asked, whose version is `version`.
    pub fn recall(&self, record: &Record, version: &PolicyVersion) -> Recalled {
        let case = &record.case;
        let (route, now) = match case.route(self.routes) {
            Err(error) => (Err(error.to_string()), Explanation::closed()),
            Ok(meant) => {
                let (name, facts) = (&meant.route.name, case.facts(Some(&meant)));
                let now = self.rules.route(name).map(|rules| self.explain(record, rules, &facts));
                (Ok(name.to_string()), now.unwrap_or_else(Explanation::closed))
            }
        };
        Recalled {
            id: record.id.clone(),
            time: case.at,
            request: format!("{} https://{}{}", case.method, case.host, case.path),
            who: record.who(),
            then: Then {
                allowed: record.allowed,
                reason: record.reason.map(|reason| reason.code().to_owned()),
                rule: record.rule.as_ref().map(ToString::to_string),
                policy: record.policy.clone(),
            },
            policy: version.to_string(),
            route,
            now,
        }
    }

    fn explain(&self, record: &Record, rules: &RouteRules, facts: &Facts<'_>) -> Explanation {
        let before = self.before(record);
        let of = |rule: &Rule| recalled(rule, record, facts, before.as_ref());
        let explained = RuleExplanation::all(rules, of);
        let applies = |rule: &Rule| match explained.iter().find(|told| *told.rule == *rule.name.as_str()) {
            Some(RuleExplanation { applies: Some(true), .. }) => Applies::Surely,
            Some(RuleExplanation { applies: Some(false), .. }) => Applies::Never,
            _ => Applies::Perhaps,
        };
        let possible = rules.possible(|rule| applies(rule));
        let allowed = match (possible.allow, possible.deny) {
            (true, false) => Some(true),
            (false, _) => Some(false),
            (true, true) => None,
        };
        Explanation {
            allowed,
            reason: None,
            rule: allowed.and_then(|allowed| decisive(rules, allowed, &applies)),
            nearest: nearest(&explained).filter(|_| allowed != Some(true)),
            advice: None,
            rules: explained,
        }
    }
}

/// One rule, as far as it is known what it saw.
fn recalled(rule: &Rule, record: &Record, facts: &Facts<'_>, before: Option<&Before<'_>>) -> RuleExplanation {
    let reached = super::reaches(rule, record, facts);
    let look = |criterion: &Criterion, reading: Reading| {
        if record.holds(criterion) {
            let answers = Answers::only(criterion.truth(facts, reading));
            return Look { answers, seen: criterion.seen(facts, reading) };
        }
        let answers = before.map_or(Answers::ANY, |before| before.answers(criterion));
        let seen = if answers == Answers::ANY { "not recorded" } else { "not recorded; told by the decision" };
        Look { answers, seen: seen.into() }
    };
    let mut told = RuleExplanation::of(rule, record.case.at, reached != Some(false), &look);
    match before.and_then(|before| before.settles(rule)) {
        Some(Applies::Surely) => told.applies = Some(true),
        Some(Applies::Never) => told.applies = Some(false),
        Some(Applies::Perhaps) | None if reached.is_none() => told.applies = None,
        Some(Applies::Perhaps) | None => {}
    }
    told
}

/// The first permission that does not admit for certain, with what it lacks and what would have to be known.
fn nearest(rules: &[RuleExplanation]) -> Option<String> {
    let allow = |rule: &&RuleExplanation| rule.effect == Effect::Allow.as_str() && !rule.shadow;
    let rule = rules.iter().filter(allow).find(|rule| rule.applies != Some(true))?;
    let part = |unknown: bool| {
        let wanting = rule.condition.wanting().into_iter();
        let named = |node: &Node| match node.parts.first() {
            Some(inner) if node.wanted == "not" => format!("not {}", inner.wanted),
            _ => node.wanted.clone(),
        };
        let parts = wanting.filter(|node| (node.truth == Finding::Unknown) == unknown).map(named);
        parts.collect::<Vec<_>>().join(", ")
    };
    let (lacking, unknown) = (part(false), part(true));
    let with = if lacking.is_empty() { String::new() } else { format!(" with {lacking}") };
    let perhaps = if unknown.is_empty() { String::new() } else { format!(", if it had {unknown}") };
    Some(format!("would be allowed by `{}`{with}{perhaps}", rule.rule))
}
