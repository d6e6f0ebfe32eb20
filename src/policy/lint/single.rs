//! What a rule or a route shows by itself.

use jiff::Timestamp;

use super::{Code, Finding, Subject, listed};
use crate::policy::rules::criterion::{
    ClaimTest, PeerCriterion, RequestCriterion, SubjectCriterion, TextMatch, TextTest,
};
use crate::policy::rules::relation::{Conjunction, Side};
use crate::policy::rules::{Condition, Criterion, Effect, Rule};
use crate::route::{HostPattern, Route};

/// Claims that every verified token has.
const ALWAYS: [&str; 4] = ["iss", "sub", "aud", "exp"];

pub(super) fn look(rule: &Rule, routes: &[&Route], now: Timestamp, found: &mut Vec<Finding>) {
    let side = if rule.effect == Effect::Deny { Side::Denial } else { Side::Permission };
    if let Some(why) = Conjunction::of(&rule.condition).contradiction(side) {
        let became = match rule.effect {
            Effect::Allow => "admits nobody",
            Effect::Deny => "refuses nobody by what it says",
            Effect::Require => "can never be met and closes its routes",
        };
        let message = format!("{} `{}` {became}: {why}", rule.effect.as_str(), rule.name);
        found.push(Finding::of(Code::Contradiction, rule, message, "take one of the two out"));
    }
    if rule.effect == Effect::Allow {
        look_at_breadth(rule, routes, found);
    }
    if rule.effect == Effect::Deny {
        look_for_optional(rule, found);
    }
    look_for_wildcards(rule, found);
    look_for_end(rule, now, found);
}

fn look_at_breadth(rule: &Rule, routes: &[&Route], found: &mut Vec<Finding>) {
    let where_to = listed(routes.iter().map(|route| &route.name));
    if rule.anonymous {
        let restricted = match rule.condition.wanted() {
            nothing if nothing == "nothing" => String::new(),
            wanted => format!(", with {wanted}"),
        };
        let message = format!("`{}` opens {where_to} to everybody, unidentified{restricted}", rule.name);
        let hint = "ask for a `subject`, a `device` or a `workload`; if it is meant, silence this with the reason";
        found.push(Finding::of(Code::OpenToAnonymous, rule, message, hint));
        return;
    }
    let mut narrow = false;
    let mut whom = Vec::new();
    rule.condition.visit(&mut |criterion, negated| match criterion {
        Criterion::Subject(SubjectCriterion::Any | SubjectCriterion::Issuer(_))
        | Criterion::Peer(PeerCriterion::Any | PeerCriterion::Trust(_))
            if !negated =>
        {
            whom.push(criterion.wanted());
        }
        Criterion::Subject(_) | Criterion::Claim(_) | Criterion::Peer(_) | Criterion::When(_) => narrow = true,
        Criterion::Request(_) | Criterion::Source(_) | Criterion::Time(_) => {}
    });
    if !narrow && !whom.is_empty() {
        let message = format!("`{}` opens {where_to} to whoever has {}", rule.name, whom.join(" and "));
        let hint =
            "ask for a group, a scope, a claim or a SPIFFE ID; if everybody is meant, silence this with the reason";
        found.push(Finding::of(Code::Anyone, rule, message, hint));
    }
}

/// What a deny asks about and a token may leave out, where the rule does not say what that means.
fn look_for_optional(rule: &Rule, found: &mut Vec<Finding>) {
    let mut asked = Vec::new();
    unstated(&rule.condition, &mut asked);
    if asked.is_empty() {
        return;
    }
    let message = format!(
        "deny `{}` refuses also whoever's token says nothing about it: it asks for {}",
        rule.name,
        asked.join(", ")
    );
    let hint = "write when_absent = \"skip\", or when_absent = \"deny\" if that is meant";
    found.push(Finding::of(Code::OptionalClaim, rule, message, hint));
}

fn unstated(condition: &Condition, asked: &mut Vec<String>) {
    match condition {
        Condition::Is(criterion) if may_be_missing(criterion) => asked.push(criterion.wanted()),
        // "Refused unless a developer" means whoever is not known to be one.
        Condition::Is(_) | Condition::WhenAbsent(..) | Condition::Not(_) => {}
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| unstated(part, asked)),
        Condition::Named(_, inner) => unstated(inner, asked),
    }
}

