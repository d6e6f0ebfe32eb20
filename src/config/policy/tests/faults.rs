//! What cannot be meant is a fault, with its place and what to write instead. A typo never opens a route.

use super::{messages, read};

fn allow(keys: &str) -> String {
    format!("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\n{keys}")
}

/// (a policy file, what the first fault must say)
#[test]
fn what_cannot_be_meant_is_a_fault() {
    let table: &[(String, &str)] = &[
        ("[[alow]]\nname = \"a\"".into(), "unknown key `alow` in the file (did you mean `allow`?)"),
        (allow("subjet = {}"), "unknown key `subjet` in this [[allow]] (did you mean `subject`?)"),
        (allow("subject = { grups = \"x\" }"), "unknown key `grups` in `subject` (did you mean `groups`?)"),
        (allow("subject = {}"), "`subject` is empty (an empty table asks nothing"),
        (allow("subject = { groups = [\"a\"] }"), "a list does not say whether any or all of it is needed"),
        (allow("subject = { groups = { any = [] } }"), "an empty list matches nothing"),
        (allow("subject = { groups = {} }"), "this asks nothing of the list"),
        (allow("subject = { issuer = \"crop\" }"), "there is no token source `crop` (did you mean `corp`?)"),
        (allow("subject = { any = false }"), "it can only be true"),
        (allow("subject = { claims = { \"a..b\" = 1 } }"), "`a..b` is no path to a claim"),
        (allow("subject = { claims = { a = {} } }"), "this comparison compares with nothing"),
        (allow("subject = { claims = { a = { regex = \"(\" } } }"), "`(` is no regular expression"),
        (allow("subject = { claims = { a = { regex = \"a)|(b\" } } }"), "`a)|(b` is no regular expression"),
        (allow("subject = { claims = { a = { regex = \"(a{1000}){1000}\" } } }"), "is no regular expression"),
        (allow("subject = { claims = { a = { starts_with = \"\" } } }"), "an empty text is part of every text"),
        (allow("subject = { claims = { a = { domain = \"*.x\" } } }"), "`*.x` is no domain"),
        (allow("subject = { signed_in_within = \"8 hours\" }"), "`8 hours` is no span of time"),
        (allow("subject = { any = true }\nwhen_absent = \"skip\""), "an [[allow]] that needs something missing does not hold"),
        (
            allow("subject = { claims = { a = { equals = 1, when_absent = \"skip\" } } }"),
            "an [[allow]] that needs something missing does not hold",
        ),
        (allow("anonymous = true\nsubject = { any = true }"), "`anonymous = true` stands beside a demand for somebody"),
        (allow("device = { trust = \"crop\" }"), "there is no trust bundle `crop` (did you mean `corp`?)"),
        (allow("device = { none = true, trust = \"corp\" }"), "`none = true` stands beside"),
        (allow("device = { spiffe_id = \"spiffe://corp.example/dev-*\" }"), "`*` stands for one whole part"),
        (allow("device = { key_algorithm = \"dsa\" }"), "`dsa` is no key algorithm"),
        (allow("device = { fingerprint = \"abc\" }"), "`abc` is no fingerprint"),
        (allow("subject = { any = true }\nrequest = { method = \"get\" }"), "`get` is no method (methods are compared with case: write \"GET\")"),
        (allow("subject = { any = true }\nrequest = { path_params = { it = \"1\" } }"), "route `items` has no path parameter `it` (it has `id`)"),
        (allow("subject = { any = true }\nrequest = { headers = { Authorization = \"x\" } }"), "no rule sees the header `authorization`"),
        (allow("subject = { any = true }\nsource = { networks = [\"10.0.0.0/33\"] }"), "`10.0.0.0/33` is no network"),
        (allow("subject = { any = true }\ntime = { from = \"08:00\", until = \"18:00\" }"), "a time of day means nothing without its zone"),
        (allow("subject = { any = true }\ntime = { zone = \"Europe/Berlni\", days = \"mon\" }"), "there is no time zone `Europe/Berlni`"),
        (allow("subject = { any = true }\ntime = { zone = \"UTC\", from = \"8:00\", until = \"9:00\" }"), "`8:00` is no time of day"),
        (allow("subject = { any = true }\ntime = { zone = \"UTC\", days = [\"monday\"] }"), "`monday` is no day of the week"),
        (allow("subject = { any = true }\ntime = { zone = \"UTC\", from = \"09:00\", until = \"09:00\" }"), "the window ends when it begins"),
        (allow("subject = { any = true }\nconditions = [\"nope\"]"), "there is no condition `nope`"),
        (allow("subject = { issuer = \"corp\", sub = { set = \"nope\" } }"), "there is no set `nope`"),
        (allow("any_of = [{ device = { any = true } }]"), "`any_of` needs at least two alternatives"),
        (allow("subject = { any = true }\nheaders = { Host = \"x\" }"), "`host` is not a rule's to set"),
        (allow("subject = { any = true }\nheaders = { X-A = \"a\\u00e9\" }"), "a header value is visible ASCII"),
        (allow("subject = { any = true }\nrollout = 101"), "`rollout` must lie between 0 and 100"),
        (allow("subject = { any = true }\nmode = \"shadwo\""), "`mode` is \"shadwo\"; it can be \"enforce\", \"shadow\" (did you mean `shadow`?)"),
        ("[[allow]]\nname = \"a\"\nroutes = [\"itmes\"]\nsubject = { any = true }".into(), "there is no route `itmes` (did you mean `items`?)"),
        ("[[allow]]\nname = \"a\"\nroutes = []\nsubject = { any = true }".into(), "a rule without routes does nothing"),
        ("[[allow]]\nname = \"a\"\nroutes = [\"*\", \"items\"]\nsubject = { any = true }".into(), "\"*\" stands beside other names"),
        ("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\nexcept_routes = [\"open\"]\nsubject = { any = true }".into(), "`except_routes` needs routes = [\"*\"]"),
        ("[[allow]]\nroutes = [\"items\"]\nsubject = { any = true }".into(), "this [[allow]] has no `name`"),
        ("[[deny]]\nname = \"d\"\nroutes = [\"items\"]".into(), "this [[deny]] asks nothing (say whom it refuses"),
        ("[[require]]\nname = \"r\"\nroutes = [\"items\"]".into(), "this [[require]] asks nothing"),
        ("[[require]]\nname = \"r\"\nroutes = [\"items\"]\nanonymous = true\nsubject = { any = true }".into(), "unknown key `anonymous` in this [[require]]"),
        (format!("{}\n{}", allow("subject = { any = true }"), allow("device = { any = true }")), "two rules are named `a`"),
        ("[set]\nx = \"a\"".into(), "set `x` is no list"),
        ("[condition.x]".into(), "this condition asks nothing"),
        ("[[test]]\nname = \"t\"\nrequest = { host = \"h\", path = \"/\" }\nexpect = { decision = \"alow\" }".into(), "`decision` is \"alow\""),
        (
            "[[test]]\nname = \"t\"\nrequest = { host = \"h\", path = \"/\" }\nexpect = { decision = \"deny\", reason = \"no-rule-alows\" }".into(),
            "there is no reason `no-rule-alows` (did you mean `no-rule-allows`?)",
        ),
        (
            format!("{}\n[[test]]\nname = \"t\"\nrequest = {{ host = \"h\", path = \"/\" }}\nexpect = {{ decision = \"deny\", rule = \"b\" }}", allow("subject = { any = true }")),
            "there is no rule `b` (did you mean `a`?)",
        ),
        ("[[lint]]\nsilence = \"P00l\"\nreason = \"x\"".into(), "there is no finding `P00l` (did you mean `P001`?)"),
        ("[[lint]]\nsilence = \"P001\"\nreason = \" \"".into(), "a finding is silenced without a reason"),
    ];
    for (text, expected) in table {
        let found = messages(text);
        assert!(found.iter().any(|one| one.contains(expected)), "{text}\n-> {found:#?}\nexpected {expected}");
    }
}

