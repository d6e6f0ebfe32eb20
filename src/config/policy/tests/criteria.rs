//! Each criterion as a table: what it admits, and what it does not. A restriction that denies nobody is no restriction.

use super::{TOKEN, admits, item, judge, refuses};

/// (keys of an allow, what it admits, what it does not admit)
const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("subject = { any = true }", &[TOKEN], &["", "device = { trust = \"corp\" }"]),
    (
        "subject = { issuer = \"corp\" }",
        &[TOKEN],
        &["token = { issuer = \"partner\" }", "token = { issuer = \"opaque\" }", ""],
    ),
    (
        "subject = { issuer = [\"corp\", \"opaque\"] }",
        &["token = { issuer = \"opaque\" }"],
        &["token = { issuer = \"partner\" }"],
    ),
    (
        "subject = { issuer = \"corp\", sub = [\"u-1\", \"u-2\"] }",
        &[TOKEN, "token = { issuer = \"corp\", sub = \"u-2\" }"],
        &["token = { issuer = \"corp\", sub = \"u-11\" }", "token = { issuer = \"corp\", sub = \"U-1\" }"],
    ),
    (
        "subject = { client_id = { starts_with = \"ci-\" } }",
        &["token = { issuer = \"corp\", client_id = \"ci-7\" }"],
        &["token = { issuer = \"corp\", client_id = \"xci-7\" }", TOKEN],
    ),
    (
        "subject = { groups = { any = [\"a\", \"b\"], none = [\"c\"] } }",
        &["token = { issuer = \"corp\", groups = [\"a\"] }", "token = { issuer = \"corp\", groups = [\"b\", \"d\"] }"],
        &[
            "token = { issuer = \"corp\", groups = [\"a\", \"c\"] }",
            "token = { issuer = \"corp\", groups = [\"d\"] }",
            TOKEN,
        ],
    ),
    (
        "subject = { groups = { all = [\"a\", \"b\"] } }",
        &["token = { issuer = \"corp\", groups = [\"b\", \"a\"] }"],
        &["token = { issuer = \"corp\", groups = [\"a\"] }"],
    ),
    (
        "subject = { scopes = { all = [\"r\", \"w\"] } }",
        &["token = { issuer = \"corp\", scopes = [\"w\", \"r\", \"x\"] }"],
        &[
            "token = { issuer = \"corp\", scopes = [\"r\"] }",
            "token = { issuer = \"corp\", scopes = [\"r w\"] }",
            TOKEN,
        ],
    ),
    (
        "subject = { acr = [\"mfa\", \"phr\"] }",
        &["token = { issuer = \"corp\", acr = \"phr\" }"],
        &["token = { issuer = \"corp\", acr = \"pwd\" }", TOKEN],
    ),
    (
        "subject = { amr = { any = [\"hwk\"] } }",
        &["token = { issuer = \"corp\", amr = [\"pwd\", \"hwk\"] }"],
        &["token = { issuer = \"corp\", amr = [\"pwd\"] }", TOKEN],
    ),
    (
        "subject = { signed_in_within = \"8h\" }",
        &[
            "token = { issuer = \"corp\", signed_in_ago = \"8h\" }",
            "token = { issuer = \"corp\", signed_in_ago = \"0s\" }",
        ],
        &["token = { issuer = \"corp\", signed_in_ago = \"28801s\" }", TOKEN],
    ),
    (
        "subject = { token_age_within = \"5m\" }",
        &["token = { issuer = \"corp\", issued_ago = \"5m\" }"],
        &["token = { issuer = \"corp\", issued_ago = \"301s\" }"],
    ),
    (
        "subject = { token_lifetime_within = \"1h\" }",
        &["token = { issuer = \"corp\", lives = \"1h\" }"],
        &["token = { issuer = \"corp\", lives = \"2h\" }"],
    ),
    (
        "subject = { claims = { tier = \"gold\" } }",
        &["token = { issuer = \"corp\", claims = { tier = \"gold\" } }"],
        &["token = { issuer = \"corp\", claims = { tier = \"golden\" } }", TOKEN],
    ),
    (
        "subject = { claims = { \"a.b\" = true } }",
        &["token = { issuer = \"corp\", claims = { a = { b = true } } }"],
        &[
            "token = { issuer = \"corp\", claims = { a = { b = \"true\" } } }",
            "token = { issuer = \"corp\", claims = { \"a.b\" = true } }",
        ],
    ),
    (
        "subject = { claims = { '\"https://x.example/roles\"' = { any = [\"r\"] } } }",
        &["token = { issuer = \"corp\", claims = { \"https://x.example/roles\" = [\"q\", \"r\"] } }"],
        &["token = { issuer = \"corp\", claims = { \"https://x.example/roles\" = [\"q\"] } }"],
    ),
    (
        "subject = { claims = { n = { one_of = [1, 2] } } }",
        &["token = { issuer = \"corp\", claims = { n = 2 } }"],
        &["token = { issuer = \"corp\", claims = { n = 3 } }"],
    ),
    (
        "subject = { claims = { n = { none_of = [1, 2] } } }",
        &["token = { issuer = \"corp\", claims = { n = 3 } }"],
        &["token = { issuer = \"corp\", claims = { n = 2.0 } }", TOKEN],
    ),
    (
        "subject = { claims = { mail = { domain = \"corp.example\" } } }",
        &["token = { issuer = \"corp\", claims = { mail = \"a@corp.example\" } }"],
        &[
            "token = { issuer = \"corp\", claims = { mail = \"a@evil@corp.example\" } }",
            "token = { issuer = \"corp\", claims = { mail = \"a@sub.corp.example\" } }",
        ],
    ),
    (
        "subject = { claims = { code = { regex = \"[A-Z]{2}-[0-9]+\" } } }",
        &["token = { issuer = \"corp\", claims = { code = \"AB-12\" } }"],
        &[
            "token = { issuer = \"corp\", claims = { code = \"xAB-12\" } }",
            "token = { issuer = \"corp\", claims = { code = \"AB-12\\n\" } }",
        ],
    ),
    (
        "subject = { claims = { x = { present = true } } }",
        &["token = { issuer = \"corp\", claims = { x = [] } }"],
        &[TOKEN, ""],
    ),
    (
        "subject = { claims = { x = { present = false } } }",
        &[TOKEN],
        &["token = { issuer = \"corp\", claims = { x = 1 } }", ""],
    ),
    ("device = { any = true }", &["device = { trust = \"lab\" }"], &["", TOKEN]),
    ("device = { trust = \"corp\" }", &["device = { trust = \"corp\" }"], &["device = { trust = \"lab\" }", ""]),
    (
        "device = { dns = \"*.corp.example\" }",
        &["device = { trust = \"corp\", dns = [\"x\", \"a.corp.example\"] }"],
        &["device = { trust = \"corp\", dns = \"a.b.corp.example\" }", "device = { trust = \"corp\" }"],
    ),
    (
        "device = { email = { domain = \"corp.example\" } }",
        &["device = { trust = \"corp\", email = \"a@corp.example\" }"],
        &["device = { trust = \"corp\", email = \"a@evil.example\" }", "device = { trust = \"corp\" }"],
    ),
    (
        "device = { uri = \"urn:x\" }",
        &["device = { trust = \"corp\", uri = \"urn:x\" }"],
        &["device = { trust = \"corp\", uri = \"urn:y\" }"],
    ),
    (
        "device = { issuer = \"CN=Devices\" }",
        &["device = { trust = \"corp\", issuer = \"CN=Devices\" }"],
        &["device = { trust = \"corp\", issuer = \"CN=Others\" }"],
    ),
    (
        "device = { subject = { ends_with = \"O=Corp\" } }",
        &["device = { trust = \"corp\", subject = \"CN=a, O=Corp\" }"],
        &["device = { trust = \"corp\", subject = \"O=Corp, CN=a\" }"],
    ),
    (
        "device = { serial = \"00:AB\" }",
        &["device = { trust = \"corp\", serial = \"ab\" }"],
        &["device = { trust = \"corp\", serial = \"abc\" }"],
    ),
    (
        "device = { fingerprint = \"1111111111111111111111111111111111111111111111111111111111111111\" }",
        &[
            "device = { trust = \"corp\", fingerprint = \"1111111111111111111111111111111111111111111111111111111111111111\" }",
        ],
        &["device = { trust = \"corp\" }", ""],
    ),
    (
        "device = { key_algorithm = [\"ec\", \"ed25519\"] }",
        &["device = { trust = \"corp\", key_algorithm = \"ed25519\" }"],
        &["device = { trust = \"corp\", key_algorithm = \"rsa\" }", ""],
    ),
    (
        "subject = { any = true }\ndevice = { none = true }",
        &[TOKEN],
        &["token = { issuer = \"corp\" }\ndevice = { trust = \"corp\" }"],
    ),
    (
        "subject = { any = true }\nsource = { networks = [\"10.0.0.0/8\", \"2001:db8::/32\"], except = [\"10.9.0.0/16\"] }",
        &[
            "token = { issuer = \"corp\" }\nsource = \"10.1.1.1\"",
            "token = { issuer = \"corp\" }\nsource = \"2001:db8::1\"",
        ],
        &[
            "token = { issuer = \"corp\" }\nsource = \"10.9.1.1\"",
            "token = { issuer = \"corp\" }\nsource = \"2001:db9::1\"",
        ],
    ),
    (
        "subject = { any = true }\ntime = { after = 2026-02-01T00:00:00Z, before = \"2026-03-01T00:00:00+01:00\" }",
        &["token = { issuer = \"corp\" }\nnow = \"2026-02-01T00:00:00Z\""],
        &[
            "token = { issuer = \"corp\" }\nnow = \"2026-02-28T23:00:00Z\"",
            "token = { issuer = \"corp\" }\nnow = \"2026-01-31T23:59:59Z\"",
        ],
    ),
    (
        "any_of = [{ device = { trust = \"corp\" } }, { subject = { groups = \"sre\" }, source = { networks = [\"10.0.0.0/8\"] } }]",
        &["device = { trust = \"corp\" }", "token = { issuer = \"corp\", groups = [\"sre\"] }\nsource = \"10.0.0.1\""],
        &["token = { issuer = \"corp\", groups = [\"sre\"] }", "source = \"10.0.0.1\"", ""],
    ),
];

