use std::sync::Arc;

use super::read;
use crate::authn::{Algorithm, Audiences, GroupsForm, IssuerSettings, KeyOrigin, TokenType};
use crate::config::fault::{Faults, Source};
use crate::config::reader::read_document;
use crate::identity::Audience;
use crate::route::Binding;

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","use":"sig",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn load(text: &str) -> (Vec<Option<IssuerSettings>>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("keys.json"), KEYS).unwrap();
    std::fs::write(directory.path().join("empty.json"), r#"{"keys":[]}"#).unwrap();
    std::fs::write(directory.path().join("twice.json"), r#"{"keys":[],"keys":[]}"#).unwrap();
    std::fs::write(directory.path().join("short"), "short\n").unwrap();
    std::fs::write(directory.path().join("long"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let source = Arc::new(Source::new("portcullis.toml".into(), text.into()));
    let faults = Faults::default();
    let issuers = read_document(&source, &faults, |root| read(&root, directory.path()));
    let shown = faults.into_sorted().into_iter().map(|fault| format!("{}: {}", fault.at.unwrap(), fault.message));
    (issuers.into_iter().map(|(_, settings)| settings).collect(), shown.collect())
}

fn one(lines: &str) -> IssuerSettings {
    let (issuers, faults) = load(&format!("[issuer.corp]\n{lines}\n"));
    assert_eq!(faults, [""; 0]);
    issuers.into_iter().next().unwrap().unwrap()
}

/// The faults of an issuer that is right but for `lines`.
fn faults(lines: &str) -> Vec<String> {
    let mut text = String::from("[issuer.corp]\n");
    for default in ["url = \"https://login.corp.example\"", "audiences = [\"a\"]"] {
        let key = default.split(" =").next().unwrap();
        if !lines.lines().any(|line| line.starts_with(&format!("{key} ="))) {
            text += &format!("{default}\n");
        }
    }
    load(&(text + lines)).1
}

#[test]
fn the_sample_of_the_manual_is_read() {
    let corp = one(r#"
url         = "https://login.corp.example"
audiences   = ["payments-api"]
algorithms  = ["ES256", "EdDSA"]
token_types = ["at+jwt"]
clock_skew  = "30s"
max_lifetime = "1h"
"#);
    assert_eq!(corp.issuer.as_str(), "https://login.corp.example");
    assert_eq!(corp.token.audiences, Audiences::OneOf(vec![Audience::new("payments-api")]));
    assert_eq!(corp.algorithms, [Algorithm::Es256, Algorithm::EdDsa]);
    assert_eq!(corp.token_types, [TokenType::named("application/AT+JWT")]);
    assert_eq!(corp.max_lifetime.as_secs(), 3600);
    assert_eq!(corp.token.binding, Binding::IfBound);
    assert!(matches!(corp.keys, KeyOrigin::Discovery { .. }));
}

#[test]
fn defaults_are_strict() {
    let corp = one("url = \"https://login.corp.example\"\naudiences = [\"a\"]");
    assert!(corp.algorithms.iter().all(|algorithm| !algorithm.is_symmetric()));
    assert_eq!(corp.token_types, [TokenType::named("at+jwt")]);
    assert_eq!((corp.token.max_bytes, corp.token.clock_skew.as_secs()), (8192, 30));
}

#[test]
fn keys_come_from_a_file_an_address_or_a_secret() {
    let base = "url = \"https://login.corp.example\"\naudiences = [\"a\"]\n";
    let file = one(&format!("{base}jwks = \"keys.json\""));
    assert!(matches!(&file.keys, KeyOrigin::Document(text) if **text == *KEYS));
    let url = one(&format!("{base}jwks_url = \"http://127.0.0.1:9/jwks\""));
    assert!(matches!(&url.keys, KeyOrigin::Url { .. }));
    let secret = one(&format!("{base}shared_secret = {{ file = \"long\" }}\nalgorithms = [\"HS256\"]"));
    assert!(matches!(&secret.keys, KeyOrigin::Secret(secret) if secret.expose().len() == 32));
    assert!(!format!("{secret:?}").contains("0123456789abcdef"));
}

#[test]
fn groups_have_a_stated_form() {
    let base = "url = \"https://login.corp.example\"\naudiences = [\"a\"]\n";
    let form = |claim: &str| one(&format!("{base}groups_claim = {claim}")).token.groups;
    assert_eq!(form("\"roles\"").form, GroupsForm::List);
    let nested = form("{ path = \"realm_access.roles\", form = \"separated\", separator = \";\" }");
    assert_eq!((nested.path.to_string().as_str(), nested.form), ("realm_access.roles", GroupsForm::Separated(';')));
}

#[test]
fn every_fault_has_its_line() {
    for (lines, expected) in [
        ("audiences = []", "empty: no token could be for it"),
        ("audiences = \"unchecked\"", "would count everywhere"),
        ("audiences = \"payments-api\"", "is a list"),
        ("audiences = [\"\"]", "must not be empty"),
        ("url = \"\"", "must not be empty"),
        ("url = \"http://login.corp.example\"", "plain http"),
        ("url = \"https://login.corp.example/?x\"", "no query"),
        ("algorithms = [\"none\"]", "\"none\""),
        ("algorithms = []", "empty"),
        ("algorithms = [\"HS256\"]", "do not fit"),
        ("shared_secret = { file = \"long\" }", "do not fit"),
        ("algorithms = [\"HS256\"]\nshared_secret = { file = \"short\" }", "at least 32"),
        ("algorithms = [\"HS256\", \"HS512\"]\nshared_secret = { file = \"long\" }", "HS512 has at least 64"),
        ("algorithms = [\"HS256\"]\nshared_secret = \"0123456789abcdef0123456789abcdef\"", "must not stand"),
        ("algorithms = [\"HS256\"]\nshared_secret = { env = \"PORTCULLIS_NO_SUCH\" }", "the environment has no"),
        ("jwks = \"missing.json\"", "cannot read"),
        ("jwks = \"empty.json\"", "holds no key"),
        ("jwks = \"twice.json\"", "not a JSON Web Key Set"),
        ("jwks = \"keys.json\"\nalgorithms = [\"RS256\"]", "holds no key"),
        ("jwks = \"keys.json\"\njwks_url = \"https://x.example/\"", "several sources"),
        ("jwks_url = \"https://x.example/\"\njwks_hosts = [\"y.example\"]", "for discovery only"),
        ("token_types = [\"dpop+jwt\"]", "never an access token"),
        ("token_types = []", "empty"),
        ("clock_skew = \"1h\"", "must lie between"),
        ("max_lifetime = \"0s\"", "must lie between"),
        ("max_bytes = \"1GiB\"", "must lie between"),
        ("binding = \"strict\"", "can be"),
        ("groups_claim = \"a..b\"", "no path"),
        ("groups_claim = { path = \"g\", form = \"list\", separator = \",\" }", "only the form"),
        ("groups_claim = { path = \"g\", form = \"separated\", separator = \", \" }", "one character"),
        ("ca = \"missing.pem\"", "cannot read"),
        ("ca = \"long\"", "holds no certificate"),
        ("audience = [\"a\"]", "unknown key"),
    ] {
        let found = faults(lines);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{lines}: {found:?}");
    }
}

#[test]
fn a_faulty_issuer_still_has_its_name() {
    let (issuers, faults) = load("[issuer.corp]\nurl = 1\n");
    assert_eq!((issuers.len(), issuers.first().unwrap().is_none()), (1, true));
    assert_eq!(faults.len(), 2, "{faults:?}");
}
