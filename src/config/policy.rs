//! `policies/*.toml` and `*.test.toml`: rules, sets, named conditions and tests, read into what `policy` decides with.
//!
//! In: the root tables of all policy files, and the names that rules may use. Out: a [`RuleSet`] and its tests, or faults.
//! `[[route]]` stands in the same files and is read by [`super::route`].

mod condition;
pub mod describe;
mod lint;
mod matching;
mod names;
mod peer;
pub mod project;
mod request;
mod rule;
mod subject;
mod time;
mod trial;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::fault::{At, Faults, Located};
use super::reader::Table;
use crate::identity::{Issuer, Name};
use crate::policy::rules::{Mode, Reading, RouteOutline, RuleFault, RuleSet, Truth};
use crate::policy::trial::Trial;
use crate::route::Route;

pub use lint::Silenced;
use names::Names;
pub use names::UnusedName;

/// What rules may name, apart from what policy files define themselves.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'v> {
    /// The routes.
    pub routes: &'v [Route],
    /// The names of routes that have faults: they are reported once, and not again by every rule that names them.
    pub faulty_routes: &'v [String],
    /// The token sources, `[issuer.NAME]` and `[introspection.NAME]`, each with the `iss` of its tokens. A server that
    /// states no issuer is its own: its name stands for it.
    pub token_sources: &'v BTreeMap<Name, Issuer>,
    /// The trust bundles: `[trust.NAME]`.
    pub trusts: &'v [Name],
}

/// What the policy files say.
#[derive(Debug)]
pub struct PolicyFiles {
    /// The rules, bound to routes.
    pub rules: RuleSet,
    /// The tests.
    pub trials: Vec<Trial>,
    /// Sets and conditions that nothing uses; for lint.
    pub unused: Vec<UnusedName>,
    /// Lint findings that a file silences, and why.
    pub silenced: Vec<Silenced>,
}

/// Reads all policy files together: a rule may use a set that another file defines.
///
/// `None` when there was a fault that leaves no rule set; every fault is in `faults`.
pub fn read(roots: &[Table<'_>], vocabulary: Vocabulary<'_>, faults: &Faults) -> Option<PolicyFiles> {
    let before = faults.errors();
    let names = Names::read(roots, vocabulary);
    let mut rules = Vec::new();
    let mut places = HashMap::new();
    for read in roots.iter().flat_map(|root| rule::read_all(root, &names)) {
        let second = refuse_second(&mut places, read.name, faults);
        rules.extend(read.rule.filter(|_| !second));
    }
    let known: HashSet<Name> = places.keys().cloned().collect();
    let trials = roots.iter().flat_map(|root| trial::read_all(root, &names, &known)).collect();
    let silenced = roots.iter().flat_map(lint::read_all).collect();
    let outlines = vocabulary.routes.iter().map(outline);
    let rules = match RuleSet::new(rules, outlines) {
        Ok(rules) => rules,
        Err(found) => {
            report(found, &places, faults);
            return None;
        }
    };
    report_closed_routes(&rules, faults);
    report_closing_denies(&rules, &places, faults);
    (faults.errors() == before).then(|| PolicyFiles { rules, trials, unused: names.into_unused(), silenced })
}

/// What rules need to know of a route.
pub fn outline(route: &Route) -> RouteOutline {
    RouteOutline { name: route.name.clone(), takes_tokens: !route.tokens.is_empty() }
}

fn refuse_second(places: &mut HashMap<Name, At>, name: Located<Name>, faults: &Faults) -> bool {
    let Located { value: name, at } = name;
    if let Some(first) = places.get(&name) {
        let hint = format!("the other one stands at {first}; records and tests name rules, so a name is used once");
        faults.error(&at, format!("two rules are named `{name}`"), hint);
        return true;
    }
    places.insert(name, at);
    false
}

/// The faults that a rule set finds; most were found with their place while reading.
fn report(found: Vec<RuleFault>, places: &HashMap<Name, At>, faults: &Faults) {
    for fault in found {
        let (rule, hint) = match &fault {
            RuleFault::DuplicateName(_) | RuleFault::UnknownRoute { .. } | RuleFault::NoRoute(_) => continue,
            RuleFault::Unidentified(rule) => {
                (rule, "ask for a `subject`, a `device` or a `workload`; if everybody may in, write `anonymous = true`")
            }
        };
        if let Some(at) = places.get(rule) {
            faults.error(at, fault.to_string(), String::from(hint));
        }
    }
}

/// A route without a rule that allows is closed. That is safe, and hardly meant.
fn report_closed_routes(rules: &RuleSet, faults: &Faults) {
    for (name, route) in rules.routes() {
        if route.allows().is_empty() {
            let watched = route.shadows().iter().any(|rule| rule.mode == Mode::Shadow);
            let why =
                if watched { "the only rules that would are in shadow mode" } else { "no rule allows anything on it" };
            faults.push(super::fault::Fault {
                at: None,
                message: format!("route `{name}` is closed: {why}"),
                hint: Some(format!("add an [[allow]] with routes = [\"{name}\"]")),
                warning: true,
            });
        }
    }
}

/// A deny that asks about a token applies where there is none (POLICY semantics 1), so on a route that takes no token it
/// refuses everybody. Whoever means that can say it.
fn report_closing_denies(rules: &RuleSet, places: &HashMap<Name, At>, faults: &Faults) {
    let reading = Reading::denial(Timestamp::UNIX_EPOCH);
    for (name, route) in rules.routes().into_iter().filter(|(_, route)| !route.takes_tokens()) {
        for rule in route.denies().iter().filter(|rule| rule.reads_token()) {
            let answers = rule.condition.answers(reading, &|criterion, _| criterion.answers_without_token());
            if let (false, Some(at)) = (answers.may_be(Truth::Fails), places.get(&rule.name)) {
                let message = format!("deny `{}` closes route `{name}`, which takes no tokens", rule.name);
                let hint = "write when_absent = \"skip\", or leave the route out; if it shall be closed, write a deny with \
                            `everybody = true`";
                faults.error(at, message, String::from(hint));
            }
        }
    }
}

#[cfg(test)]
mod tests;
