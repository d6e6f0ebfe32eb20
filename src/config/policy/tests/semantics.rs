//! POLICY, "Semantics": each sentence a test. The numbers are those of docs/policy.md.

use super::{DEVICE, TOKEN, admits, item, judge, messages, project, read, reason, refuses};
use crate::policy::rules::Rollout;

const ALLOW: &str = "[[allow]]\nname = \"finance\"\nroutes = [\"items\"]\nsubject = { groups = \"finance\" }\n";
const DENY: &str = "[[deny]]\nname = \"frozen\"\nroutes = [\"*\"]\n\
                    subject = { claims = { status = { equals = \"frozen\", when_absent = \"skip\" } } }\n";
const REQUIRE: &str = "[[require]]\nname = \"a device\"\nroutes = [\"*\"]\ndevice = { trust = \"corp\" }\n";

fn finance(more: &str) -> String {
    format!("token = {{ issuer = \"corp\", groups = [\"finance\"], claims = {{ {more} }} }}")
}

#[test]
fn semantics_1_deny_beats_require_beats_allow_beats_nothing() {
    let rules = format!("{ALLOW}{DENY}{REQUIRE}");
    let well = item(&format!("{}\n{DEVICE}", finance("status = \"active\"")));
    let outcome = judge(&rules, &well);
    assert!(outcome.allowed && outcome.rule.unwrap().as_str() == "finance");

    let frozen = judge(&rules, &item(&finance("status = \"frozen\"")));
    assert_eq!((reason(&frozen), frozen.rule.unwrap().as_str()), ("denied-by-rule", "frozen"));

    let no_device = judge(&rules, &item(&finance("status = \"active\"")));
    assert_eq!((reason(&no_device), no_device.rule.unwrap().as_str()), ("requirement-failed", "a device"));

    let stranger = judge(&rules, &item(&format!("{TOKEN}\n{DEVICE}")));
    assert_eq!((reason(&stranger), stranger.rule), ("no-rule-allows", None));
}

#[test]
fn semantics_1_a_route_without_an_allow_is_closed_and_said_to_be() {
    let (project, faults) = read(&[DENY]);
    assert!(project.is_some());
    assert!(
        faults.iter().any(|fault| fault.warning && fault.message.contains("route `items` is closed")),
        "{faults:?}"
    );
    assert_eq!(reason(&judge(DENY, &item(TOKEN))), "no-rule-allows");
}

#[test]
fn semantics_1_the_order_of_rules_and_files_never_matters() {
    let case = item(&format!("{}\n{DEVICE}", finance("status = \"frozen\"")));
    let test = format!("[[test]]\nname = \"t\"\nexpect = {{ decision = \"deny\" }}\n{case}");
    let mut outcomes = Vec::new();
    for order in [[ALLOW, DENY, REQUIRE], [REQUIRE, DENY, ALLOW], [DENY, ALLOW, REQUIRE]] {
        let texts = [order[0], order[1], order[2], &test];
        let (project, _) = read(&texts);
        let project = project.unwrap();
        outcomes.push(project.policy.trials[0].case.judge(&project.routes, &project.policy.rules));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], outcomes[2]);
}

#[test]
fn semantics_1_what_is_missing_or_malformed_never_permits() {
    let all: &[(&str, &str)] = &[
        ("subject = { groups = \"finance\" }", TOKEN),
        ("subject = { groups = { none = [\"contractors\"] } }", TOKEN),
        ("subject = { groups = \"finance\" }", "token = { issuer = \"corp\", groups = \"finance\" }"),
        ("subject = { claims = { level = 3 } }", TOKEN),
        ("subject = { claims = { level = { none_of = [3] } } }", TOKEN),
        ("subject = { claims = { level = 3 } }", "token = { issuer = \"corp\", claims = { level = [3] } }"),
        ("subject = { acr = \"mfa\" }", TOKEN),
        ("subject = { signed_in_within = \"1h\" }", TOKEN),
        ("device = { spiffe_id = \"spiffe://corp.example/**\" }", "device = { trust = \"corp\" }"),
        ("device = { any = true }", TOKEN),
        ("device = { any = true }\nrequest = { headers = { x-a = { none_of = [\"b\"] } } }", DEVICE),
        ("device = { any = true }\nrequest = { query = { a = \"b\" } }", DEVICE),
    ];
    for (keys, case) in all {
        assert!(!admits(keys, &item(case)), "{keys} {case}");
    }
}

