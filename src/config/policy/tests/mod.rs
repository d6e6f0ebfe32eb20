//! Policy files, read and asked: the language as a user meets it.

mod book;
mod changes;
mod criteria;
mod faults;
mod lint;
mod properties;
mod semantics;
mod who;

use std::sync::Arc;

use super::project::{KnownNames, Project};
use crate::config::fault::{Fault, Faults, Source};
use crate::identity::Reason;
use crate::policy::case::Outcome;

const MAIN: &str = r#"
[issuer.corp]
url = "https://login.corp.example"
[issuer.partner]
url = "https://login.partner.example"
[introspection.opaque]
issuer = "https://as.corp.example"
[trust.corp]
[trust.lab]
[upstream.app]
[upstream.grafana]
"#;

const ROUTES: &str = r#"
[[route]]
name = "items"
host = "api.corp.example"
path = "/v1/items/{id}"
methods = ["GET", "PUT", "DELETE"]
upstream = "app"
tokens = ["corp", "partner", "opaque"]
[[route]]
name = "open"
host = "www.corp.example"
path = "/{rest...}"
methods = ["*"]
upstream = "app"
"#;

/// Reads policy files over the routes and names above.
fn read(texts: &[&str]) -> (Option<Project>, Vec<Fault>) {
    let source = |name: &str, text: &str| Arc::new(Source::new(name.into(), text.into()));
    let faults = Faults::default();
    let known = KnownNames::read(&source("portcullis.toml", MAIN), &faults);
    let mut files = vec![source("routes.toml", ROUTES)];
    files.extend(texts.iter().enumerate().map(|(index, text)| source(&format!("{index}.toml"), text)));
    let project = Project::read(known, &files, &faults);
    (project, faults.into_sorted())
}

/// Reads rules that must be sound.
fn project(rules: &str) -> Project {
    let (project, faults) = read(&[rules]);
    let errors: Vec<_> = faults.iter().filter(|fault| !fault.warning).map(|fault| fault.render(false)).collect();
    project.unwrap_or_else(|| panic!("{}", errors.join("\n")))
}

/// What becomes of a request, described as in a `[[test]]`, under these rules.
fn judge(rules: &str, case: &str) -> Outcome {
    let text = format!("{rules}\n[[test]]\nname = \"t\"\nexpect = {{ decision = \"deny\" }}\n{case}\n");
    let project = project(&text);
    project.policy.trials[0].case.judge(&project.routes, &project.policy.rules)
}

/// A request for the route `items` as in a `[[test]]`, with more keys.
fn item(more: &str) -> String {
    format!("request = {{ method = \"GET\", host = \"api.corp.example\", path = \"/v1/items/7\" }}\n{more}")
}

const TOKEN: &str = "token = { issuer = \"corp\", sub = \"u-1\" }";
const DEVICE: &str = "device = { trust = \"corp\", spiffe_id = \"spiffe://corp.example/device/7\" }";

fn reason(outcome: &Outcome) -> &'static str {
    outcome.reason.map_or("allowed", Reason::code)
}

/// Whether an allow with these keys admits the case.
fn admits(keys: &str, case: &str) -> bool {
    judge(&format!("[[allow]]\nname = \"a\"\nroutes = [\"items\"]\n{keys}"), case).allowed
}

/// Whether a deny with these keys refuses the case, which is allowed otherwise.
fn refuses(keys: &str, case: &str) -> bool {
    let rules = format!(
        "[[allow]]\nname = \"everybody\"\nroutes = [\"items\"]\nanonymous = true\n\
         [[deny]]\nname = \"d\"\nroutes = [\"items\"]\n{keys}"
    );
    !judge(&rules, case).allowed
}

/// The messages of the faults in a policy file, with their hints.
fn messages(rules: &str) -> Vec<String> {
    let shown = |fault: Fault| match fault.hint {
        Some(hint) => format!("{} ({hint})", fault.message),
        None => fault.message,
    };
    read(&[rules]).1.into_iter().filter(|fault| !fault.warning).map(shown).collect()
}
