//! Each finding: what it is found in, and what it is not found in.

use jiff::Timestamp;

use super::project;
use crate::policy::lint::{Code, Finding};

fn rule(kind: &str, name: &str, keys: &str) -> String {
    format!("[[{kind}]]\nname = \"{name}\"\nroutes = [\"items\"]\n{keys}\n")
}

fn allow(keys: &str) -> String {
    rule("allow", "a", keys)
}

fn now() -> Timestamp {
    "2026-01-14T12:00:00Z".parse().unwrap()
}

/// What is found beside the closed routes, which these policies have for brevity.
fn found(rules: &str) -> Vec<Finding> {
    let all = project(rules).lint(now()).into_iter();
    all.filter(|finding| finding.code != Code::ClosedRoute).collect()
}

/// (what is found, the policy, a part of the message)
fn table() -> Vec<(Code, String, &'static str)> {
    let staff = allow("subject = { groups = \"staff\" }");
    let with = |more: String| format!("{staff}{more}");
    let denied = |keys: &str| with(rule("deny", "d", keys));
    let required = |keys: &str| with(rule("require", "r", keys));
    vec![
        (Code::UnusedName, with("[set]\nx = [\"y\"]\n".into()), "set `x` is not used"),
        (Code::UnusedName, with("[condition.x]\ndevice = { any = true }\n".into()), "condition `x` is not used"),
        (
            Code::NeverMatches,
            allow("subject = { groups = \"a\" }\nrequest = { method = \"POST\" }"),
            "it serves GET, PUT, DELETE only",
        ),
        (
            Code::NeverMatches,
            allow("subject = { groups = \"a\" }\nrequest = { host = \"*.lab.example\" }"),
            "its host is `api.corp.example`",
        ),
        (
            Code::NeverMatches,
            allow("subject = { groups = \"a\" }").replace("items", "open"),
            "no tokens are taken there",
        ),
        (
            Code::NeverMatches,
            required("subject = { any = true }").replace("r\"\nroutes = [\"items\"]", "r\"\nroutes = [\"*\"]"),
            "can never be met on `open` and closes it",
        ),
        (Code::NeverMatches, denied("request = { method = \"POST\" }"), "deny `d` never holds on `items`"),
        (Code::Contradiction, allow("subject = { groups = { any = [\"a\"], none = [\"a\"] } }"), "can never be"),
        (
            Code::Contradiction,
            allow(
                "subject = { claims = { a = { starts_with = \"x\", ends_with = \"y\", regex = \"z+\" }, b = { equals = \"q\", starts_with = \"r\" } } }",
            ),
            "claim `b`",
        ),
        (
            Code::Contradiction,
            allow("[condition.x]\nsubject = { issuer = \"partner\" }\n").replace(
                "[condition.x]",
                "subject = { issuer = \"corp\", groups = \"a\" }\nconditions = [\"x\"]\n[condition.x]",
            ),
            "excludes a token of `partner`",
        ),
        (
            Code::Contradiction,
            allow(
                "subject = { groups = \"a\" }\nunless = [\"x\"]\n[condition.x]\nsubject = { groups = { any = [\"a\", \"b\"] } }",
            ),
            "asks for",
        ),
        (
            Code::Contradiction,
            allow("subject = { groups = \"a\" }\nsource = { networks = [\"10.1.0.0/16\"], except = [\"10.0.0.0/8\"] }"),
            "can never be",
        ),
        (
            Code::Contradiction,
            allow(
                "subject = { groups = \"a\" }\ndevice = { any = true }\nany_of = [{ device = { none = true } }, { device = { none = true } }]",
            ),
            "excludes",
        ),
        (
            Code::Contradiction,
            denied("request = { path_params = { id = { equals = \"7\", starts_with = \"8\" } } }"),
            "refuses nobody",
        ),
        (
            Code::Contradiction,
            required("subject = { groups = { all = [\"x\"], none = [\"x\"] } }"),
            "closes its routes",
        ),
        (
            Code::Shadowed,
            with(rule("allow", "b", "subject = { groups = \"staff\", acr = \"mfa\" }\nrequest = { method = \"GET\" }")),
            "allow `b` changes nothing: `a` covers it",
        ),
        (
            Code::Shadowed,
            with(rule("allow", "b", "subject = { groups = { any = [\"staff\"] } }")),
            "allow `b` changes nothing: `a` covers it",
        ),
        (
            Code::Shadowed,
            denied("source = { networks = [\"10.0.0.0/8\"] }\nrequest = { method = \"PUT\" }")
                + &rule("deny", "e", "source = { networks = [\"10.0.0.0/8\"] }"),
            "deny `d` changes nothing: `e` covers it",
        ),
        (
            Code::Shadowed,
            required("device = { any = true }") + &rule("require", "s", "device = { trust = \"corp\" }"),
            "require `r` changes nothing: `s` covers it",
        ),
        (Code::Unreachable, denied("everybody = true"), "`d` refuses everybody"),
        (
            Code::Unreachable,
            denied("subject = { groups = { any = [\"staff\", \"x\"], when_absent = \"skip\" } }"),
            "refuses everybody whom it would admit",
        ),
        (Code::Unreachable, required("subject = { groups = { none = [\"staff\"] } }"), "`r` stands against it"),
        (Code::OpenToAnonymous, allow("anonymous = true"), "opens `items` to everybody, unidentified"),
        (Code::OpenToAnonymous, allow("anonymous = true\nrequest = { method = \"GET\" }"), ", with method `GET`"),
        (Code::Anyone, allow("subject = { any = true }"), "to whoever has a verified token"),
        (
            Code::Anyone,
            allow("subject = { issuer = \"corp\" }\nsource = { networks = [\"10.0.0.0/8\"] }"),
            "a token of `corp`",
        ),
        (Code::Anyone, allow("device = { trust = \"corp\" }"), "a certificate of trust `corp`"),
        (Code::BroadWildcard, allow("device = { spiffe_id = \"spiffe://corp.example/**\" }"), "a whole trust domain"),
        (Code::BroadWildcard, allow("device = { dns = \"**.example\" }"), "a whole domain"),
        (
            Code::BroadWildcard,
            allow("subject = { groups = \"a\" }\nsource = { networks = [\"::/0\"] }"),
            "every address",
        ),
        (Code::BroadWildcard, allow("subject = { claims = { team = { regex = \".*\" } } }"), "claim `team`"),
        (Code::OptionalClaim, denied("subject = { claims = { status = \"frozen\" } }"), "claim `status` = `frozen`"),
        (Code::OptionalClaim, denied("subject = { groups = \"contractors\" }"), "group `contractors`"),
        (Code::OptionalClaim, denied("when = \"token.claims.status == 'frozen'\""), "when `token.claims.status"),
        (
            Code::Ended,
            allow("subject = { groups = \"a\" }\ntime = { before = 2026-01-14T12:00:00Z }"),
            "ended at 2026-01-14T12:00:00Z",
        ),
        (
            Code::SilencesNothing,
            with("[[lint]]\nsilence = \"shadowed\"\nreason = \"x\"\n".into()),
            "there is no P004 about `anything`",
        ),
    ]
}

