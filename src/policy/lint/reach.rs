//! Whether a rule can take effect on the routes that it speaks of.

use http::Method;

use super::{Code, Finding, Subject, listed};
use crate::identity::Name;
use crate::policy::rules::criterion::{RequestCriterion, SubjectCriterion};
use crate::policy::rules::relation::Conjunction;
use crate::policy::rules::{Condition, Criterion, Effect, Mode, RouteSelection, Rule, RuleSet};
use crate::route::{HostPattern, Methods, Route};

pub(super) fn look(rule: &Rule, routes: &[&Route], subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let blocked: Vec<_> = routes.iter().filter_map(|route| Some((&route.name, obstacle(rule, route)?))).collect();
    if let Some((_, why)) = blocked.first() {
        let all = blocked.len() == routes.len();
        let names = listed(blocked.iter().map(|(name, _)| *name));
        let named = matches!(rule.routes, RouteSelection::Named(_));
        let message = match rule.effect {
            Effect::Require => {
                Some(format!("require `{}` can never be met on {names} and closes it: {why}", rule.name))
            }
            effect if all || named => {
                Some(format!("{} `{}` never holds on {names}: {why}", effect.as_str(), rule.name))
            }
            _ => None,
        };
        let hint = "take the route out of the rule, or what it cannot have out of the condition";
        found.extend(message.map(|message| Finding::of(Code::NeverMatches, rule, message, hint)));
    }
    if rule.effect == Effect::Allow && rule.mode == Mode::Enforce {
        look_for_defeat(rule, routes, &blocked, subject, found);
    }
}

/// Why the rule's condition can never hold on the route.
fn obstacle(rule: &Rule, route: &Route) -> Option<String> {
    obstacle_of(&Conjunction::of(&rule.condition), rule.effect, route)
}

fn obstacle_of(parts: &Conjunction<'_>, effect: Effect, route: &Route) -> Option<String> {
    parts.criteria().iter().find_map(|criterion| match criterion {
        // A deny applies to whoever has no token, so only what is always decided counts against it.
        Criterion::Subject(SubjectCriterion::Issuer(names)) if effect != Effect::Deny && !route.tokens.is_empty() => {
            let none = names.iter().all(|name| !route.tokens.contains(name));
            none.then(|| format!("tokens of {} do not count there", listed(names.iter())))
        }
        Criterion::Subject(_) | Criterion::Claim(_) if effect != Effect::Deny && route.tokens.is_empty() => {
            Some("no tokens are taken there".into())
        }
        Criterion::Request(RequestCriterion::Method(wanted)) => {
            let served = |method: &str| Method::from_bytes(method.as_bytes()).is_ok_and(|m| route.methods.contains(&m));
            let none = matches!(route.methods, Methods::These(_)) && !wanted.iter().any(served);
            none.then(|| format!("it serves {} only", route.methods))
        }
        Criterion::Request(RequestCriterion::Host(patterns)) => match &route.host {
            HostPattern::Exact(host) => {
                let none = !patterns.iter().any(|pattern| pattern.matches(host.as_str()));
                none.then(|| format!("its host is `{host}`"))
            }
            _ => None,
        },
        _ => None,
    })
}

/// An allow that a deny or a requirement of the route always defeats.
fn look_for_defeat(
    rule: &Rule,
    routes: &[&Route],
    blocked: &[(&Name, String)],
    subject: &Subject<'_>,
    found: &mut Vec<Finding>,
) {
    let open = routes.iter().filter(|route| blocked.iter().all(|(name, _)| **name != route.name));
    let defeated: Vec<_> = open.filter_map(|route| Some((&route.name, defeat(rule, route, subject.rules)?))).collect();
    let Some((_, why)) = defeated.first() else { return };
    if defeated.len() < routes.len() && !matches!(rule.routes, RouteSelection::Named(_)) {
        return;
    }
    let names = listed(defeated.iter().map(|(name, _)| *name));
    let message = format!("allow `{}` admits nobody on {names}: {why}", rule.name);
    found.push(Finding::of(
        Code::Unreachable,
        rule,
        message,
        "take the route out of the allow, or narrow what stands against it",
    ));
}

fn defeat(rule: &Rule, route: &Route, rules: &RuleSet) -> Option<String> {
    let bound = rules.route(&route.name)?;
    let parts = Conjunction::of(&rule.condition);
    let reaches_all = |other: &Rule| other.rollout.is_none_or(|rollout| !rollout.denies);
    let denied = bound.denies().iter().find(|deny| reaches_all(deny) && parts.implies(&deny.condition));
    if let Some(deny) = denied {
        let whom = if is_empty(&deny.condition) { "everybody" } else { "everybody whom it would admit" };
        return Some(format!("`{}` refuses {whom}", deny.name));
    }
    bound.requirements().iter().filter(|require| reaches_all(require)).find_map(|require| {
        if let Some(why) = obstacle(require, route) {
            return Some(format!("`{}` can never be met there: {why}", require.name));
        }
        let both = parts.clone().and(&require.condition);
        let why = both.contradiction(crate::policy::rules::relation::Side::Permission)?;
        Some(format!("`{}` stands against it: {why}", require.name))
    })
}

pub(super) fn is_empty(condition: &Condition) -> bool {
    matches!(condition, Condition::All(parts) if parts.is_empty())
}
