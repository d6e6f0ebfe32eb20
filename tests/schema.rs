//! The schemas that editors use say what the readers know, no more and no less.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use portcullis::config::policy::project::{KnownNames, Project};
use portcullis::config::{Fault, Faults, Source, Wanted, load, schema};
use serde_json::Value;

/// A key that no reader knows: the fault about it lists those that it does.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzz";

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A table of the schema: steps into properties, `*` into the values of a map, `[]` into elements; references and the
/// alternative that is an object are followed.
fn table<'s>(root: &'s Value, path: &str) -> &'s Value {
    let mut at = settled(root, root);
    for step in path.split('/').filter(|step| !step.is_empty()) {
        let next = match step {
            "*" => at.get("additionalProperties"),
            "[]" => at.get("items"),
            key => at.get("properties").and_then(|properties| properties.get(key)),
        };
        at = settled(root, next.unwrap_or_else(|| panic!("the schema has no {path} at {step}")));
    }
    at
}

fn settled<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return settled(root, root.pointer(name.trim_start_matches('#')).unwrap());
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let object = alternatives.and_then(|all| {
        let all = all.iter().map(|one| settled(root, one));
        all.filter(|one| one["type"] == "object")
            .max_by_key(|one| one["properties"].as_object().map(serde_json::Map::len))
    });
    object.unwrap_or(schema)
}