fn may_be_missing(criterion: &Criterion) -> bool {
    match criterion {
        Criterion::Subject(SubjectCriterion::Any | SubjectCriterion::Issuer(_) | SubjectCriterion::Sub(_)) => false,
        Criterion::Subject(_) => true,
        Criterion::Claim(claim) => {
            let always = claim.path.steps().eq(claim.path.steps().filter(|step| ALWAYS.contains(step)));
            !always && !matches!(claim.test, ClaimTest::Present(_))
        }
        // An expression asks first whether a claim is there, or it is taken at its word.
        Criterion::When(expression) => {
            !expression.source().contains("has(")
                && expression.reads().claims.iter().any(|name| !ALWAYS.contains(&&**name))
        }
        Criterion::Peer(_) | Criterion::Request(_) | Criterion::Source(_) | Criterion::Time(_) => false,
    }
}

fn look_for_wildcards(rule: &Rule, found: &mut Vec<Finding>) {
    let mut broad = Vec::new();
    let text = |what: &str, text: &TextMatch| {
        let everything = |test: &&TextTest| matches!(test, TextTest::Regex(regex) if takes_everything(regex));
        text.tests.iter().find(everything).map(|_| format!("{what} {}", text.wanted()))
    };
    rule.condition.visit(&mut |criterion, negated| {
        if negated || rule.effect == Effect::Deny {
            return;
        }
        let one = match criterion {
            Criterion::Peer(PeerCriterion::SpiffeId(patterns)) => patterns
                .iter()
                .find(|pattern| pattern.is_whole_domain())
                .map(|pattern| format!("`{pattern}` is a whole trust domain")),
            Criterion::Peer(PeerCriterion::Dns(patterns)) => {
                let shallow =
                    |text: &String| text.strip_prefix("**.").is_some_and(|rest| rest.matches('.').count() < 2);
                let texts = patterns.iter().map(ToString::to_string);
                texts.into_iter().find(shallow).map(|text| format!("`{text}` is a whole domain"))
            }
            Criterion::Source(source) => {
                let everywhere = source.networks.iter().find(|network| network.prefix_len() == 0);
                everywhere.map(|network| format!("`{network}` is every address"))
            }
            Criterion::Claim(claim) => match &claim.test {
                ClaimTest::Text(wanted) => text(&format!("claim `{}`", claim.path), wanted),
                _ => None,
            },
            Criterion::Subject(SubjectCriterion::Sub(wanted)) => text("subject", wanted),
            Criterion::Subject(SubjectCriterion::ClientId(wanted)) => text("client", wanted),
            Criterion::Request(RequestCriterion::Header(name, wanted)) => text(&format!("header `{name}`"), wanted),
            Criterion::Request(RequestCriterion::Path(_)) if criterion.wanted().contains("`/**`") => {
                Some("`/**` is every path but `/`".into())
            }
            _ => None,
        };
        broad.extend(one);
    });
    for what in broad {
        let message = format!("{} `{}`: {what}", rule.effect.as_str(), rule.name);
        found.push(Finding::of(Code::BroadWildcard, rule, message, "write out what is meant"));
    }
}

/// Whether a regular expression matches texts that have nothing in common.
fn takes_everything(regex: &regex::Regex) -> bool {
    ["a", "\u{20ac} -/", "0123456789 0123456789"].iter().all(|text| regex.is_match(text))
}

fn look_for_end(rule: &Rule, now: Timestamp, found: &mut Vec<Finding>) {
    for criterion in Conjunction::of(&rule.condition).criteria() {
        if let Criterion::Time(time) = criterion
            && let Some(before) = time.before.filter(|before| *before <= now)
        {
            let message = format!("{} `{}` ended at {before}", rule.effect.as_str(), rule.name);
            found.push(Finding::of(Code::Ended, rule, message, "take the rule out, or give it a later end"));
        }
    }
}

pub(super) fn look_at_route(route: &Route, subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let mut push = |code, message: String, hint: &str| {
        let (about, origin) = (route.name.to_string(), subject.origin(&route.name));
        found.push(Finding { code, about, origin, message, hint: hint.to_owned(), silenced: None });
    };
    if subject.rules.route(&route.name).is_none_or(|rules| rules.allows().is_empty()) {
        let message = format!("route `{}` is closed: no rule allows anything on it", route.name);
        push(Code::ClosedRoute, message, "add an [[allow]], or take the route out");
    }
    let suffix = match &route.host {
        HostPattern::Every => Some("every host".to_owned()),
        HostPattern::Labels(suffix) | HostPattern::OneLabel(suffix) if !suffix.as_str().contains('.') => {
            Some(format!("every host below `{suffix}`"))
        }
        _ => None,
    };
    if let Some(suffix) = suffix {
        push(Code::BroadWildcard, format!("route `{}` is for {suffix}", route.name), "name the hosts that are served");
    }
}