#[test]
fn semantics_1_what_is_missing_or_malformed_denies_unless_the_rule_says_otherwise() {
    let all: &[(&str, &str)] = &[
        ("subject = { groups = \"contractors\" }", TOKEN),
        ("subject = { groups = \"contractors\" }", "token = { issuer = \"corp\", groups = \"staff\" }"),
        ("subject = { scopes = { any = [\"batch\"] } }", TOKEN),
        ("subject = { claims = { status = \"frozen\" } }", TOKEN),
        ("subject = { claims = { status = \"frozen\" } }", "token = { issuer = \"corp\", claims = { status = 7 } }"),
        (
            "subject = { claims = { status = { starts_with = \"fr\" } } }",
            "token = { issuer = \"corp\", claims = { status = 7 } }",
        ),
        ("device = { trust = \"lab\" }", TOKEN),
        ("device = { spiffe_id = \"spiffe://lab.example/**\" }", "device = { trust = \"corp\" }"),
        ("request = { headers = { x-debug = \"1\" } }", TOKEN),
        ("request = { query = { debug = \"1\" } }", TOKEN),
    ];
    for (keys, case) in all {
        // A text that differs is decided, not malformed: only the second one and those without a value are left.
        let expected = !keys.contains("status = \"frozen\"") || !case.contains("status = 7");
        assert_eq!(refuses(keys, &item(case)), expected, "{keys} {case}");
    }
    for (keys, case) in all.iter().filter(|(_, case)| *case == TOKEN) {
        assert!(!refuses(&format!("{keys}\nwhen_absent = \"skip\""), &item(case)), "{keys}");
        assert!(refuses(&format!("{keys}\nwhen_absent = \"deny\""), &item(case)), "{keys}");
    }
    // Absence is excused, nonsense is not.
    let skip = "subject = { claims = { status = { starts_with = \"fr\", when_absent = \"skip\" } } }";
    assert!(refuses(skip, &item("token = { issuer = \"corp\", claims = { status = 7 } }")));
}

#[test]
fn semantics_1_a_deny_that_closes_a_whole_route_by_absence_is_refused() {
    let deny = |keys: &str| format!("[[deny]]\nname = \"d\"\nroutes = [\"*\"]\n{keys}");
    for keys in [
        "subject = { groups = \"contractors\" }",
        "subject = { claims = { status = \"frozen\" } }",
        "any_of = [{ subject = { any = true } }, { source = { networks = [\"10.0.0.0/8\"] } }]",
    ] {
        let all = messages(&deny(keys));
        assert!(all[0].contains("closes route `open`, which takes no tokens (write when_absent"), "{keys}: {all:?}");
        let narrower = deny(keys).replace("[\"*\"]", "[\"*\"]\nexcept_routes = [\"open\"]");
        assert_eq!(messages(&narrower), Vec::<String>::new());
    }
    for keys in [
        "subject = { groups = \"contractors\" }\nwhen_absent = \"skip\"",
        "subject = { groups = \"contractors\" }\nsource = { networks = [\"10.0.0.0/8\"] }",
        "everybody = true",
    ] {
        assert_eq!(messages(&deny(keys)), Vec::<String>::new(), "{keys}");
    }
}

#[test]
fn semantics_2_strings_compare_exactly_and_host_and_header_names_without_case() {
    let case = item("token = { issuer = \"corp\", groups = [\"Finance\"] }");
    assert!(!admits("subject = { groups = \"finance\" }", &case));
    assert!(admits("subject = { groups = \"Finance\" }", &case));
    let header = "token = { issuer = \"corp\" }\n[test.request]\nmethod = \"GET\"\nhost = \"API.corp.example\"\npath = \"/v1/items/7\"\nheaders = { X-Team = \"Blue\" }";
    assert!(admits(
        "subject = { any = true }\nrequest = { headers = { x-TEAM = \"Blue\" }, host = \"Api.Corp.Example\" }",
        header
    ));
    assert!(!admits("subject = { any = true }\nrequest = { headers = { x-team = \"blue\" } }", header));
    assert!(admits(
        "subject = { any = true }\nrequest = { headers = { x-team = { equals = \"blue\", ignore_case = true } } }",
        header
    ));
}

