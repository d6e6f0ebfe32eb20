use std::sync::Arc;

use super::{Known, arrange, read};
use crate::config::fault::{Faults, Located, Source};
use crate::config::reader::read_document;
use crate::identity::Name;
use crate::request::{CanonicalPath, PathForms};
use crate::route::{Authorization, Binding, Methods, Route, Routes};

fn load(text: &str) -> (Vec<Located<Route>>, Option<Routes>, Vec<String>) {
    let source = Arc::new(Source::new("routes.toml".into(), text.into()));
    let faults = Faults::default();
    let names = |names: &[&'static str]| names.iter().map(|name| Name::new(*name)).collect::<Vec<_>>();
    let (upstreams, token_sources) = (names(&["payments", "wiki", "ledger"]), names(&["corp", "partners"]));
    let alike = [(Name::new("payments"), Name::new("ledger"))];
    let exchanging = names(&["ledger"]);
    let known = Known { upstreams: &upstreams, exchanging: &exchanging, alike: &alike, token_sources: &token_sources };
    let routes: Vec<_> = read_document(&source, &faults, |root| {
        root.tables("route").iter().filter_map(|table| read(table, &known)).collect()
    });
    let arranged = arrange(&routes, &known, &faults);
    let shown = faults
        .into_sorted()
        .into_iter()
        .map(|fault| format!("{}: {} ({})", fault.at.unwrap(), fault.message, fault.hint.unwrap_or_default()));
    (routes, arranged, shown.collect())
}

/// A route that is right but for what `lines` say.
fn faults_of(lines: &str) -> Vec<String> {
    let mut text = String::from("[[route]]\n");
    for default in
        ["name = \"r\"", "host = \"a.example\"", "path = \"/\"", "methods = [\"GET\"]", "upstream = \"wiki\""]
    {
        let key = default.split(" =").next().unwrap();
        if !lines.lines().any(|line| line.starts_with(&format!("{key} ="))) {
            text += &format!("{default}\n");
        }
    }
    load(&(text + lines)).2
}

#[test]
fn a_route_with_every_key_is_read() {
    let (routes, arranged, faults) = load(
        r#"
[[route]]
name = "payments-write"
host = "Payments.corp.example"
path = "/v1/payments/{id}"
prefix_rewrite = { from = "/v1", to = "/api/2" }
methods = ["POST", "PUT"]
headers = { X-Version = "2" }
upstream = "payments"
tokens = ["corp", "partners"]
conceal = false
admit = ["encoded-slash", "semicolon", "empty-segments"]
authorization = "take"
binding = "required"
cors = { origins = ["https://app.corp.example"], headers = ["authorization"], credentials = true, max_age = "1h" }

[[route]]
name = "status"
host = "**"
path = "/status"
methods = ["*"]
upstream = "wiki"
authorization = "pass"
conceal = true
"#,
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(arranged.unwrap().iter().len(), 2);
    let [payments, status] = &routes[..] else { panic!("{routes:?}") };
    let payments = &payments.value;
    assert_eq!(payments.host.to_string(), "payments.corp.example");
    assert_eq!(payments.headers[0].name, "x-version");
    assert_eq!(payments.tokens, [Name::new("corp"), Name::new("partners")]);
    assert_eq!(payments.admits, PathForms { encoded_slash: true, semicolon: true, empty_segments: true });
    let rewritten = payments.prefix_rewrite.as_ref().unwrap().apply(&CanonicalPath::parse("/v1/payments/7").unwrap());
    assert_eq!(rewritten.unwrap().as_str(), "/api/2/payments/7");
    assert_eq!(payments.binding, Some(Binding::Required));
    assert_eq!(payments.cors.as_ref().unwrap().max_age, 3_600);
    let status = &status.value;
    assert_eq!((&status.methods, status.authorization), (&Methods::Any, Authorization::Pass));
    assert!(status.conceal && status.tokens.is_empty() && status.admits == PathForms::NONE);
}

#[test]
fn every_fault_has_a_place_and_a_hint() {
    for (lines, message) in [
        ("name = \"a b\"", "`a b` is no name for a route (1 to 64 letters"),
        ("name = \"*\"", "`*` is no name for a route"),
        ("host = \"a.example:443\"", "leave out the port"),
        ("host = \"https://a.example\"", "leave out the scheme"),
        ("host = \"straße.example\"", "ASCII form"),
        ("host = \"*\"", "\"**\" means every host"),
        ("host = \"a.*.example\"", "`*` and `**` stand alone"),
        ("path = \"v1\"", "does not begin with a slash"),
        ("path = \"/v1?x=1\"", "has no query"),
        ("path = \"/a/../b\"", "dot segment"),
        ("path = \"/{a}/{a}\"", "same name"),
        ("path = \"/{rest...}/b\"", "stands at its end"),
        ("path = \"/x{a}\"", "braces"),
        ("path = \"/*.png\"", "`*` and `**` stand alone"),
        ("path = \"/.well-known/oauth-protected-resource\"", "answers this path itself"),
        ("path = \"/a;b\"", "admit the form by name"),
        ("path = \"/a//b\"", "admit the form by name"),
        ("path = \"/a%2Fb\"", "admit the form by name"),
        ("methods = []", "a route without methods serves nothing"),
        ("methods = \"GET\"", "expected a list"),
        ("methods = [\"get\"]", "`get` is no method (methods are in upper case: \"GET\")"),
        ("methods = [\"TRACE\"]", "TRACE is not served"),
        ("methods = [\"CONNECT\"]", "CONNECT is not served"),
        ("methods = [\"*\", \"GET\"]", "`*` is every method already"),
        ("upstream = \"wikki\"", "no upstream is named `wikki` (did you mean `wiki`?)"),
        ("tokens = [\"nobody\"]", "no issuer or introspection is named `nobody` (defined are: `corp`, `partners`)"),
        ("tokens = [\"corp\", \"corp\"]", "stated twice"),
        ("admit = [\"slash\"]", "`admit` is \"slash\"; it can be \"encoded-slash\""),
        ("authorization = \"keep\"", "\"take\", \"pass\""),
        ("authorization = \"pass\"\nupstream = \"ledger\"", "gets no client's own"),
        ("authorization = \"pass\"\ntokens = [\"corp\"]", "has no token sources"),
        ("binding = \"on\"", "\"required\", \"if-bound\", \"off\""),
        ("headers = { \"a b\" = \"1\" }", "is no header field"),
        ("headers = { Authorization = \"x\" }", "cannot choose a route"),
        ("headers = { X-Forwarded-For = \"10.0.0.1\" }", "cannot choose a route"),
        ("headers = { X-A = \"1\", x-a = \"2\" }", "stated twice"),
        ("conceal = true\ncors = { origins = [\"https://a.example\"] }", "leave out `cors` or `conceal`"),
        ("prefix_rewrite = { from = \"/a\" }", "has no `to`"),
        ("prefix_rewrite = { from = \"/a\", to = \"/b\" }", "the path of the route does not begin with `/a`"),
        ("path = \"/ab\"\nprefix_rewrite = { from = \"/a\", to = \"/b\" }", "does not begin with `/a`"),
        ("path = \"/{x}\"\nprefix_rewrite = { from = \"/a\", to = \"/b\" }", "which hold no parameter"),
        ("path = \"/a\"\nprefix_rewrite = { from = \"/a/\", to = \"/b\" }", "ends without a slash (write \"/a\")"),
        ("path = \"/a\"\nprefix_rewrite = { from = \"/a\", to = \"b\" }", "`b` is no prefix"),
        ("path = \"/a\"\nprefix_rewrite = { from = \"/a\", to = \"/{b}\" }", "`/{b}` is no prefix"),
        (
            "path = \"/a\"\nprefix_rewrite = { from = \"/a\", to = \"/a\" }",
            "changes nothing (leave out `prefix_rewrite`",
        ),
        ("path = \"/a\"\nprefix_rewrite = { from = \"/a\", too = \"/b\" }", "unknown key `too`"),
        (
            "path = \"/a/{x...}\"\nadmit = [\"empty-segments\"]\nprefix_rewrite = { from = \"/a\", to = \"/\" }",
            "could begin with `//`",
        ),
        (
            "path = \"/a\"\nprefix_rewrite = { from = \"/a\", to = \"/b\", shares_paths_with = [\"x\"] }",
            "no route is named `x`",
        ),
        ("cors = { origins = [] }", "no origin is permitted"),
        ("cors = { origins = [\"*\"] }", "`*` is no origin"),
        ("cors = { origins = [\"https://a.example/\"] }", "is no origin"),
        ("cors = { origin = [\"https://a.example\"] }", "unknown key `origin`"),
        ("metods = [\"GET\"]", "unknown key `metods` in this [[route]] (did you mean `methods`?)"),
    ] {
        let faults = faults_of(lines);
        assert!(faults.iter().any(|fault| fault.contains(message)), "{lines}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.starts_with("routes.toml:")), "{faults:?}");
    }
    assert_eq!(faults_of("conceal = true"), [""; 0]);
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let (_, _, faults) = load("[[route]]\n");
    for key in ["name", "host", "path", "methods", "upstream"] {
        assert!(faults.iter().any(|fault| fault.contains(&format!("has no `{key}`"))), "{key}: {faults:?}");
    }
}

#[test]
fn overlapping_and_equally_named_routes_are_faults_that_name_both() {
    let route = |name: &str, path: &str, methods: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nhost = \"a.example\"\npath = \"{path}\"\nmethods = [{methods}]\nupstream = \"wiki\"\n"
        )
    };
    let text =
        route("one", "/a/{x}", "\"GET\"") + &route("two", "/a/{y}", "\"GET\", \"PUT\"") + &route("one", "/b", "\"*\"");
    let (_, arranged, faults) = load(&text);
    assert!(arranged.is_none());
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].contains("the routes `one` and `two` overlap") && faults[0].contains("routes.toml:1:1"),
        "{faults:?}"
    );
    assert!(faults[1].contains("a second route is named `one`") && faults[1].contains("routes.toml:1:1"), "{faults:?}");
}