#[test]
fn all_faults_of_all_files_are_reported_at_once_with_their_places() {
    let (project, faults) =
        read(&[&allow("subject = { grups = \"x\" }"), "[[deny]]\nname = \"d\"\nroutes = [\"nope\"]\neverybody = true"]);
    assert!(project.is_none());
    let places: Vec<_> =
        faults.iter().filter(|f| !f.warning).map(|fault| fault.at.as_ref().unwrap().to_string()).collect();
    assert_eq!(places.first().map(String::as_str), Some("0.toml:4:13"), "{places:?}");
    assert!(places.contains(&"1.toml:3:11".to_owned()), "{places:?}");
}

#[test]
fn a_set_may_stand_in_another_file_than_its_use() {
    let (project, faults) = read(&[
        &allow("subject = { issuer = \"corp\", sub = { set = \"leads\" } }"),
        "[set]\nleads = [\"u-1\"]\nnobody = [\"x\"]",
    ]);
    let unused = project.unwrap_or_else(|| panic!("{faults:?}")).policy.unused;
    assert_eq!(unused.len(), 1);
    assert_eq!((unused[0].kind, unused[0].name.as_str()), ("set", "nobody"));
}

/// One mistake is reported once: a rule about a route that has faults has none of its own.
#[test]
fn a_route_with_faults_is_known_by_its_name() {
    let all = messages(
        "[[route]]\nname = \"shop\"\nhost = \"shop.corp.example\"\npath = \"/{id}\"\nmethods = [\"get\"]\nupstream = \"app\"\n\
         [[allow]]\nname = \"a\"\nroutes = [\"shop\"]\nsubject = { any = true }\nwhen = \"request.path_params.id == 'x'\"\n",
    );
    assert!(all.len() == 1 && all[0].contains("`get` is no method"), "{all:?}");
}