#[test]
fn semantics_3_in_a_group_means_an_equal_element() {
    for groups in ["[\"finance-interns\"]", "[\"finance sre\"]", "[\"finance,sre\"]", "\"finance\"", "[]"] {
        let case = item(&format!("token = {{ issuer = \"corp\", groups = {groups} }}"));
        assert!(!admits("subject = { groups = \"finance\" }", &case), "{groups}");
    }
    // For a denial a lone text counts.
    let lone = item("token = { issuer = \"corp\", groups = \"contractors\" }");
    assert!(refuses("subject = { groups = { any = [\"contractors\"], when_absent = \"skip\" } }", &lone));
    let lone = item("token = { issuer = \"corp\", claims = { roles = \"contractor\" } }");
    assert!(refuses("subject = { claims = { roles = { any = [\"contractor\"], when_absent = \"skip\" } } }", &lone));
}

#[test]
fn semantics_4_numbers_are_json_numbers() {
    let level = |value: &str| item(&format!("token = {{ issuer = \"corp\", claims = {{ level = {value} }} }}"));
    assert!(admits("subject = { claims = { level = 3 } }", &level("3.0")));
    assert!(admits("subject = { claims = { level = { at_least = 3, at_most = 5 } } }", &level("4")));
    for other in ["\"3\"", "4", "true", "[3]"] {
        assert!(!admits("subject = { claims = { level = 3 } }", &level(other)), "{other}");
    }
    assert!(!admits("subject = { claims = { level = { at_least = 3 } } }", &level("\"4\"")));
    assert!(!admits("subject = { claims = { level = true } }", &level("\"true\"")));
}

#[test]
fn semantics_5_a_mapped_address_is_the_address_that_it_contains() {
    let from = |source: &str| item(&format!("{TOKEN}\nsource = \"{source}\""));
    let keys = "subject = { any = true }\nsource = { networks = [\"10.0.0.0/8\"] }";
    assert!(admits(keys, &from("10.1.2.3")) && admits(keys, &from("::ffff:10.1.2.3")));
    assert!(!admits(keys, &from("11.1.2.3")) && !admits(keys, &from("::10.1.2.3")));
    let mapped = "subject = { any = true }\nsource = { networks = [\"::ffff:10.0.0.0/104\"] }";
    assert!(admits(mapped, &from("10.1.2.3")) && !admits(mapped, &from("11.1.2.3")));
    let all = messages("[[deny]]\nname = \"d\"\nroutes = [\"*\"]\nsource = { networks = [\"::ffff:0:0/90\"] }");
    assert!(all[0].contains("no network"), "{all:?}");
}

#[test]
fn semantics_6_a_window_includes_its_start_and_excludes_its_end_in_a_named_zone() {
    let keys = "subject = { any = true }\ntime = { zone = \"Europe/Berlin\", from = \"08:00\", until = \"18:00\", days = [\"mon-fri\"] }";
    let at = |now: &str| item(&format!("{TOKEN}\nnow = \"{now}\""));
    assert!(admits(keys, &at("2026-07-15T06:00:00Z")));
    assert!(!admits(keys, &at("2026-07-15T16:00:00Z")) && admits(keys, &at("2026-07-15T15:59:59Z")));
    assert!(!admits(keys, &at("2026-01-14T06:30:00Z")), "winter");
    assert!(!admits(keys, &at("2026-07-18T08:00:00Z")), "Saturday");
}

