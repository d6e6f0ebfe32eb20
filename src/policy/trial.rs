//! `[[test]]`: a case and what is expected of it. Run by `policy test`, by `check` and before each reload.

use std::collections::BTreeSet;

use serde::Serialize;

use super::case::{Case, Outcome};
use super::rules::RuleSet;
use crate::identity::{Name, Reason};
use crate::route::Routes;

/// One `[[test]]`.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub origin: String,
    /// The request.
    pub case: Case,
    /// What must become of it.
    pub expected: Expected,
}

/// What a test expects. What it does not say, it does not look at.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Whether the request is admitted.
    pub allowed: bool,
    /// The route.
    pub route: Option<Name>,
    /// The reason of the refusal.
    pub reason: Option<Reason>,
    /// The rule.
    pub rule: Option<Name>,
    /// What the person refused is told.
    pub advice: Option<String>,
}

/// What became of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TrialReport {
    /// The test.
    pub name: String,
    /// Where it stands.
    pub origin: String,
    /// Where reality differs; none: passed.
    pub differences: Vec<Difference>,
    /// What was nearest to being allowed, when the request was refused.
    pub nearest: Option<String>,
}

/// One expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was looked at: `decision`, `route`, `reason`, `rule`, `advice`.
    pub what: &'static str,
    /// What the test says.
    pub expected: String,
    /// What is so.
    pub found: String,
}

/// What no test exercises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How many rules there are.
    pub rules: usize,
    /// How many routes there are.
    pub routes: usize,
    /// Rules that take effect in no test: an allow or deny that never applies, a requirement that never fails.
    pub idle_rules: Vec<IdleRule>,
    /// Routes that no test asks for.
    pub idle_routes: Vec<String>,
}

/// A rule that takes effect in no test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdleRule {
    /// Its name.
    pub rule: String,
    /// `allow`, `deny` or `require`.
    pub effect: &'static str,
    /// Where it stands.
    pub origin: String,
}

impl Trial {
    /// Runs the test.
    pub fn run(&self, routes: &Routes, rules: &RuleSet) -> TrialReport {
        let outcome = self.case.judge(routes, rules);
        TrialReport {
            name: self.name.clone(),
            origin: self.origin.clone(),
            differences: self.expected.differences(&outcome),
            nearest: outcome.nearest,
        }
    }
}

impl TrialReport {
    /// Whether everything was as expected.
    pub const fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Expected {
    fn differences(&self, found: &Outcome) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut compare = |what, expected: Option<&str>, found: Option<&str>| {
            if let Some(expected) = expected
                && Some(expected) != found
            {
                let found = found.unwrap_or("none").to_owned();
                differences.push(Difference { what, expected: expected.to_owned(), found });
            }
        };
        let decision = if self.allowed { "allow" } else { "deny" };
        compare("decision", Some(decision), Some(found.decision()));
        compare("route", self.route.as_ref().map(Name::as_str), found.route.as_ref().map(Name::as_str));
        compare("reason", self.reason.map(Reason::code), found.reason.map(Reason::code));
        compare("rule", self.rule.as_ref().map(Name::as_str), found.rule.as_ref().map(Name::as_str));
        compare("advice", self.advice.as_deref(), found.advice.as_deref());
        differences
    }
}

/// Which rules and routes the tests exercise.
pub fn coverage(trials: &[Trial], routes: &Routes, rules: &RuleSet) -> Coverage {
    let mut active = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for trial in trials {
        let Ok(meant) = trial.case.route(routes) else { continue };
        asked.insert(meant.route.name.clone());
        let Some(of_route) = rules.route(&meant.route.name) else { continue };
        let facts = trial.case.facts(Some(&meant));
        let at = trial.case.at;
        let every = of_route.enforced().chain(of_route.shadows());
        active.extend(every.filter(|rule| rule.takes_effect(&facts, at)).map(|rule| rule.name.clone()));
    }
    let idle = rules.rules().iter().filter(|rule| !active.contains(&rule.name));
    let every_route = rules.routes();
    Coverage {
        rules: rules.rules().len(),
        routes: every_route.len(),
        idle_rules: idle
            .map(|rule| IdleRule {
                rule: rule.name.to_string(),
                effect: rule.effect.as_str(),
                origin: rule.origin.to_string(),
            })
            .collect(),
        idle_routes: every_route
            .iter()
            .filter(|(name, _)| !asked.contains(*name))
            .map(|(n, _)| n.to_string())
            .collect(),
    }
}
