//! Rules that change nothing beside another one.

use super::reach::is_empty;
use super::{Code, Finding, Subject};
use crate::policy::rules::relation::{Conjunction, same};
use crate::policy::rules::{Condition, Effect, Mode, Rule};

/// Rules of a route beyond which pairs are not compared: the work grows with their square.
const MOST: usize = 200;

pub(super) fn look(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for rule in subject.rules.rules().iter().filter(|rule| counts(rule)) {
        let routes = subject.routes_of(rule);
        // Only rules that speak of the first of its routes can cover it on all of them.
        let Some(bound) = routes.first().and_then(|route| subject.rules.route(&route.name)) else { continue };
        let others = match rule.effect {
            Effect::Allow => bound.allows(),
            Effect::Deny => bound.denies(),
            Effect::Require => bound.requirements(),
        };
        if others.len() > MOST {
            continue;
        }
        let everywhere = |other: &Rule| routes.iter().all(|route| other.routes.covers(&route.name));
        let covering = others.iter().filter(|other| other.name != rule.name && counts(other) && everywhere(other));
        // Of two that cover each other, the later one by name is told.
        let covering = covering.filter(|other| covers(other, rule));
        let mut covering =
            covering.filter(|other| other.name < rule.name || !covers(rule, other) || !back(rule, other, subject));
        if let Some(other) = covering.next() {
            let message =
                format!("{} `{}` changes nothing: `{}` covers it", rule.effect.as_str(), rule.name, other.name);
            found.push(Finding::of(Code::Shadowed, rule, message, "take it out, or narrow the other one"));
        }
    }
}

/// Whether `rule` speaks of every route that `other` speaks of.
fn back(rule: &Rule, other: &Rule, subject: &Subject<'_>) -> bool {
    subject.routes_of(other).iter().all(|route| rule.routes.covers(&route.name))
}

fn counts(rule: &Rule) -> bool {
    rule.mode == Mode::Enforce && rule.rollout.is_none()
}

/// Whether `wide` has its effect wherever `narrow` has.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    match wide.effect {
        // What it gives the upstream is a difference.
        Effect::Allow => {
            wide.headers() == narrow.headers() && Conjunction::of(&narrow.condition).implies(&wide.condition)
        }
        // A requirement refuses where it does not hold: the one that asks for more covers.
        Effect::Require => Conjunction::of(&wide.condition).implies(&narrow.condition),
        // A deny applies unless it fails, so only parts that are written alike compare.
        Effect::Deny => {
            let parts = parts(&narrow.condition);
            is_empty(&wide.condition)
                || self::parts(&wide.condition).iter().all(|part| parts.iter().any(|p| same(p, part)))
        }
    }
}

fn parts(condition: &Condition) -> Vec<&Condition> {
    match condition {
        Condition::All(inner) => inner.iter().flat_map(parts).collect(),
        other => vec![other],
    }
}