#[test]
fn semantics_7_rules_see_the_path_that_is_forwarded() {
    let rules = "[[route]]\nname = \"old\"\nhost = \"old.corp.example\"\npath = \"/old/{id}\"\nmethods = [\"GET\"]\nupstream = \"app\"\n\
                 prefix_rewrite = { from = \"/old\", to = \"/v1/items\", shares_paths_with = [\"items\", \"open\"] }\n\
                 [[allow]]\nname = \"a\"\nroutes = [\"old\"]\nanonymous = true\nrequest = { path = \"/v1/items/7\" }\n\
                 when = 'request.path == \"/v1/items/7\" && request.path_params.id == \"7\"'\n";
    let asking =
        |path: &str| format!("request = {{ method = \"GET\", host = \"old.corp.example\", path = \"{path}\" }}");
    assert!(judge(rules, &asking("/old/7")).allowed);
    assert_eq!(reason(&judge(rules, &asking("/old/8"))), "no-rule-allows");
    assert_eq!(reason(&judge(rules, &asking("/v1/items/7"))), "route-unknown");
}

#[test]
fn semantics_7_parameters_are_compared_decoded_once() {
    let path = |path: &str| format!("{TOKEN}\n[test.request]\nhost = \"api.corp.example\"\npath = \"{path}\"");
    let keys = "subject = { any = true }\nrequest = { path_params = { id = \"a b\" } }";
    assert!(admits(keys, &path("/v1/items/a%20b")) && !admits(keys, &path("/v1/items/a+b")));
    assert_eq!(
        reason(&judge(&format!("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\n{keys}"), &path("/v1/items/"))),
        "route-unknown"
    );
    let all = messages(&format!("[[test]]\nname = \"t\"\nexpect = {{ decision = \"deny\" }}\n{}", path("/v1/../x")));
    assert!(all[0].contains("refused before any rule"), "{all:?}");
}

#[test]
fn semantics_8_every_occurrence_permits_and_any_occurrence_denies() {
    let header = |values: &str| {
        format!(
            "{TOKEN}\n[test.request]\nhost = \"api.corp.example\"\npath = \"/v1/items/7\"\nheaders = {{ x-role = {values} }}"
        )
    };
    let query =
        |query: &str| format!("{TOKEN}\n[test.request]\nhost = \"api.corp.example\"\npath = \"/v1/items/7?{query}\"");
    let permits = "subject = { any = true }\nrequest = { headers = { x-role = \"reader\" } }";
    let denies = "request = { headers = { x-role = { equals = \"admin\", when_absent = \"skip\" } } }";
    assert!(admits(permits, &header("[\"reader\", \"reader\"]")));
    for values in ["[\"reader\", \"admin\"]", "[\"admin\", \"reader\"]", "\"reader, admin\"", "\"reader\\u00e9\""] {
        assert!(!admits(permits, &header(values)), "{values}");
    }
    for values in ["[\"reader\", \"admin\"]", "\"reader, admin\"", "\"admin\"", "[\"x\", \"\\u00e9\"]"] {
        assert!(refuses(denies, &header(values)), "{values}");
    }
    assert!(!refuses(denies, &header("\"reader\"")));

    let permits = "subject = { any = true }\nrequest = { query = { dry = \"1\" } }";
    let denies = "request = { query = { dry = { equals = \"0\", when_absent = \"skip\" } } }";
    assert!(
        admits(permits, &query("dry=1&x=2"))
            && admits(permits, &query("dry=%31"))
            && admits(permits, &query("dr%79=1"))
    );
    for other in ["dry=1&dry=0", "dry=0&dry=1", "dry=1;dry=0", "dry=1&dr%79=0", "x=1", "dry", "dry=1+"] {
        assert!(!admits(permits, &query(other)), "{other}");
    }
    for other in ["dry=1&dry=0", "dry=1;dry=0", "dry=1&dr%79=%30", "dry=%ff"] {
        assert!(refuses(denies, &query(other)), "{other}");
    }
    // Under `unless` a permission turns around: any occurrence is enough to lose it.
    let unless = "[condition.risky]\nrequest = { headers = { x-role = \"admin\" } }\n[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { any = true }\nunless = [\"risky\"]";
    assert!(judge(unless, &header("\"reader\"")).allowed);
    assert!(!judge(unless, &header("[\"reader\", \"admin\"]")).allowed);
    assert!(!judge(unless, &item(TOKEN)).allowed, "missing is not `not risky`");
}

