//! What other rules would have decided about requests whose decisions were recorded.
//!
//! A record holds no groups, no claims, no header fields and no query. What it holds is compared exactly; what the rules
//! of that time made of the rest is taken from their decision; what is still open is said to be open, never guessed.

mod before;
mod recall;
mod record;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::PolicyVersion;
use super::rules::{Answers, Applies, Criterion, Effect, Facts, Reading, RouteRules, Rule, RuleSet};
use crate::route::Routes;
use before::Before;
pub use recall::{Recalled, Then};
pub use record::{Record, Unreadable};

/// The most requests that are shown of one change.
const EXAMPLES: usize = 3;

/// A policy that is asked, and the one that decided.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'p> {
    /// The routes of the policy that is asked.
    pub routes: &'p Routes,
    /// Its rules.
    pub rules: &'p RuleSet,
    /// The rules that may have decided, and their version: only records of this version tell what those rules saw.
    pub old: (&'p RuleSet, &'p PolicyVersion),
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The same decision.
    Same,
    /// The other one.
    Changed {
        /// Whether the request would be admitted now.
        allowed: bool,
        /// The rule that makes it so.
        rule: Option<String>,
    },
    /// It depends on what the record does not hold.
    Open(BTreeSet<String>),
    /// The policy was never asked about it.
    NotDecided,
}

/// The result over many records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records of requests.
    pub requests: u64,
    /// Of these, those with the same decision.
    pub same: u64,
    /// Those with another decision.
    pub changed: u64,
    /// How many subjects those are.
    pub subjects: usize,
    /// Those that depend on what no record holds.
    pub open: u64,
    /// What that is, and for how many requests.
    pub lacking: BTreeMap<String, u64>,
    /// Requests that were refused before the policy was asked.
    pub not_decided: u64,
    /// Lines that are no records of requests: connections, notices.
    pub others: u64,
    /// Lines that cannot be read.
    pub unreadable: u64,
    /// The changes.
    pub changes: Vec<Change>,
    #[serde(skip)]
    who: BTreeSet<String>,
}

/// Requests that would be decided otherwise, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The route.
    pub route: String,
    /// `allow` or `deny`, as it was.
    pub from: &'static str,
    /// The rule that decided.
    pub old_rule: Option<String>,
    /// `allow` or `deny`, as it would be.
    pub to: &'static str,
    /// The rule that would decide.
    pub new_rule: Option<String>,
    /// How many requests.
    pub requests: u64,
    /// Whose.
    pub subjects: BTreeSet<String>,
    /// The ids of some of them.
    pub examples: Vec<String>,
}

impl Replay<'_> {
    /// Asks about one record.
    pub fn ask(&self, record: &Record) -> Replayed {
        let Some(allowed) = record.decided() else { return Replayed::NotDecided };
        let meant = match record.case.route(self.routes) {
            Ok(found) => found,
            Err(_) if allowed => return Replayed::Changed { allowed: false, rule: None },
            Err(_) => return Replayed::Same,
        };
        let choosable = self.routes.iter().any(|other| !other.headers.is_empty());
        let name = &meant.route.name;
        if choosable && record.route.as_ref() != Some(name) {
            return Replayed::Open(BTreeSet::from(["header fields that choose the route".to_owned()]));
        }
        let Some(rules) = self.rules.route(name) else { return changed(allowed, false, None) };
        let facts = record.case.facts(Some(&meant));
        let before = self.before(record);
        let lacking = RefCell::new(BTreeSet::new());
        let applies = |rule: &Rule| self.applies(rule, record, &facts, before.as_ref(), &lacking);
        let possible = rules.possible(|rule| applies(rule));
        match (possible.allow, possible.deny) {
            (true, false) => changed(allowed, true, decisive(rules, true, &applies)),
            (false, _) => changed(allowed, false, decisive(rules, false, &applies)),
            (true, true) => Replayed::Open(lacking.into_inner()),
        }
    }

    fn before<'r>(&'r self, record: &'r Record) -> Option<Before<'r>> {
        let of_old = record.policy.as_deref() == Some(&**self.old.1.as_arc());
        Before::of(record, self.old.0.route(record.route.as_ref()?)?).filter(|_| of_old)
    }

    fn applies(
        &self,
        rule: &Rule,
        record: &Record,
        facts: &Facts<'_>,
        before: Option<&Before<'_>>,
        lacking: &RefCell<BTreeSet<String>>,
    ) -> Applies {
        if let Some(settled) = before.and_then(|before| before.settles(rule)) {
            return settled;
        }
        match reaches(rule, record, facts) {
            Some(true) => {}
            Some(false) if rule.effect == Effect::Require => return Applies::Surely,
            Some(false) => return Applies::Never,
            None => {
                lacking.borrow_mut().insert(format!("whether the rollout of `{}` reaches the certificate", rule.name));
                return Applies::Perhaps;
            }
        }
        let mut wanting = Vec::new();
        let open = RefCell::new(&mut wanting);
        let answers =
            rule.condition.answers(rule.reading(record.case.at), &|criterion: &Criterion, reading: Reading| {
                if record.holds(criterion) {
                    return Answers::only(criterion.truth(facts, reading));
                }
                let known = before.map_or(Answers::ANY, |before| before.answers(criterion));
                if !known.is_known() {
                    open.borrow_mut().push(criterion.wanted());
                }
                known
            });
        let applies = Applies::of(rule, answers);
        if applies == Applies::Perhaps {
            lacking.borrow_mut().extend(wanting);
        }
        applies
    }
}

