//! Policies and their expressions: whatever is written, reading it ends, and what was read decides.

use std::path::PathBuf;
use std::str::from_utf8;
use std::sync::{Arc, LazyLock};

use portcullis::config::fault::{Faults, Source};
use portcullis::config::policy::project::{KnownNames, Project};
use portcullis::policy::case::Case;
use portcullis::policy::rules::when::{Expression, Schema};

/// The names that policies may use.
const MAIN: &str = include_str!("../../docs/examples/portcullis.toml");
/// A route and requests that every policy is asked about, beside its own.
const CASES: &str = r#"
[[route]]
name = "fuzz"
host = "fuzz.example"
path = "/v1/{id}/{rest...}"
methods = ["*"]
upstream = "app"
tokens = ["corp"]

[[test]]
name = "nobody"
request = { host = "fuzz.example", path = "/v1/7/a" }
expect = { decision = "deny" }

[[test]]
name = "somebody"
request = { method = "POST", host = "fuzz.example", path = "/v1/b%20c/a?x=1&x=2&plus=1+1", headers = { x-a = ["1", "2"], x_b = "\u00e9" } }
token = { issuer = "corp", sub = "u-1", groups = ["staff", "sre"], scopes = ["read"], acr = "mfa", amr = ["hwk"], signed_in_ago = "5m", claims = { level = 3, ratio = 0.5, name = "x", on = true, roles = ["a", 1, true], realm = { roles = ["b"] } } }
device = { spiffe_id = "spiffe://corp.example/ns/a/sa/b", dns = ["a.corp.example"] }
source = "2001:db8::1"
expect = { decision = "deny" }
"#;

static WORLD: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let (project, _) = read("");
    project.map(|project| project.policy.trials.into_iter().map(|trial| trial.case).collect()).unwrap_or_default()
});

fn read(text: &str) -> (Option<Project>, Faults) {
    let source = |name: &str, text: &str| Arc::new(Source::new(PathBuf::from(name), text.to_owned()));
    let faults = Faults::default();
    let known = KnownNames::read(&source("portcullis.toml", MAIN), &faults);
    let files = [source("cases.toml", CASES), source("policy.toml", text)];
    (Project::read(known, &files, &faults), faults)
}

/// Whatever the text of a policy file, reading it ends and its faults can be shown; what is sound decides, explains each
/// decision as it was made, and can be looked at by lint.
pub fn policy(input: &[u8]) -> bool {
    let Ok(text) = from_utf8(input) else { return false };
    let (project, faults) = read(text);
    let faults = faults.into_sorted();
    assert!(faults.first().is_none_or(|fault| !fault.render(false).is_empty()));
    let Some(project) = project else {
        assert!(faults.iter().any(|fault| !fault.warning), "no policy, and nothing wrong with it");
        return false;
    };
    let (routes, rules) = (&project.routes, &project.policy.rules);
    for Case { at, .. } in project.policy.trials.iter().map(|trial| &trial.case).take(1) {
        project.lint(*at);
    }
    for trial in &project.policy.trials {
        let outcome = trial.case.judge(routes, rules);
        assert_eq!(trial.case.judge(routes, rules), outcome, "the same request, decided in two ways");
        let Ok((_, explanation)) = trial.case.explain(routes, rules) else { continue };
        let rule = outcome.rule.as_ref().map(|rule| rule.as_str());
        assert_eq!(explanation.verdict(), (outcome.allowed, rule), "the explanation is of another decision");
    }
    true
}

/// Whatever the text of an expression, it is compiled or refused with faults that lie in it; what was compiled has one
/// answer for a request, within its fuel, and its parts can be told.
pub fn when(input: &[u8]) -> bool {
    let Ok(text) = from_utf8(input) else { return false };
    let expression = match Expression::compile(text, &Schema::request().with_path_params(["id"])) {
        Ok(expression) => expression,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused for no reason");
            for error in errors {
                assert!(text.get(error.span.clone()).is_some(), "{} lies outside of the text", error.message);
            }
            return false;
        }
    };
    assert_eq!(WORLD.len(), 2);
    for case in WORLD.iter() {
        let facts = case.facts(None);
        let answer = expression.evaluate(&facts, case.at);
        assert_eq!(expression.evaluate(&facts, case.at), answer, "the same question, answered in two ways");
        if let Err(error) = answer {
            assert!(text.get(error.span()).is_some(), "{error} lies outside of the text");
        }
        expression.explain(&facts, case.at);
    }
    true
}