#[test]
fn semantics_8_another_spelling_of_a_field_is_another_occurrence() {
    let header = |fields: &str| {
        format!(
            "{TOKEN}\n[test.request]\nhost = \"api.corp.example\"\npath = \"/v1/items/7\"\nheaders = {{ {fields} }}"
        )
    };
    let permits = [
        "subject = { any = true }\nrequest = { headers = { x-env = \"test\" } }",
        "subject = { any = true }\nwhen = \"request.headers['X-Env'] == 'test'\"",
        "subject = { any = true }\nwhen = \"request.headers.values('x-env').all(v, v == 'test') && 'x_env' in request.headers\"",
    ];
    let denies = [
        "request = { headers = { x-env = { equals = \"live\", when_absent = \"skip\" } } }",
        "request = { headers = { X_Env = { equals = \"live\", when_absent = \"skip\" } } }",
        "request = { headers = { x-env = { present = true } } }",
        "when = \"'x-env' in request.headers\"",
        "when = \"request.headers.exists(n, n == 'x-env')\"",
        "when = \"request.headers['x-env'] == 'live'\"\nwhen_absent = \"skip\"",
        "when = \"request.headers.values('x-env').exists(v, v == 'live')\"",
    ];
    for fields in ["x-env = \"test\", x_env = \"live\"", "X-Env = \"test\", X_Env = \"live\"", "\"x.env\" = \"live\""] {
        for keys in permits {
            assert!(!admits(keys, &header(fields)), "{keys} {fields}");
        }
        for keys in denies {
            assert!(refuses(keys, &header(fields)), "{keys} {fields}");
        }
    }
    assert!(permits.iter().all(|keys| admits(keys, &header("x-env = \"test\""))));
    assert!(permits.iter().all(|keys| admits(keys, &header("x_env = \"test\""))), "alone it says the same");
    assert!(!refuses(denies[0], &header("x-env = \"test\", xenv = \"live\"")));
}

#[test]
fn semantics_9_a_subject_is_one_issuers() {
    let keys = "subject = { issuer = \"corp\", sub = \"u-1\" }";
    assert!(admits(keys, &item(TOKEN)));
    assert!(!admits(keys, &item("token = { issuer = \"partner\", sub = \"u-1\" }")));
    let all = messages("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { sub = \"u-1\" }");
    assert!(all[0].contains("`sub` means nothing without the issuer"), "{all:?}");
}

#[test]
fn semantics_10_a_missing_credential_is_asked_for_unless_no_token_could_help() {
    assert_eq!(reason(&judge(ALLOW, &item(""))), "credential-missing");
    assert_eq!(reason(&judge(&format!("{ALLOW}{REQUIRE}"), &item(""))), "credential-missing");
    let by_token = "[[deny]]\nname = \"d\"\nroutes = [\"items\"]\nsubject = { groups = \"contractors\" }\n";
    assert_eq!(reason(&judge(&format!("{ALLOW}{by_token}"), &item(""))), "credential-missing");
    let by_source = "[[deny]]\nname = \"d\"\nroutes = [\"items\"]\nsource = { networks = [\"192.0.2.0/24\"] }\n";
    assert_eq!(reason(&judge(&format!("{ALLOW}{by_source}"), &item(""))), "denied-by-rule");
    // A route that names no token source has nothing to ask for.
    let open = "[[allow]]\nname = \"a\"\nroutes = [\"open\"]\ndevice = { any = true }\n";
    let case = "request = { host = \"www.corp.example\", path = \"/x\" }";
    assert_eq!(reason(&judge(open, case)), "no-rule-allows");
    // Whoever presented something is not asked again.
    assert_eq!(reason(&judge(ALLOW, &item(TOKEN))), "no-rule-allows");
}