/// Whether a rule's rollout reaches whoever asked; `None` where the record does not hold what decides that: the
/// fingerprint of a certificate without a SPIFFE ID.
fn reaches(rule: &Rule, record: &Record, facts: &Facts<'_>) -> Option<bool> {
    let Some(rollout) = rule.rollout else { return Some(true) };
    let settled = rollout.percent == 0 || rollout.percent >= 100;
    let by_fingerprint =
        facts.token.is_none() && record.case.peer.as_ref().is_some_and(|peer| peer.spiffe_id.is_none());
    (settled || !by_fingerprint).then(|| rollout.reaches(rule, facts))
}

fn changed(was: bool, is: bool, rule: Option<String>) -> Replayed {
    if was == is { Replayed::Same } else { Replayed::Changed { allowed: is, rule } }
}

/// The rule that makes the decision, as evaluation would tell it.
fn decisive(rules: &RouteRules, allowed: bool, applies: &impl Fn(&Rule) -> Applies) -> Option<String> {
    let deny = rules.denies().iter().find(|rule| applies(rule) == Applies::Surely);
    let unmet = rules.requirements().iter().find(|rule| applies(rule) == Applies::Never);
    let allow = rules.allows().iter().find(|rule| applies(rule) == Applies::Surely);
    let rule = if allowed { allow } else { deny.or(unmet) };
    rule.map(|rule| rule.name.to_string())
}

impl Report {
    /// Counts a line of the audit log.
    pub fn add(&mut self, line: &str, replay: &Replay<'_>) {
        let record = match Record::parse(line) {
            Ok(record) => record,
            Err(Unreadable::OtherKind) => return self.others += 1,
            Err(Unreadable::NotDecided) => {
                self.requests += 1;
                return self.not_decided += 1;
            }
            Err(Unreadable::Malformed) => return self.unreadable += 1,
        };
        self.requests += 1;
        match replay.ask(&record) {
            Replayed::Same => self.same += 1,
            Replayed::NotDecided => self.not_decided += 1,
            Replayed::Open(lacking) => {
                self.open += 1;
                for what in lacking {
                    *self.lacking.entry(what).or_default() += 1;
                }
            }
            Replayed::Changed { allowed, rule } => self.count_change(&record, allowed, rule),
        }
    }

    fn count_change(&mut self, record: &Record, allowed: bool, new_rule: Option<String>) {
        let word = |allowed: bool| if allowed { "allow" } else { "deny" };
        let (from, to) = (word(!allowed), word(allowed));
        let route = record.route.as_ref().map(ToString::to_string).unwrap_or_default();
        let old_rule = record.rule.as_ref().map(ToString::to_string);
        self.changed += 1;
        self.who.insert(record.who());
        self.subjects = self.who.len();
        let alike = |change: &&mut Change| {
            (&change.route, change.to, &change.old_rule, &change.new_rule) == (&route, to, &old_rule, &new_rule)
        };
        let change = match self.changes.iter_mut().find(alike) {
            Some(change) => change,
            None => {
                let (subjects, examples) = (BTreeSet::new(), Vec::new());
                self.changes.push(Change { route, from, old_rule, to, new_rule, requests: 0, subjects, examples });
                let Some(last) = self.changes.last_mut() else { return };
                last
            }
        };
        change.requests += 1;
        change.subjects.insert(record.who());
        if change.examples.len() < EXAMPLES {
            change.examples.push(record.id.clone());
        }
    }
}
