//! What differs between two policies: routes and rules by their names, and what a difference means for who is admitted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rules::relation::Conjunction;
use super::rules::{Condition, Effect, Mode, RouteSelection, Rule, RuleSet};
use crate::identity::Name;
use crate::route::{Route, Routes};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `route` or `rule`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// `added`, `removed` or `changed`.
    pub became: &'static str,
    /// What it means for who is admitted, as far as that is certain.
    pub meaning: &'static str,
    /// What only the old one says.
    pub before: Vec<String>,
    /// What only the new one says.
    pub after: Vec<String>,
}

/// Every difference, routes first, in the order of names.
pub fn differences(old: (&Routes, &RuleSet), new: (&Routes, &RuleSet)) -> Vec<Difference> {
    let (old_routes, new_routes) = (by_name(old.0), by_name(new.0));
    let routes = pairs(&old_routes, &new_routes).filter_map(|(name, old, new)| {
        let lines = |route: Option<&&Route>| route.map(|route| route_lines(route)).unwrap_or_default();
        let meaning = match (old, new) {
            (None, _) => "an address more is answered",
            (_, None) => "an address less is answered",
            _ => "may answer others",
        };
        changed("route", name, (old.is_some(), new.is_some()), meaning, (lines(old), lines(new)))
    });
    let rules_of = |rules: &RuleSet| rules.rules().iter().map(|rule| (rule.name.clone(), rule.clone())).collect();
    let (old_rules, new_rules): (BTreeMap<_, _>, BTreeMap<_, _>) = (rules_of(old.1), rules_of(new.1));
    let rules = pairs(&old_rules, &new_rules).filter_map(|(name, old, new)| {
        let (old, new) = (old.map(AsRef::as_ref), new.map(AsRef::as_ref));
        let lines = |rule: Option<&Rule>| rule.map(rule_lines).unwrap_or_default();
        let meaning = meaning(old, new);
        changed("rule", name, (old.is_some(), new.is_some()), meaning, (lines(old), lines(new)))
    });
    routes.chain(rules).collect()
}

fn by_name(routes: &Routes) -> BTreeMap<Name, &Route> {
    routes.iter().map(|route| (route.name.clone(), route.as_ref())).collect()
}

fn pairs<'m, T>(
    old: &'m BTreeMap<Name, T>,
    new: &'m BTreeMap<Name, T>,
) -> impl Iterator<Item = (&'m Name, Option<&'m T>, Option<&'m T>)> {
    let added = new.keys().filter(|name| !old.contains_key(*name));
    let mut names: Vec<_> = old.keys().chain(added).collect();
    names.sort();
    names.into_iter().map(|name| (name, old.get(name), new.get(name)))
}

fn changed(
    kind: &'static str,
    name: &Name,
    there: (bool, bool),
    meaning: &'static str,
    lines: (Vec<String>, Vec<String>),
) -> Option<Difference> {
    let became = match there {
        (false, _) => "added",
        (true, false) => "removed",
        (true, true) if lines.0 == lines.1 => return None,
        (true, true) => "changed",
    };
    let only = |of: &[String], other: &[String]| of.iter().filter(|line| !other.contains(line)).cloned().collect();
    let (before, after) = (only(&lines.0, &lines.1), only(&lines.1, &lines.0));
    Some(Difference { kind, name: name.to_string(), became, meaning, before, after })
}

fn route_lines(route: &Route) -> Vec<String> {
    let mut lines = vec![
        format!("host {}", route.host),
        format!("path {}", route.path.as_str()),
        format!("methods {}", route.methods),
        format!("upstream {}", route.upstream),
        format!("tokens {}", names(&route.tokens)),
    ];
    lines.extend(route.headers.iter().map(|header| format!("header {}: {:?}", header.name, header.value)));
    lines.push(format!("conceal {}", route.conceal));
    lines.push(format!(
        "admits {:?}, authorization {:?}, binding {:?}",
        route.admits, route.authorization, route.binding
    ));
    lines.push(format!("cors {:?}", route.cors));
    if let Some(rewrite) = &route.prefix_rewrite {
        lines.push(format!("prefix_rewrite {rewrite}"));
    }
    lines
}

