use std::sync::Arc;

use super::{Known, arrange, read};
use crate::config::fault::{Faults, Located, Source};
use crate::config::reader::read_document;
use crate::identity::Name;
use crate::request::PathForms;
use crate::route::{Authorization, Binding, Methods, Route, Routes};

fn load(text: &str) -> (Vec<Located<Route>>, Option<Routes>, Vec<String>) {
    let source = Arc::new(Source::new("routes.toml".into(), text.into()));
    let faults = Faults::default();
    let names = |names: &[&'static str]| names.iter().map(|name| Name::new(*name)).collect::<Vec<_>>();
    let (upstreams, token_sources) = (names(&["payments", "wiki", "ledger"]), names(&["corp", "partners"]));
    let exchanging = names(&["ledger"]);
    let known = Known { upstreams: &upstreams, exchanging: &exchanging, token_sources: &token_sources };
    let routes: Vec<_> = read_document(&source, &faults, |root| {
        root.tables("route").iter().filter_map(|table| read(table, &known)).collect()
    });
    let arranged = arrange(&routes, &faults);
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
