//! What holds whatever the rules are: tried over policies and requests that are put together at random.

use std::fmt::Write;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::changes::recorded;
use super::{item, project, read};
use crate::config::policy::project::Project;
use crate::policy::case::Outcome;
use crate::policy::diff::differences;
use crate::policy::lint::Code;
use crate::policy::replay::{Record, Replay, Replayed};
use crate::policy::rules::relation::{Conjunction, Side};
use crate::policy::rules::who::{Known, Who, ask};
use crate::policy::rules::{Answers, Condition, Criterion, Effect, Reading, Truth};
use crate::policy::trial::Trial;

const SUBJECTS: &[&str] = &[
    "",
    "subject = { any = true }",
    "subject = { issuer = \"corp\" }",
    "subject = { issuer = \"partner\", sub = [\"u-1\", \"u-2\"] }",
    "subject = { groups = \"a\" }",
    "subject = { groups = { any = [\"a\", \"b\"], none = [\"c\"] } }",
    "subject = { scopes = { all = [\"r\", \"w\"] } }",
    "subject = { acr = \"mfa\", signed_in_within = \"1h\" }",
    "subject = { claims = { level = { at_least = 3 } } }",
    "subject = { claims = { roles = { any = [\"x\"] } } }",
    "subject = { claims = { status = { none_of = [\"frozen\"] }, level = 3 } }",
    "subject = { claims = { status = { present = false } } }",
];
const DEVICES: &[&str] = &[
    "",
    "device = { any = true }",
    "device = { none = true }",
    "device = { trust = \"corp\" }",
    "workload = { spiffe_id = \"spiffe://corp.example/**\" }",
];
const REQUESTS: &[&str] = &[
    "",
    "request = { method = \"GET\" }",
    "request = { headers = { x-role = \"reader\" } }",
    "request = { headers = { x-role = { none_of = [\"admin\"] } } }",
    "request = { query = { dry = \"1\" } }",
    "request = { path_params = { id = { starts_with = \"7\" } } }",
];
const REST: &[&str] = &[
    "",
    "source = { networks = [\"10.0.0.0/8\"] }",
    "time = { zone = \"UTC\", from = \"08:00\", until = \"18:00\" }",
    "when = \"token.claims.level > 2\"",
    "when = \"has(token) && 'a' in token.groups\"",
    "when = \"request.headers['x-role'] == 'reader' || device.trust == 'corp'\"",
    "conditions = [\"managed\"]",
    "unless = [\"managed\"]",
    "unless = [\"risky\"]",
    "any_of = [{ subject = { groups = \"b\" } }, { device = { any = true }, source = { except = [\"10.0.0.0/8\"] } }]",
];
const DEFINED: &str = "[condition.managed]\ndevice = { trust = \"corp\" }\n\
                       [condition.risky]\nrequest = { headers = { x-role = \"admin\" } }\nsubject = { groups = \"c\" }\n";

const TOKENS: &[&str] = &[
    "",
    "token = { issuer = \"corp\", sub = \"u-1\" }",
    "token = { issuer = \"partner\", sub = \"u-1\", groups = [\"a\"], acr = \"mfa\", signed_in_ago = \"5m\" }",
    "token = { issuer = \"corp\", groups = [\"a\", \"c\"], scopes = [\"r\", \"w\"], claims = { level = 3, roles = [\"x\"] } }",
    "token = { issuer = \"corp\", groups = \"a\", claims = { level = \"3\", roles = \"x\", status = \"frozen\" } }",
    "token = { issuer = \"opaque\", groups = [\"b\"], claims = { level = 4.5, status = \"active\" } }",
];
const PEERS: &[&str] = &[
    "",
    "device = { trust = \"corp\", spiffe_id = \"spiffe://corp.example/device/7\" }",
    "device = { trust = \"lab\" }",
];
const PLACES: &[&str] = &["", "source = \"10.1.2.3\"", "now = \"2026-01-14T20:00:00Z\""];
const HEADERS: &[&str] = &["", "x-role = \"reader\"", "x-role = [\"reader\", \"admin\"]", "x-role = \"admin\""];
const QUERIES: &[&str] = &["", "?dry=1", "?dry=1&dry=0"];