#[test]
fn semantics_12_one_star_is_one_part_and_two_are_the_rest() {
    let id = |id: &str| item(&format!("device = {{ trust = \"corp\", spiffe_id = \"{id}\" }}"));
    let one = "device = { spiffe_id = \"spiffe://corp.example/device/*\" }";
    assert!(
        admits(one, &id("spiffe://corp.example/device/7")) && !admits(one, &id("spiffe://corp.example/device/7/8"))
    );
    let rest = "workload = { spiffe_id = \"spiffe://corp.example/ns/**\" }";
    assert!(admits(rest, &id("spiffe://corp.example/ns/a/sa/b")) && !admits(rest, &id("spiffe://corp.example/ns")));
    let path = "subject = { any = true }\nrequest = { path = [\"/v1/items/*\"] }";
    assert!(admits(path, &item(TOKEN)));
}

#[test]
fn semantics_13_an_error_that_is_left_over_never_admits() {
    let left_over =
        ["token.claims.nothing == 1", "token.acr != 'mfa'", "1 / size(token.amr) > 0", "device.trust != 'x'"];
    for when in left_over {
        let when = format!("when = \"{when}\"");
        assert!(!admits(&format!("subject = {{ any = true }}\n{when}"), &item(TOKEN)), "{when}");
        assert!(refuses(&when, &item(TOKEN)), "{when}");
        assert!(refuses(&format!("{when}\nwhen_absent = \"skip\""), &item(TOKEN)), "an error is not absence: {when}");
        let required = format!(
            "[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nanonymous = true\n\
             [[require]]\nname = \"r\"\nroutes = [\"items\"]\n{when}"
        );
        assert_eq!(reason(&judge(&required, &item(TOKEN))), "requirement-failed", "{when}");
    }
    for when in ["token.claims.nothing == 1 || true", "!(token.claims.nothing == 1 && false)"] {
        assert!(admits(&format!("subject = {{ any = true }}\nwhen = \"{when}\""), &item(TOKEN)), "{when}");
    }
    let big = item("token = { issuer = \"corp\", claims = { n = 9007199254740993 } }");
    assert!(admits("subject = { any = true }\nwhen = \"token.claims.n == 9007199254740993\"", &big));
    assert!(!admits("subject = { any = true }\nwhen = \"token.claims.n == 9007199254740992\"", &big));
}

#[test]
fn device_and_workload_read_the_same_certificate() {
    let case = item("workload = { trust = \"corp\", spiffe_id = \"spiffe://corp.example/device/7\" }");
    assert!(admits("device = { spiffe_id = \"spiffe://corp.example/device/*\" }", &case));
    assert!(admits("workload = { spiffe_id = \"spiffe://corp.example/device/*\" }", &item(DEVICE)));
}

#[test]
fn only_anonymous_said_aloud_admits_nobody_known() {
    assert!(admits("anonymous = true", &item("")));
    assert!(admits("anonymous = true", &item(TOKEN)), "it admits everybody else too");
    let all = messages("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsource = { networks = [\"10.0.0.0/8\"] }");
    assert!(all[0].contains("does not say `anonymous = true`"), "{all:?}");
    let all = messages("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\ndevice = { none = true }");
    assert!(all[0].contains("does not say `anonymous = true`"), "{all:?}");
    let either = "any_of = [{ subject = { any = true } }, { source = { networks = [\"10.0.0.0/8\"] } }]";
    let all = messages(&format!("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\n{either}"));
    assert!(all[0].contains("does not say `anonymous = true`"), "{all:?}");
}

#[test]
fn a_refusal_for_want_of_a_better_token_says_what_is_wanted() {
    let scope = "[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { scopes = { all = [\"items:read\"] } }";
    assert_eq!(reason(&judge(scope, &item(TOKEN))), "scope-insufficient");
    let step_up = format!(
        "{ALLOW}[[require]]\nname = \"fresh\"\nroutes = [\"items\"]\nsubject = {{ signed_in_within = \"5m\" }}"
    );
    let old = item("token = { issuer = \"corp\", groups = [\"finance\"], signed_in_ago = \"10m\" }");
    let outcome = judge(&step_up, &old);
    assert_eq!((reason(&outcome), outcome.rule.unwrap().as_str()), ("step-up-required", "fresh"));
    // Somebody who lacks more than that is not sent to sign in for nothing.
    let both = "[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { groups = \"finance\", acr = \"mfa\" }";
    assert_eq!(reason(&judge(both, &item(TOKEN))), "no-rule-allows");
}