fn properties(root: &Value, path: &str) -> BTreeSet<String> {
    table(root, path)["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The keys that the reader knew where it met the unknown one.
fn known(faults: &[Fault], what: &str) -> BTreeSet<String> {
    let unknown = format!("unknown key `{UNKNOWN}`");
    let fault = faults.iter().find(|fault| fault.message.starts_with(&unknown));
    let fault = fault.unwrap_or_else(|| panic!("{what}: {:#?}", faults.iter().map(|f| &f.message).collect::<Vec<_>>()));
    let hint = fault.hint.as_deref().unwrap();
    let keys = hint.strip_prefix("known here: ").unwrap_or_else(|| panic!("{what}: {hint}"));
    keys.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

/// (a place in the schema, a policy file with an unknown key there)
const POLICY: &[(&str, &str)] = &[
    ("", "?"),
    ("policy", "[policy]\n?"),
    ("route/[]", "[[route]]\n?"),
    ("route/[]/cors", "[[route]]\n[route.cors]\n?"),
    ("allow/[]", "[[allow]]\n?"),
    ("deny/[]", "[[deny]]\n?"),
    ("require/[]", "[[require]]\n?"),
    ("condition/*", "[condition.x]\n?"),
    ("allow/[]/any_of/[]", "[[allow]]\n[[allow.any_of]]\n?"),
    ("allow/[]/subject", "[[allow]]\n[allow.subject]\n?"),
    ("allow/[]/subject/sub", "[[allow]]\n[allow.subject.sub]\n?"),
    ("allow/[]/subject/groups", "[[allow]]\n[allow.subject.groups]\n?"),
    ("allow/[]/subject/issuer", "[[allow]]\n[allow.subject.issuer]\n?"),
    ("allow/[]/subject/claims/*", "[[allow]]\n[allow.subject.claims.x]\n?"),
    ("allow/[]/device", "[[allow]]\n[allow.device]\n?"),
    ("allow/[]/request", "[[allow]]\n[allow.request]\n?"),
    ("allow/[]/source", "[[allow]]\n[allow.source]\n?"),
    ("allow/[]/time", "[[allow]]\n[allow.time]\n?"),
    ("test/[]", "[[test]]\n?"),
    ("test/[]/request", "[[test]]\n[test.request]\n?"),
    ("test/[]/token", "[[test]]\n[test.token]\n?"),
    ("test/[]/device", "[[test]]\n[test.device]\n?"),
    ("test/[]/expect", "[[test]]\n[test.expect]\n?"),
    ("lint/[]", "[[lint]]\n?"),
];

/// The same for `portcullis.toml`.
const PORTCULLIS: &[(&str, &str)] = &[
    ("", "?"),
    ("assertion", "[assertion]\n?"),
    ("listener/[]", "[[listener]]\n?"),
    ("listener/[]/tls", "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n[listener.tls]\n?"),
    ("listener/[]/tls/hsts", "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n[listener.tls.hsts]\n?"),
    ("listener/[]/tls/certificates/[]", "[[listener]]\n[[listener.tls.certificates]]\n?"),
    ("listener/[]/client_certificates", "[[listener]]\n[listener.client_certificates]\n?"),
    ("listener/[]/host/[]", "[[listener]]\n[[listener.host]]\n?"),
    ("trust/*", "[trust.x]\n?"),
    ("trust/*/crl", "[trust.x]\nca = \"none.pem\"\n[trust.x.crl]\n?"),
    ("issuer/*", "[issuer.x]\n?"),
    ("issuer/*/groups_claim", "[issuer.x]\n[issuer.x.groups_claim]\n?"),
    ("issuer/*/shared_secret", "[issuer.x]\n[issuer.x.shared_secret]\n?"),
    ("introspection/*", "[introspection.x]\n?"),
    ("introspection/*/client", "[introspection.x]\n[introspection.x.client]\n?"),
    ("introspection/*/match", "[introspection.x]\n[introspection.x.match]\n?"),
    ("introspection/*/cache", "[introspection.x]\n[introspection.x.cache]\n?"),
    ("upstream/*", "[upstream.x]\n?"),
    ("upstream/*/endpoints/[]", "[upstream.x]\n[[upstream.x.endpoints]]\nurl = \"http://127.0.0.1:1\"\n?"),
    ("upstream/*/tls", "[upstream.x]\nendpoints = [\"https://a.example\"]\n[upstream.x.tls]\n?"),
    ("upstream/*/timeouts", "[upstream.x]\n[upstream.x.timeouts]\n?"),
    ("upstream/*/pool", "[upstream.x]\n[upstream.x.pool]\n?"),
    ("upstream/*/health", "[upstream.x]\n[upstream.x.health]\n?"),
    ("upstream/*/outlier", "[upstream.x]\n[upstream.x.outlier]\n?"),
    ("upstream/*/identity", "[upstream.x]\n[upstream.x.identity]\n?"),
    ("upstream/*/request_headers", "[upstream.x]\n[upstream.x.request_headers]\n?"),
    ("limits", "[limits]\n?"),
    ("timeouts", "[timeouts]\n?"),
    ("policy", "[policy]\n?"),
    ("policy/alarm", "[policy.alarm]\n?"),
    ("audit", "[audit]\n?"),
    ("audit/file", "[audit]\n[audit.file]\n?"),
    ("log", "[log]\n?"),
    ("admin", "[admin]\n?"),
    ("admin/control", "[admin]\n[admin.control]\n?"),
];

#[test]
fn the_schema_of_policy_files_has_the_keys_that_the_reader_knows() {
    let schema = parse(schema::POLICY);
    for (path, text) in POLICY {
        let source = Source::new("policy.toml".into(), text.replace('?', &format!("{UNKNOWN} = 1")));
        let faults = Faults::default();
        let _ = Project::read(KnownNames::default(), &[Arc::new(source)], &faults);
        assert_eq!(properties(&schema, path), known(&faults.into_sorted(), path), "{path}");
    }
}

#[test]
fn the_schema_of_the_main_file_has_the_keys_that_the_reader_knows() {
    let schema = parse(schema::PORTCULLIS);
    let mut wrong = Vec::new();
    for (path, text) in PORTCULLIS {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        let text = text.replace('?', &format!("{UNKNOWN} = 1"));
        fs::write(directory.path().join("portcullis.toml"), text).unwrap();
        let faults = load(directory.path(), Timestamp::now(), None, Wanted::OnDisk).unwrap_err();
        let (stated, mut known) = (properties(&schema, path), known(&faults, path));
        // Asked for only to say that it is not built yet.
        known.remove("login");
        if stated != known {
            wrong.push(format!("{path}: the schema has {stated:?}, the reader knows {known:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_toml_file_of_the_repository_fits() {
    let (main, policy) = (parse(schema::PORTCULLIS), parse(schema::POLICY));
    let mut seen = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("config"), root.join("docs")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                let schema = if path.ends_with("portcullis.toml") { &main } else { &policy };
                let value: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
                let value = serde_json::to_value(value).unwrap();
                let mut faults = Vec::new();
                judge(schema, schema, &value, "", &mut faults);
                assert!(faults.is_empty(), "{}\n{}", path.display(), faults.join("\n"));
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "only {seen} files");
    for (schema, wrong) in [
        (&policy, r#"{"allow": [{"name": "a", "routes": ["x"], "subject_": {}}]}"#),
        (&policy, r#"{"allow": [{"name": "a", "routes": ["x"], "subject": {"groups": ["a"]}}]}"#),
        (&policy, r#"{"allow": [{"name": "a", "routes": ["x"], "subject": {"signed_in_within": "8 hours"}}]}"#),
        (&policy, r#"{"deny": [{"name": "a", "routes": ["x"], "mode": "shadwo"}]}"#),
        (&policy, r#"{"require": [{"routes": ["x"]}]}"#),
        (&main, r#"{"upstream": {"x": {}}}"#),
    ] {
        let mut faults = Vec::new();
        judge(schema, schema, &parse(wrong), "", &mut faults);
        assert!(!faults.is_empty(), "{wrong}");
    }
}

/// As much of JSON Schema as ours use. A keyword that is not known here is a fault, so none is silently without effect.
fn judge(root: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().unwrap() {
        let fault = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => None,
            "$ref" => {
                judge(root, root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap(), value, at, faults);
                None
            }
            "anyOf" => {
                let fits = |one: &Value| {
                    let mut inner = Vec::new();
                    judge(root, one, value, at, &mut inner);
                    inner.is_empty()
                };
                (!wanted.as_array().unwrap().iter().any(fits)).then(|| "fits no alternative".to_owned())
            }
            "type" => {
                let kinds = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                (!kinds.iter().any(|kind| is(value, kind.as_str().unwrap()))).then(|| format!("is no {wanted}"))
            }
            "enum" => (!wanted.as_array().unwrap().contains(value)).then(|| format!("is none of {wanted}")),
            "const" => (wanted != value).then(|| format!("is not {wanted}")),
            "pattern" => {
                let regex = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().filter(|text| !regex.is_match(text)).map(|_| format!("does not match {wanted}"))
            }
            "minItems" => {
                value.as_array().filter(|a| a.len() < 2 && wanted == 2).map(|_| "has too few elements".into())
            }
            "minimum" => value.as_i64().filter(|n| *n < wanted.as_i64().unwrap()).map(|_| "is too small".into()),
            "maximum" => value.as_i64().filter(|n| *n > wanted.as_i64().unwrap()).map(|_| "is too large".into()),
            "required" => {
                let missing = wanted.as_array().unwrap().iter().find(|key| value.get(key.as_str().unwrap()).is_none());
                missing.filter(|_| value.is_object()).map(|key| format!("has no {key}"))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(root, wanted, item, &format!("{at}/{index}"), faults);
                }
                None
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(wanted) = wanted.get(key) {
                        judge(root, wanted, inner, &format!("{at}/{key}"), faults);
                    }
                }
                None
            }
            "additionalProperties" => {
                let named = |key: &String| schema["properties"].get(key).is_some();
                for (key, inner) in value.as_object().into_iter().flatten().filter(|(key, _)| !named(key)) {
                    match wanted {
                        Value::Bool(false) => faults.push(format!("{at}: unknown key {key}")),
                        wanted => judge(root, wanted, inner, &format!("{at}/{key}"), faults),
                    }
                }
                None
            }
            other => Some(format!("the schema uses `{other}`")),
        };
        faults.extend(fault.map(|fault| format!("{at}: {fault}")));
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}