#[test]
fn each_criterion_admits_what_it_says_and_nothing_else() {
    for (keys, admitted, refused) in TABLE {
        for case in *admitted {
            assert!(admits(keys, &item(case)), "not admitted: {keys}\n{case}");
        }
        for case in *refused {
            assert!(!admits(keys, &item(case)), "admitted: {keys}\n{case}");
        }
        assert!(!refused.is_empty(), "a restriction that is never seen to restrict: {keys}");
    }
}

/// The same questions asked by a denial: it refuses everything that an allow with them would admit.
#[test]
fn each_criterion_denies_at_least_what_it_would_admit() {
    for (keys, admitted, _) in TABLE {
        for case in *admitted {
            assert!(refuses(keys, &item(case)), "not refused: {keys}\n{case}");
        }
    }
}

#[test]
fn methods_are_compared_with_case_and_head_is_not_get() {
    let rules =
        "[[allow]]\nname = \"a\"\nroutes = [\"open\"]\nanonymous = true\nrequest = { method = [\"GET\", \"POST\"] }";
    let ask = |method: &str| {
        judge(rules, &format!("request = {{ method = \"{method}\", host = \"www.corp.example\", path = \"/\" }}"))
    };
    assert!(ask("GET").allowed && ask("POST").allowed);
    assert!(!ask("HEAD").allowed && !ask("PUT").allowed);
}

