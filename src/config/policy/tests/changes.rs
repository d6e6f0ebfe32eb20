//! Two policies compared, and one asked about what another decided.

use serde_json::json;

use super::{MAIN, ROUTES, item, project};
use crate::config::fault::{Faults, Source};
use crate::config::policy::project::{KnownNames, Project};
use crate::policy::case::{Case, Outcome};
use crate::policy::diff::differences;
use crate::policy::replay::{Record, Replay, Replayed, Report};

const FINANCE: &str =
    "[[allow]]\nname = \"finance\"\nroutes = [\"items\"]\nsubject = { groups = { any = [\"finance\"] } }\n";
const SRE: &str = "[[allow]]\nname = \"sre\"\nroutes = [\"items\"]\nsubject = { groups = \"sre\" }\n";
const FROZEN: &str = "[[deny]]\nname = \"frozen\"\nroutes = [\"items\"]\nsubject = { claims = { frozen = { equals = true, when_absent = \"skip\" } } }\n";
const DEVICE: &str = "[[require]]\nname = \"device\"\nroutes = [\"items\"]\ndevice = { trust = \"corp\" }\n";

/// The line that the audit log would hold about a case.
pub(super) fn recorded(case: &Case, outcome: &Outcome, version: &str) -> String {
    let subject = case.token.as_ref().map(|token| {
        json!({ "issuer": token.principal.issuer.as_str(), "sub": &*token.principal.subject, "source": token.source.as_str(), "client_id": token.client_id })
    });
    let peer = case.peer.as_ref().map_or(json!("absent"), |peer| {
        let id = peer.spiffe_id.as_ref().map(|id| id.as_str());
        json!({ "verified": { "trust": peer.trust.as_str(), "spiffe_id": id, "subject": peer.subject, "serial": peer.serial } })
    });
    json!({
        "kind": "request", "id": "r-1", "time": case.at.to_string(), "source": case.source.to_string(), "peer": peer,
        "subject": subject, "method": case.method.as_str(), "host": case.host.to_string(), "path": case.path.as_str(),
        "route": outcome.route.as_ref().map(|name| name.as_str()), "decision": outcome.decision(),
        "reason": outcome.reason.map(crate::identity::Reason::code), "rule": outcome.rule.as_ref().map(|name| name.as_str()),
        "policy": version,
    })
    .to_string()
}

fn with_case(rules: &str, case: &str) -> Project {
    project(&format!("{rules}\n[[test]]\nname = \"t\"\nexpect = {{ decision = \"deny\" }}\n{case}\n"))
}

/// What a new policy makes of the record of a decision of the old one.
fn replayed(old: &str, new: &str, case: &str) -> Replayed {
    let (old, new) = (with_case(old, case), project(new));
    let case = &old.policy.trials[0].case;
    let outcome = case.judge(&old.routes, &old.policy.rules);
    let record = Record::parse(&recorded(case, &outcome, &old.version.to_string())).unwrap();
    let replay = Replay { routes: &new.routes, rules: &new.policy.rules, old: (&old.policy.rules, &old.version) };
    replay.ask(&record)
}

fn becomes(allowed: bool, rule: &str) -> Replayed {
    Replayed::Changed { allowed, rule: Some(rule.to_owned()) }
}

#[test]
fn what_the_old_decision_tells_is_used_and_what_nothing_tells_is_open() {
    let finance = item("token = { issuer = \"corp\", groups = [\"finance\"] }");
    let other = item("token = { issuer = \"corp\", groups = [\"x\"] }");
    let wider = FINANCE.replace("[\"finance\"]", "[\"finance\", \"audit\"]");
    let old = &format!("{FINANCE}{FROZEN}");
    for (new, case, expected) in [
        // The old rule held, so a wider one holds; the old deny did not apply, so it does not.
        (format!("{wider}{FROZEN}"), &finance, Replayed::Same),
        (format!("{FINANCE}{FROZEN}{DEVICE}"), &finance, becomes(false, "device")),
        (SRE.to_owned(), &finance, Replayed::Open(["group `sre`".to_owned()].into())),
        (format!("{FINANCE}{SRE}"), &finance, Replayed::Same),
        (FROZEN.to_owned(), &finance, Replayed::Changed { allowed: false, rule: None }),
        // Nothing allowed, so what is narrower does not allow either; what is wider may.
        (format!("{FINANCE}{FROZEN}"), &other, Replayed::Same),
        (format!("{wider}{FROZEN}"), &other, Replayed::Open(["group `audit` or `finance`".to_owned()].into())),
        (format!("{FINANCE}{FROZEN}").replace("groups = {", "issuer = \"corp\", groups = {"), &other, Replayed::Same),
        (
            "[[allow]]\nname = \"all\"\nroutes = [\"items\"]\nsubject = { any = true }\n".into(),
            &other,
            becomes(true, "all"),
        ),
    ] {
        assert_eq!(replayed(old, &new, case), expected, "{new}\n{case}");
    }
    // The record of another version tells its own facts only.
    let (first, second) = (with_case(FINANCE, &finance), project(FINANCE));
    let case = &first.policy.trials[0].case;
    let line = recorded(case, &case.judge(&first.routes, &first.policy.rules), "0123456789ab");
    let replay =
        Replay { routes: &second.routes, rules: &second.policy.rules, old: (&first.policy.rules, &first.version) };
    assert_eq!(replay.ask(&Record::parse(&line).unwrap()), Replayed::Open(["group `finance`".to_owned()].into()));
}