#[test]
fn each_finding_is_found_and_nothing_else_is() {
    for (code, rules, message) in table() {
        let found = found(&rules);
        let texts: Vec<_> = found.iter().map(|one| format!("{} {}", one.code.code(), one.message)).collect();
        assert!(found.iter().any(|one| one.code == code && one.message.contains(message)), "{rules}\n{texts:#?}");
        // A requirement that nobody meets is also what an allow is stopped by.
        let beside = [Code::Anyone, Code::Unreachable];
        assert!(found.iter().all(|one| one.code == code || beside.contains(&one.code)), "{rules}\n{texts:#?}");
        assert!(found.iter().all(|one| one.origin.starts_with("0.toml:") && !one.hint.is_empty()), "{found:?}");
    }
    let closed = project("").lint(now());
    assert_eq!(
        closed.iter().map(|one| (one.code, one.about.as_str())).collect::<Vec<_>>(),
        [(Code::ClosedRoute, "items"), (Code::ClosedRoute, "open")]
    );
    assert!(closed[0].origin.starts_with("routes.toml:"));
    let kinds =
        table().iter().map(|(code, ..)| *code).chain([Code::ClosedRoute]).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(kinds.len(), Code::ALL.len(), "each kind is in the table");
}

#[test]
fn what_is_meant_can_be_silenced_and_keeps_its_reason() {
    let rules = allow("anonymous = true") + "[[lint]]\nsilence = \"P006\"\nabout = \"a\"\nreason = \"public\"\n";
    let found = found(&rules);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].silenced.as_deref(), Some("public"));
}

#[test]
fn what_is_well_is_not_found_fault_with() {
    for rules in [
        allow("subject = { groups = \"a\" }") + &rule("allow", "b", "subject = { groups = \"b\" }"),
        allow("subject = { groups = \"a\" }")
            + &rule("allow", "b", "subject = { groups = \"a\" }\nheaders = { X-Role = \"b\" }"),
        allow("subject = { groups = { any = [\"a\", \"b\"], none = [\"c\"] } }"),
        allow("subject = { groups = \"a\" }")
            + &rule("deny", "d", "subject = { groups = { any = [\"b\"], when_absent = \"skip\" } }"),
        allow("subject = { groups = \"a\" }")
            + &rule("deny", "d", "subject = { claims = { x = { equals = 1, when_absent = \"deny\" } } }"),
        allow("subject = { groups = \"a\" }")
            + &rule("deny", "d", "when = \"has(token.claims.x) && token.claims.x == 1\""),
        allow("subject = { groups = \"a\" }") + &rule("require", "r", "device = { trust = \"corp\" }"),
        allow("device = { spiffe_id = \"spiffe://corp.example/device/*\" }"),
        // In a denial two fields of one name may each meet one of the two.
        allow("subject = { groups = \"a\" }")
            + &rule(
                "deny",
                "d",
                "conditions = [\"x\", \"y\"]\n[condition.x]\nrequest = { headers = { x-a = \"1\" } }\n[condition.y]\nrequest = { headers = { x-a = \"2\" } }",
            ),
        allow(
            "subject = { groups = \"a\" }\ntime = { zone = \"UTC\", from = \"22:00\", until = \"06:00\", days = \"fri\" }\nconditions = [\"x\"]\n[condition.x]\ntime = { zone = \"UTC\", days = \"sat\" }",
        ),
    ] {
        let found = found(&rules);
        assert!(found.is_empty(), "{rules}\n{found:#?}");
    }
}