/// Routes of one host: name, path, upstream, and what else they say.
fn faults_of_all(routes: &[(&str, &str, &str, &str)]) -> Vec<String> {
    let route = |(name, path, upstream, more): &(&str, &str, &str, &str)| {
        format!(
            "[[route]]\nname = \"{name}\"\nhost = \"a.example\"\npath = \"{path}\"\nmethods = [\"GET\"]\nupstream = \"{upstream}\"\n{more}\n"
        )
    };
    load(&routes.iter().map(route).collect::<String>()).2
}

#[test]
fn a_rewrite_that_leads_around_another_routes_rules_is_a_fault_until_both_are_named() {
    let to_root = "prefix_rewrite = { from = \"/public\", to = \"/\" }";
    let public = ("public", "/public/{rest...}", "wiki", to_root);
    let admin = ("admin", "/admin/{x}", "wiki", "");
    let faults = faults_of_all(&[public, admin]);
    assert!(
        matches!(&faults[..], [fault] if fault.contains("the route `public` rewrites paths to some that the route `admin` leads to")
            && fault.contains("`admin` (`/admin/{x}`) stands at routes.toml:") && fault.contains("shares_paths_with = [\"admin\"]")),
        "{faults:?}"
    );
    // The order of the tables never matters.
    assert_eq!(faults_of_all(&[admin, public]).len(), 1);
    // Another service, and another upstream of the same one.
    assert_eq!(faults_of_all(&[public, ("admin", "/admin/{x}", "payments", "")]), [""; 0]);
    assert_eq!(
        faults_of_all(&[("public", "/public/{rest...}", "payments", to_root), ("admin", "/admin/{x}", "ledger", "")])
            .len(),
        1
    );
    // Said, it is so; and it stays true.
    let stating =
        |name: &str| format!("prefix_rewrite = {{ from = \"/public\", to = \"/\", shares_paths_with = [\"{name}\"] }}");
    let both = stating("admin");
    assert_eq!(faults_of_all(&[("public", "/public/{rest...}", "wiki", &both), admin]), [""; 0]);
    let faults =
        faults_of_all(&[("public", "/public/{rest...}", "wiki", &both), ("admin", "/admin/{x}", "payments", "")]);
    assert!(faults[0].contains("shares no path of a service with `admin` (leave it out)"), "{faults:?}");
    let typo = stating("admim");
    let faults = faults_of_all(&[("public", "/public/{rest...}", "wiki", &typo), admin]);
    assert!(
        faults.iter().any(|fault| fault.contains("no route is named `admim` (did you mean `admin`?)")),
        "{faults:?}"
    );
}

#[test]
fn two_rewrites_onto_the_same_paths_are_told_once() {
    let other = ("two", "/b/{rest...}", "wiki", "prefix_rewrite = { from = \"/b\", to = \"/\" }");
    let one = ("one", "/a/{rest...}", "wiki", "prefix_rewrite = { from = \"/a\", to = \"/\" }");
    assert_eq!(faults_of_all(&[one, other]).len(), 1);
    let stating = (
        "one",
        "/a/{rest...}",
        "wiki",
        "prefix_rewrite = { from = \"/a\", to = \"/\", shares_paths_with = [\"two\"] }",
    );
    assert_eq!(faults_of_all(&[stating, other]), [""; 0]);
    assert_eq!(faults_of_all(&[other, stating]), [""; 0]);
}
