//! Who can: nobody, everybody, or what remains.

use super::{item, project};
use crate::policy::rules::Criterion;
use crate::policy::rules::criterion::RequestCriterion;
use crate::policy::rules::who::{Answer, Known, Who, ask};

/// Asks about a request of which all but its header fields is known, and of whoever asks nothing.
fn who(rules: &str) -> Answer {
    let case = format!("[[test]]\nname = \"t\"\nexpect = {{ decision = \"deny\" }}\n{}\n", item(""));
    let project = project(&format!("{rules}\n{case}"));
    let case = &project.policy.trials[0].case;
    let meant = case.route(&project.routes).unwrap();
    let holds = |criterion: &Criterion| {
        let header = matches!(criterion, Criterion::Request(RequestCriterion::Header(..)));
        matches!(criterion, Criterion::Request(_)) && !header
    };
    ask(
        project.policy.rules.route(&meant.route.name).unwrap(),
        &Known { facts: case.facts(Some(&meant)), at: case.at, holds: &holds },
    )
}

const STAFF: &str = "[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { groups = \"staff\" }\n";

#[test]
fn what_remains_is_told_rule_by_rule() {
    let answer = who(&format!(
        "{STAFF}any_of = [{{ request = {{ method = \"PUT\" }} }}, {{ device = {{ any = true }} }}, {{ when = \"now.getHours() > 8\" }}]\n\
         [[allow]]\nname = \"put\"\nroutes = [\"items\"]\nsubject = {{ any = true }}\nrequest = {{ method = \"PUT\" }}\n\
         [[require]]\nname = \"r\"\nroutes = [\"items\"]\ndevice = {{ trust = \"corp\" }}\n\
         [[deny]]\nname = \"d\"\nroutes = [\"items\"]\nsource = {{ networks = [\"10.0.0.0/8\"] }}\n\
         [[deny]]\nname = \"never\"\nroutes = [\"items\"]\nrequest = {{ path_params = {{ id = \"8\" }} }}\n"
    ));
    assert_eq!(answer.who, Who::Some);
    let ways: Vec<_> = answer.ways.iter().map(|way| (way.rule.as_str(), way.conditions.join("; "))).collect();
    let expected = "group `staff`; a client certificate, or when `now.getHours() > 8`".to_owned();
    assert_eq!(ways, [("a", expected)], "the other one is for another method");
    assert_eq!(answer.requirements[0].conditions, ["a certificate of trust `corp`"]);
    assert_eq!(answer.denies.iter().map(|deny| deny.rule.as_str()).collect::<Vec<_>>(), ["d"]);
}

#[test]
fn nobody_and_everybody_are_said_where_they_are_certain() {
    let rule = |kind: &str, keys: &str| format!("[[{kind}]]\nname = \"{kind}\"\nroutes = [\"items\"]\n{keys}\n");
    for (rules, expected) in [
        (String::new(), Who::Nobody),
        (rule("allow", "anonymous = true"), Who::Everybody),
        (rule("allow", "anonymous = true\nrequest = { method = \"PUT\" }"), Who::Nobody),
        (rule("allow", "anonymous = true") + &rule("deny", "everybody = true"), Who::Nobody),
        (rule("allow", "anonymous = true") + &rule("deny", "subject = { groups = \"x\" }"), Who::Some),
        (rule("allow", "anonymous = true") + &rule("require", "request = { method = \"PUT\" }"), Who::Nobody),
        (STAFF.to_owned() + &rule("require", "subject = { groups = { none = [\"staff\"] } }"), Who::Nobody),
        (rule("allow", "subject = { any = true }\nrollout = 0"), Who::Some),
        (rule("allow", "anonymous = true\nmode = \"shadow\""), Who::Nobody),
        (rule("allow", "anonymous = true\nrequest = { headers = { x-a = \"1\" } }"), Who::Some),
    ] {
        assert_eq!(who(&rules).who, expected, "{rules}");
    }
}