#[test]
fn a_report_counts_each_line_once() {
    let (old, new) = (
        with_case(FINANCE, &item("token = { issuer = \"corp\", groups = [\"finance\"] }")),
        project(&format!("{FINANCE}{DEVICE}")),
    );
    let case = &old.policy.trials[0].case;
    let line = recorded(case, &case.judge(&old.routes, &old.policy.rules), &old.version.to_string());
    let replay = Replay { routes: &new.routes, rules: &new.policy.rules, old: (&old.policy.rules, &old.version) };
    let mut report = Report::default();
    let refused = r#"{"kind":"request","decision":"deny","reason":"token-expired"}"#;
    for line in [&line, &line, "{", "{\"kind\":\"connection\"}", refused, r#"{"kind":"request","decision":"allow"}"#] {
        report.add(line, &replay);
    }
    assert_eq!((report.requests, report.changed, report.subjects, report.not_decided), (3, 2, 1, 1));
    assert_eq!((report.others, report.unreadable, report.changes.len()), (1, 2, 1));
    let change = &report.changes[0];
    assert_eq!((change.from, change.to, change.requests, change.examples.len()), ("allow", "deny", 2, 2));
    assert_eq!((change.old_rule.as_deref(), change.new_rule.as_deref()), (Some("finance"), Some("device")));
    assert!(change.subjects.contains("somebody at corp"));
}

#[test]
fn a_difference_says_what_it_means() {
    let route = "[[route]]\nname = \"more\"\nhost = \"more.corp.example\"\npath = \"/\"\nmethods = [\"GET\"]\nupstream = \"app\"\n";
    let base = format!("{FINANCE}{FROZEN}{DEVICE}");
    for (new, expected) in [
        (base.clone(), ""),
        (format!("{base}{SRE}"), "added rule sre: may admit more"),
        (format!("{FROZEN}{DEVICE}"), "removed rule finance: may admit less"),
        (format!("{FINANCE}{DEVICE}"), "removed rule frozen: may admit more"),
        (format!("{base}{route}"), "added route more: an address more is answered"),
        (base.replace("any = [\"finance\"]", "any = [\"finance\", \"audit\"]"), "changed rule finance: may admit more"),
        (base.replace("any = [\"finance\"]", "all = [\"finance\", \"audit\"]"), "changed rule finance: may admit less"),
        (base.replace("any = [\"finance\"]", "any = [\"audit\"]"), "changed rule finance: may admit others"),
        (base.replace("trust = \"corp\"", "trust = [\"corp\", \"lab\"]"), "changed rule device: may admit more"),
        (
            base.replace("trust = \"corp\"", "trust = \"corp\", key_algorithm = \"ec\""),
            "changed rule device: may admit less",
        ),
        (base.replace("when_absent = \"skip\"", "when_absent = \"deny\""), "changed rule frozen: may admit others"),
        (
            base.replace("name = \"finance\"\nroutes = [\"items\"]", "name = \"finance\"\nroutes = [\"*\"]"),
            "changed rule finance: may admit more",
        ),
        (
            base.replace("name = \"frozen\"", "mode = \"shadow\"\nname = \"frozen\""),
            "changed rule frozen: may admit more",
        ),
    ] {
        let (old, new) = (project(&base), project(&new));
        let found = differences((&old.routes, &old.policy.rules), (&new.routes, &new.policy.rules));
        let said: Vec<_> =
            found.iter().map(|one| format!("{} {} {}: {}", one.became, one.kind, one.name, one.meaning)).collect();
        assert_eq!(said.join(", "), expected);
    }
    let renamed = ROUTES.replace("/v1/items/{id}", "/v2/items/{id}");
    let source = |name: &str, text: &str| std::sync::Arc::new(Source::new(name.into(), text.into()));
    let faults = Faults::default();
    let known = KnownNames::read(&source("portcullis.toml", MAIN), &faults);
    let new = Project::read(known, &[source("a", &renamed), source("b", &base)], &faults).unwrap();
    let old = project(&base);
    let found = differences((&old.routes, &old.policy.rules), (&new.routes, &new.policy.rules));
    assert_eq!(
        (found[0].before.join(""), found[0].after.join("")),
        ("path /v1/items/{id}".into(), "path /v2/items/{id}".into())
    );
}