#[test]
fn the_nearest_miss_lacks_least() {
    let rules = "[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { groups = \"finance\", acr = \"mfa\" }\ndevice = { any = true }\n\
                 [[allow]]\nname = \"b\"\nroutes = [\"items\"]\nsubject = { groups = \"sre\" }\nadvice = \"Ask for sre.\"";
    let outcome = judge(rules, &item("token = { issuer = \"corp\", groups = [\"x\"] }"));
    assert_eq!(outcome.nearest.as_deref(), Some("would be allowed by `b` with group `sre`"));
    assert_eq!(outcome.advice.as_deref(), Some("Ask for sre."));
}

#[test]
fn a_rule_in_shadow_mode_decides_nothing() {
    let rules = format!("{ALLOW}[[deny]]\nname = \"d\"\nroutes = [\"items\"]\neverybody = true\nmode = \"shadow\"");
    let case = item("token = { issuer = \"corp\", groups = [\"finance\"] }");
    assert!(judge(&rules, &case).allowed);
    let whole_file = format!("[policy]\nmode = \"shadow\"\n{ALLOW}");
    assert!(!judge(&whole_file, &case).allowed);
}

#[test]
fn a_rollout_reaches_the_same_subjects_every_time_and_its_denials_reach_all() {
    let allow = |percent: u8| {
        format!("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = {{ any = true }}\nrollout = {percent}\n")
    };
    let case = |n: u32| item(&format!("token = {{ issuer = \"corp\", sub = \"u-{n}\" }}"));
    let reached = |percent: u8| (0..60).filter(|n| judge(&allow(percent), &case(*n)).allowed).collect::<Vec<_>>();
    assert_eq!((reached(0).len(), reached(100).len()), (0, 60));
    let (third, half) = (reached(30), reached(50));
    assert!(third.len() > 5 && third.len() < 35 && third.iter().all(|n| half.contains(n)), "{third:?} {half:?}");
    let deny = "[[deny]]\nname = \"d\"\nroutes = [\"items\"]\nsubject = { any = true }\nrollout = 0\n";
    assert!(messages(deny)[0].contains("a denial holds for all"));
}

#[test]
fn nobody_known_is_in_no_share() {
    let allow = "anonymous = true\nrollout = 100";
    assert!(admits(allow, &item(TOKEN)) && admits(allow, &item(DEVICE)) && !admits(allow, &item("")));
    let deny = "everybody = true\nrollout = 0\nrollout_denies = true";
    assert!(!refuses(deny, &item(TOKEN)) && !refuses(deny, &item(DEVICE)));
    assert!(refuses(deny, &item("")), "a denial that cannot tell holds");
}

#[test]
fn a_denial_holds_for_all_whatever_its_share_unless_it_says_otherwise() {
    let deny = "[[deny]]\nname = \"d\"\nroutes = [\"items\"]\neverybody = true\n";
    let test = format!("[[test]]\nname = \"t\"\nexpect = {{ decision = \"deny\" }}\n{}", item(TOKEN));
    let policy = project(&format!("{deny}{test}")).policy;
    let (rule, facts) = (policy.rules.rule("d").unwrap(), policy.trials[0].case.facts(None));
    // No file can say the first: a share of a denial that does not say `rollout_denies` is refused when it is read.
    let reaches = |denies: bool| Rollout { percent: 0, denies }.reaches(rule, &facts);
    assert_eq!((reaches(false), reaches(true)), (true, false));
}

#[test]
fn every_rule_can_be_found_by_its_name_and_its_place() {
    let project = project(ALLOW);
    assert_eq!(&*project.policy.rules.rule("finance").unwrap().origin, "0.toml:2");
    assert!(project.policy.rules.rule("financ").is_none());
}