fn rule_lines(rule: &Rule) -> Vec<String> {
    let mut lines = vec![rule.effect.as_str().to_owned()];
    lines.push(match &rule.routes {
        RouteSelection::Named(named) => {
            let mut named = named.to_vec();
            named.sort();
            format!("on {}", names(&named))
        }
        RouteSelection::Every { except } if except.is_empty() => "on every route".into(),
        RouteSelection::Every { except } => format!("on every route but {}", names(except)),
    });
    match (&rule.condition, rule.anonymous) {
        (_, true) => lines.push("for everybody, unidentified".into()),
        (Condition::All(parts), _) if parts.is_empty() => lines.push("for everybody".into()),
        _ => {}
    }
    lines.extend(condition_lines(&rule.condition));
    if rule.mode == Mode::Shadow {
        lines.push("only watched".into());
    }
    lines.extend(rule.rollout.map(|rollout| format!("for {} percent of subjects", rollout.percent)));
    if let Some(obligations) = &rule.obligations {
        let headers = obligations.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("gives {name}: {}", value.to_str().unwrap_or_default())));
        lines.extend(obligations.advice.as_ref().map(|advice| format!("advises: {advice}")));
        lines.extend(obligations.log.map(|level| format!("logs {level:?}").to_lowercase()));
    }
    lines
}

/// A named condition is shown with what it means: it may have changed under its name.
fn condition_lines(condition: &Condition) -> Vec<String> {
    match condition {
        Condition::All(parts) => parts.iter().flat_map(condition_lines).collect(),
        Condition::Named(name, inner) => vec![format!("with condition `{name}`: {}", inner.wanted())],
        Condition::Not(inner) => vec![match inner.as_ref() {
            Condition::Named(name, inner) => format!("not with condition `{name}`: {}", inner.wanted()),
            inner => format!("not with {}", inner.wanted()),
        }],
        Condition::WhenAbsent(absent, inner) => {
            let absent = format!("{absent:?}").to_lowercase();
            condition_lines(inner).into_iter().map(|line| format!("{line}; when absent: {absent}")).collect()
        }
        other => vec![format!("with {}", other.wanted())],
    }
}

fn names(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

const MORE: &str = "may admit more";
const LESS: &str = "may admit less";
const EITHER: &str = "may admit others";
const NOTHING: &str = "admits the same";

fn meaning(old: Option<&Rule>, new: Option<&Rule>) -> &'static str {
    let counts = |rule: &&Rule| rule.mode == Mode::Enforce;
    match (old.filter(counts), new.filter(counts)) {
        (None, None) => NOTHING,
        (None, Some(rule)) => {
            if rule.effect == Effect::Allow {
                MORE
            } else {
                LESS
            }
        }
        (Some(rule), None) => {
            if rule.effect == Effect::Allow {
                LESS
            } else {
                MORE
            }
        }
        (Some(old), Some(new)) if old.effect != new.effect || old.rollout != new.rollout => EITHER,
        (Some(old), Some(new)) => compared(old, new),
    }
}

/// Two versions of a rule. A deny also applies where something is missing, so its versions compare only when written alike.
fn compared(old: &Rule, new: &Rule) -> &'static str {
    let (wider, narrower) = if old.effect == Effect::Deny {
        let alike = format!("{:?}", old.condition) == format!("{:?}", new.condition);
        (alike, alike)
    } else {
        let implies = |one: &Rule, two: &Rule| Conjunction::of(&one.condition).implies(&two.condition);
        (implies(old, new), implies(new, old))
    };
    let (more_routes, fewer_routes) = (covers(&new.routes, &old.routes), covers(&old.routes, &new.routes));
    match (wider && more_routes, narrower && fewer_routes, old.effect) {
        (true, true, _) => NOTHING,
        (true, false, Effect::Allow) => MORE,
        (false, true, Effect::Allow) => LESS,
        // A requirement that more people meet refuses fewer; one on more routes refuses more.
        (_, _, Effect::Require) if wider && fewer_routes => MORE,
        (_, _, Effect::Require) if narrower && more_routes => LESS,
        (true, false, Effect::Deny) => LESS,
        (false, true, Effect::Deny) => MORE,
        _ => EITHER,
    }
}

/// Whether one selection has every route of the other.
fn covers(wide: &RouteSelection, narrow: &RouteSelection) -> bool {
    match (wide, narrow) {
        (wide, RouteSelection::Named(names)) => names.iter().all(|name| wide.covers(name)),
        (RouteSelection::Every { except: wide }, RouteSelection::Every { except: narrow }) => {
            wide.iter().all(|name| narrow.contains(name))
        }
        (RouteSelection::Named(_), RouteSelection::Every { .. }) => false,
    }
}