#[test]
fn a_path_rule_cannot_be_walked_around() {
    let rules = "[[allow]]\nname = \"a\"\nroutes = [\"open\"]\nanonymous = true\n\
                 [[deny]]\nname = \"d\"\nroutes = [\"open\"]\nrequest = { path = [\"/admin\", \"/admin/**\"] }";
    let ask = |path: &str| judge(rules, &format!("request = {{ host = \"www.corp.example\", path = \"{path}\" }}"));
    for path in ["/admin", "/admin/", "/admin/x", "/%61dmin/x", "/adm%69n"] {
        assert!(!ask(path).allowed, "{path}");
    }
    assert!(ask("/administrator").allowed && ask("/public/admin").allowed);
}

#[test]
fn sets_and_named_conditions_mean_what_they_hold() {
    let rules = "[set]\nleads = [\"u-1\", \"u-2\"]\noffice = [\"10.0.0.0/8\"]\n\
                 [condition.at-work]\nsource = { networks = { set = \"office\" } }\n\
                 [[allow]]\nname = \"a\"\nroutes = [\"items\"]\nsubject = { issuer = \"corp\", sub = { set = \"leads\" } }\nconditions = [\"at-work\"]\n\
                 [[allow]]\nname = \"b\"\nroutes = [\"items\"]\nsubject = { groups = \"sre\" }\nunless = [\"at-work\"]";
    assert!(judge(rules, &item(&format!("{TOKEN}\nsource = \"10.0.0.1\""))).allowed);
    assert!(!judge(rules, &item(TOKEN)).allowed);
    assert!(judge(rules, &item("token = { issuer = \"corp\", groups = [\"sre\"] }")).allowed);
    assert!(
        !judge(rules, &item("token = { issuer = \"corp\", sub = \"x\", groups = [\"sre\"] }\nsource = \"10.0.0.1\""))
            .allowed
    );
}