/// A rule without its name.
#[derive(Clone, Debug)]
struct Drawn {
    effect: &'static str,
    keys: String,
}

fn drawn(effect: &'static str) -> impl Strategy<Value = Drawn> {
    (select(SUBJECTS), select(DEVICES), select(REQUESTS), select(REST), any::<bool>()).prop_map(
        move |(subject, device, request, rest, skip)| {
            let mut keys = [subject, device, request, rest].join("\n");
            let by_rest = rest.starts_with("conditions") || rest.starts_with("any_of");
            let identifies = !subject.is_empty() || by_rest || !(device.is_empty() || device.contains("none"));
            match effect {
                "allow" if !identifies => keys.push_str("\nanonymous = true"),
                "deny" if keys.trim().is_empty() => keys.push_str("everybody = true"),
                "deny" if skip => keys.push_str("\nwhen_absent = \"skip\""),
                "require" if keys.trim().is_empty() => keys.push_str("source = { networks = [\"0.0.0.0/0\"] }"),
                _ => {}
            }
            Drawn { effect, keys }
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Drawn>> {
    let one = prop_oneof![3 => drawn("allow"), 1 => drawn("deny"), 1 => drawn("require")];
    proptest::collection::vec(one, 1..6)
}

fn cases() -> impl Strategy<Value = String> {
    let one = (select(TOKENS), select(PEERS), select(PLACES), select(HEADERS), select(QUERIES));
    proptest::collection::vec(one, 8).prop_map(|cases| {
        let mut text = String::new();
        for (number, (token, peer, place, header, query)) in cases.into_iter().enumerate() {
            let request = item("").replace("/7\"", &format!("/7{query}\", headers = {{ {header} }}"));
            let expect = "expect = { decision = \"deny\" }";
            let _ = writeln!(text, "[[test]]\nname = \"{number}\"\n{expect}\n{request}\n{token}\n{peer}\n{place}");
        }
        text
    })
}

/// The rules as a file each, so that their order can be changed.
fn files(rules: &[Drawn]) -> Vec<String> {
    let file = |(number, rule): (usize, &Drawn)| {
        format!("[[{}]]\nname = \"rule {number}\"\nroutes = [\"items\"]\n{}\n", rule.effect, rule.keys)
    };
    rules.iter().enumerate().map(file).collect()
}

fn policy(rules: &[Drawn], cases: &str) -> Project {
    project(&format!("{DEFINED}{}{cases}", files(rules).concat()))
}

fn outcomes(project: &Project) -> Vec<Outcome> {
    let judge = |trial: &Trial| trial.case.judge(&project.routes, &project.policy.rules);
    project.policy.trials.iter().map(judge).collect()
}

fn admits(rules: &[Drawn], cases: &str) -> Vec<bool> {
    outcomes(&policy(rules, cases)).iter().map(|outcome| outcome.allowed).collect()
}

fn no_more(after: &[bool], before: &[bool]) -> bool {
    after.iter().zip(before).all(|(after, before)| before | !after)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn adding_a_deny_never_admits_more(rules in rules(), deny in drawn("deny"), cases in cases()) {
        let before = admits(&rules, &cases);
        let after = admits(&[rules, vec![deny]].concat(), &cases);
        prop_assert!(no_more(&after, &before));
    }

    #[test]
    fn adding_a_requirement_never_admits_more(rules in rules(), require in drawn("require"), cases in cases()) {
        let before = admits(&rules, &cases);
        let after = admits(&[rules, vec![require]].concat(), &cases);
        prop_assert!(no_more(&after, &before));
    }

    #[test]
    fn removing_an_allow_never_admits_more(rules in rules(), which in any::<Index>(), cases in cases()) {
        let allows: Vec<_> = (0..rules.len()).filter(|at| rules[*at].effect == "allow").collect();
        prop_assume!(!allows.is_empty());
        let before = admits(&rules, &cases);
        let mut fewer = rules;
        fewer.remove(allows[which.index(allows.len())]);
        prop_assert!(no_more(&admits(&fewer, &cases), &before));
    }

    /// Each rule in turn is made to fail: whatever it was for, nothing more is admitted; and where every allow fails,
    /// nothing is.
    #[test]
    fn an_error_never_admits(rules in rules(), cases in cases()) {
        let before = admits(&rules, &cases);
        let broken = |rule: &Drawn| {
            let error = "[1, 2][size(request.method) + 7] == 1";
            let (kept, when) = match rule.keys.split_once("when = \"") {
                Some((head, rest)) => {
                    let (when, tail) = rest.split_once("\"\n").unwrap_or((rest.trim_end_matches('"'), ""));
                    (format!("{head}{tail}"), format!("({when}) && {error} || {error}"))
                }
                None => (rule.keys.clone(), error.to_owned()),
            };
            let keys = if rule.effect == "deny" { String::new() } else { kept };
            Drawn { effect: rule.effect, keys: format!("{keys}\nwhen = \"{when}\"") }
        };
        for at in 0..rules.len() {
            let mut worse = rules.clone();
            worse[at] = broken(&worse[at]);
            prop_assert!(no_more(&admits(&worse, &cases), &before), "{:?}", worse[at]);
        }
        let fails = |rule: &Drawn| if rule.effect == "allow" { broken(rule) } else { rule.clone() };
        let none: Vec<_> = rules.iter().map(fails).collect();
        prop_assert!(admits(&none, &cases).iter().all(|allowed| !allowed));
    }

    #[test]
    fn the_order_of_files_does_not_matter(rules in rules(), order in any::<[Index; 4]>(), cases in cases()) {
        let mut texts = files(&rules);
        texts.push(DEFINED.to_owned());
        texts.push(cases);
        let ask = |texts: &[String]| {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            outcomes(&read(&texts).0.unwrap())
        };
        let before = ask(&texts);
        for (at, index) in order.iter().enumerate() {
            let (from, to) = (at % texts.len(), index.index(texts.len()));
            texts.swap(from, to);
        }
        prop_assert_eq!(ask(&texts), before);
    }

    #[test]
    fn an_explanation_agrees_with_the_decision(rules in rules(), cases in cases()) {
        let project = policy(&rules, &cases);
        for (trial, outcome) in project.policy.trials.iter().zip(outcomes(&project)) {
            let (_, explanation) = trial.case.explain(&project.routes, &project.policy.rules).unwrap();
            prop_assert_eq!(explanation.allowed, Some(outcome.allowed));
            prop_assert_eq!(explanation.verdict(), (outcome.allowed, outcome.rule.as_ref().map(|rule| rule.as_str())));
            prop_assert_eq!(explanation.reason.as_deref(), outcome.reason.map(crate::identity::Reason::code));
        }
    }

    /// What lint says of two conditions is so for every request: none meets both, or whoever meets the one meets the other.
    #[test]
    fn no_request_contradicts_what_is_said_of_conditions(rules in rules(), cases in cases()) {
        let project = policy(&rules, &cases);
        let all = project.policy.rules.rules();
        for trial in &project.policy.trials {
            let meant = trial.case.route(&project.routes).unwrap();
            let facts = trial.case.facts(Some(&meant));
            let holds = |condition: &Condition, reading| condition.truth(&facts, reading) == Truth::Holds;
            let (permission, denial) = (Reading::permission(trial.case.at), Reading::denial(trial.case.at));
            for (one, two) in all.iter().flat_map(|one| all.iter().map(move |two| (&one.condition, &two.condition))) {
                let both = Conjunction::of(one).and(two);
                if both.contradiction(Side::Permission).is_some() {
                    prop_assert!(!(holds(one, permission) && holds(two, permission)), "{one:?} {two:?}");
                }
                if both.contradiction(Side::Denial).is_some() {
                    prop_assert!(!(holds(one, denial) && holds(two, denial)), "{one:?} {two:?}");
                }
                if Conjunction::of(one).implies(two) && holds(one, permission) {
                    prop_assert!(holds(two, permission), "{one:?} {two:?}");
                    prop_assert!(two.truth(&facts, denial) != Truth::Fails, "{one:?} {two:?}");
                }
            }
        }
    }

    /// What lint calls unreachable or never matching admits nobody; without what it calls shadowed nothing changes.
    #[test]
    fn no_request_contradicts_lint(rules in rules(), cases in cases()) {
        let project = policy(&rules, &cases);
        let before = admits(&rules, &cases);
        for finding in project.lint(jiff::Timestamp::UNIX_EPOCH) {
            let Some(number) = finding.about.strip_prefix("rule ").and_then(|n| n.parse::<usize>().ok()) else { continue };
            let allow = rules[number].effect == "allow";
            let never = matches!(finding.code, Code::NeverMatches | Code::Contradiction | Code::Unreachable);
            if finding.code == Code::Shadowed || (allow && never) {
                let mut without = rules.clone();
                without.remove(number);
                prop_assert_eq!(&admits(&without, &cases), &before, "{:?}", finding);
            }
        }
    }

    /// What a replay says of a record is what the new rules decide about the request that was recorded.
    #[test]
    fn no_replay_contradicts_the_decision(rules in rules(), more in rules(), keep in any::<[bool; 6]>(), cases in cases()) {
        let old = policy(&rules, &cases);
        let kept = rules.iter().zip(keep).filter(|(_, keep)| *keep).map(|(rule, _)| rule.clone());
        let new = policy(&kept.chain(more.into_iter().take(2)).collect::<Vec<_>>(), &cases);
        let replay = Replay { routes: &new.routes, rules: &new.policy.rules, old: (&old.policy.rules, &old.version) };
        for (trial, before) in old.policy.trials.iter().zip(outcomes(&old)) {
            let line = recorded(&trial.case, &before, &old.version.to_string());
            let record = Record::parse(&line).unwrap();
            let after = trial.case.judge(&new.routes, &new.policy.rules);
            match replay.ask(&record) {
                Replayed::Same => prop_assert_eq!(after.allowed, before.allowed),
                Replayed::Changed { allowed, .. } => prop_assert_eq!((after.allowed, before.allowed), (allowed, !allowed)),
                Replayed::Open(lacking) => prop_assert!(!lacking.is_empty()),
                Replayed::NotDecided => prop_assert!(false, "{}", line),
            }
        }
    }

    /// What is recalled of a decision is what the new rules say, where it is said at all.
    #[test]
    fn no_recollection_contradicts_the_decision(rules in rules(), more in rules(), keep in any::<[bool; 6]>(), cases in cases()) {
        let old = policy(&rules, &cases);
        let kept = rules.iter().zip(keep).filter(|(_, keep)| *keep).map(|(rule, _)| rule.clone());
        let new = policy(&kept.chain(more.into_iter().take(2)).collect::<Vec<_>>(), &cases);
        let replay = Replay { routes: &new.routes, rules: &new.policy.rules, old: (&old.policy.rules, &old.version) };
        for (trial, before) in old.policy.trials.iter().zip(outcomes(&old)) {
            let record = Record::parse(&recorded(&trial.case, &before, &old.version.to_string())).unwrap();
            let recalled = replay.recall(&record, &new.version);
            let (_, whole) = trial.case.explain(&new.routes, &new.policy.rules).unwrap();
            let decided = match replay.ask(&record) {
                Replayed::Same => Some(before.allowed),
                Replayed::Changed { allowed, .. } => Some(allowed),
                Replayed::Open(_) | Replayed::NotDecided => None,
            };
            prop_assert_eq!(recalled.now.allowed, decided);
            for told in &recalled.now.rules {
                let so = whole.rules.iter().find(|rule| rule.rule == told.rule).unwrap();
                prop_assert!(told.applies.is_none() || told.applies == so.applies, "{told:?} {so:?}");
            }
        }
    }

    /// Differences of which none may admit more admit no more, and the other way round.
    #[test]
    fn no_difference_means_more_than_it_says(rules in rules(), one in any::<Index>(), other in drawn("allow"), cases in cases()) {
        let mut changed = rules.clone();
        let at = one.index(rules.len());
        changed[at] = Drawn { effect: rules[at].effect, ..other };
        if changed[at].effect != "allow" {
            changed[at].keys = changed[at].keys.replace("anonymous = true", "source = { networks = [\"0.0.0.0/0\"] }");
            prop_assume!(changed[at].keys.matches("source =").count() < 2);
        }
        let (old, new) = (policy(&rules, &cases), policy(&changed, &cases));
        let (before, after) = (admits(&rules, &cases), admits(&changed, &cases));
        for difference in differences((&old.routes, &old.policy.rules), (&new.routes, &new.policy.rules)) {
            match difference.meaning {
                "may admit more" => prop_assert!(no_more(&before, &after), "{difference:?}"),
                "may admit less" => prop_assert!(no_more(&after, &before), "{difference:?}"),
                "admits the same" => prop_assert_eq!(&after, &before, "{:?}", difference),
                _ => {}
            }
        }
    }

    /// *Nobody* is never said of a request that is admitted, nor *everybody* of one that is refused, whatever part of the facts
    /// is known.
    #[test]
    fn who_can_agrees_with_the_decision(rules in rules(), known in any::<[bool; 7]>(), cases in cases()) {
        let project = policy(&rules, &cases);
        for (trial, outcome) in project.policy.trials.iter().zip(outcomes(&project)) {
            let meant = trial.case.route(&project.routes).unwrap();
            let holds = |criterion: &Criterion| match criterion {
                Criterion::Subject(_) => known[0],
                Criterion::Claim(_) => known[1],
                Criterion::Peer(_) => known[2],
                Criterion::Request(_) => known[3],
                Criterion::Source(_) => known[4],
                Criterion::Time(_) => known[5],
                Criterion::When(_) => known[6],
            };
            let known = Known { facts: trial.case.facts(Some(&meant)), at: trial.case.at, holds: &holds };
            let answer = ask(project.policy.rules.route(&meant.route.name).unwrap(), &known);
            match answer.who {
                Who::Nobody => prop_assert!(!outcome.allowed),
                Who::Everybody => prop_assert!(outcome.allowed),
                Who::Some => prop_assert!(!answer.ways.is_empty()),
            }
        }
    }

    /// What is worked out from a part of the facts never excludes what the whole facts say.
    #[test]
    fn no_answer_that_is_given_was_held_impossible(rules in rules(), cases in cases()) {
        let project = policy(&rules, &cases);
        for trial in &project.policy.trials {
            let meant = trial.case.route(&project.routes).unwrap();
            let facts = trial.case.facts(Some(&meant));
            for rule in project.policy.rules.rules() {
                let reading = rule.reading(trial.case.at);
                let possible = rule.condition.answers(reading, &|criterion, reading| {
                    if facts.token.is_none() {
                        criterion.answers_without_token()
                    } else if rule.effect == Effect::Deny {
                        Answers::ANY
                    } else {
                        Answers::only(criterion.truth(&facts, reading))
                    }
                });
                let truth: Truth = rule.condition.truth(&facts, reading);
                prop_assert!(possible.may_be(truth), "{}: {truth:?} {possible:?}", rule.condition.wanted());
            }
        }
    }
}
