//! The policies that come with the repository load, pass their own tests, and leave nothing untested.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use portcullis::config::policy::describe::{Description, describe};
use portcullis::config::policy::project::Project;
use portcullis::config::{Fault, Faults, Wanted, load};
use portcullis::demo::{Certificates, Names};
use portcullis::policy::lint::Code;
use portcullis::policy::trial::coverage;

const SETS: [&str; 3] = ["payments", "tools", "services"];

#[test]
fn every_set_loads_passes_its_tests_and_is_covered_whole() {
    for set in SETS {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (Path::new("config/policies").join(set), directory.path().join("config/policies").join(set));
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(from), &to);
        let certificates = Certificates::make(&Names::default(), Timestamp::now()).unwrap();
        certificates.write(&directory.path().join("certs"), false).unwrap();
        // A secret that this test's environment does not hold.
        let main = fs::read_to_string(to.join("portcullis.toml")).unwrap();
        fs::write(to.join("portcullis.toml"), main.replace("{ env = \"BANK_SECRET\" }", "{ file = \"secret\" }"))
            .unwrap();
        fs::write(to.join("secret"), "a secret of the test's own, long enough\n").unwrap();

        let shown = |faults: &[Fault]| faults.iter().map(|fault| fault.render(false)).collect::<Vec<_>>().join("\n");
        let loaded = load(&to, Timestamp::now(), None, Wanted::OnDisk)
            .unwrap_or_else(|faults| panic!("{set}\n{}", shown(&faults)));
        assert!(loaded.warnings.is_empty(), "{set}\n{}", shown(&loaded.warnings));
        let project = Project::open(&to, &Faults::default()).unwrap();
        let found: Vec<_> = project.lint(Timestamp::now()).into_iter().filter(|one| one.silenced.is_none()).collect();
        assert!(found.is_empty(), "{set}: {found:#?}");
        assert!(loaded.trials.len() >= 10, "{set} has only {} tests", loaded.trials.len());
        let found = coverage(&loaded.trials, &loaded.settings.routes, loaded.settings.policy.rules());
        assert!(found.idle_rules.is_empty() && found.idle_routes.is_empty(), "{set}: {found:#?}");
    }
}

/// The examples of the book: each by itself, over the names that they share.
#[test]
fn every_example_loads_passes_its_tests_and_is_covered_whole() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let book = fs::read_to_string(directory.join("README.md")).unwrap();
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "toml") && !file.ends_with("portcullis.toml"));
    files.sort();
    assert!(files.len() >= 30, "only {} examples", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let faults = Faults::default();
        let project = Project::open_candidate(&directory, &file, &faults);
        let shown: Vec<_> = faults.into_sorted().iter().map(|fault| fault.render(false)).collect();
        let project = project.unwrap_or_else(|| panic!("{name}\n{}", shown.join("\n")));
        assert!(shown.is_empty(), "{name}\n{}", shown.join("\n"));
        for trial in &project.policy.trials {
            let report = trial.run(&project.routes, &project.policy.rules);
            assert!(report.passed(), "{name}: {}: {:?} {:?}", report.name, report.differences, report.nearest);
        }
        let found = coverage(&project.policy.trials, &project.routes, &project.policy.rules);
        assert!(found.idle_rules.is_empty() && found.idle_routes.is_empty(), "{name}: {found:#?}");
        let meant = [Code::OpenToAnonymous, Code::Anyone, Code::Ended];
        let findings: Vec<_> = project
            .lint("2026-01-14T12:00:00Z".parse().unwrap())
            .into_iter()
            .filter(|one| !meant.contains(&one.code))
            .collect();
        assert!(findings.is_empty(), "{name}: {findings:#?}");

        let text = fs::read_to_string(&file).unwrap();
        let (sentence, rest) = text.strip_prefix("# ").unwrap().split_once("\n# Users of ").unwrap();
        let product = rest.split_once(" write such a rule.\n").unwrap().0;
        assert!(
            book.contains(&format!("| [`{name}`]({name}.toml) | {sentence} | {product} |")),
            "{name} is not in the list"
        );
    }
}

/// (route, address, methods)
const ASKED: &[(&str, &str, &[&str])] = &[
    ("payments", "https://payments.corp.example/v1/payments", &["GET", "POST", "DELETE"]),
    ("payment", "https://payments.corp.example/v1/payments/7", &["GET", "PUT"]),
    ("refund", "https://payments.corp.example/v1/payments/7/refund", &["POST"]),
    ("export", "https://payments.corp.example/v1/exports/2025", &["GET"]),
    ("settlement", "https://payments.corp.example/v1/batches/b-1/settle", &["POST"]),
    ("health", "https://payments.corp.example/healthz", &["GET", "HEAD"]),
];

/// Every decision of the payments policy that a reviewer should see at a glance: subject by route by method. A change of the
/// policy or of the language shows here as a change of the file.
#[test]
fn the_decision_matrix_of_the_payments_policy_is_the_one_that_was_reviewed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies/payments");
    let project = Project::open(&directory, &Faults::default()).unwrap();
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    let (finance, audit, sre) = (texts(&["finance"]), texts(&["audit"]), texts(&["sre"]));
    let (leads, trainees) = (texts(&["finance", "finance-leads"]), texts(&["finance", "finance-trainees"]));
    let (write, read) = (texts(&["payments:write"]), texts(&["payments:read"]));
    let (on_call, frozen, named) =
        (texts(&["on_call=true"]), texts(&["account_status=\"frozen\""]), texts(&["payments=[\"7\"]"]));
    let nobody = Description { now: Some("2026-01-14T12:00:00Z"), source: Some("10.20.0.7"), ..Description::default() };
    let laptop = Description { trust: Some("corp"), spiffe_id: Some("spiffe://corp.example/device/7"), ..nobody };
    let staff =
        Description { issuer: Some("corp"), sub: Some("u-1"), acr: Some("mfa"), signed_in_ago: Some("5m"), ..laptop };
    let subjects: Vec<(&str, Description<'_>)> = vec![
        ("nobody", nobody),
        ("a laptop alone", laptop),
        ("staff", staff),
        ("finance", Description { groups: &finance, scopes: &write, ..staff }),
        ("finance, password", Description { groups: &finance, scopes: &write, acr: Some("pwd"), ..staff }),
        ("finance, read scope", Description { groups: &finance, scopes: &read, ..staff }),
        ("finance, own phone", Description { groups: &finance, scopes: &write, spiffe_id: None, trust: None, ..staff }),
        ("finance, frozen", Description { groups: &finance, scopes: &write, claims: &frozen, ..staff }),
        ("finance trainee", Description { groups: &trainees, scopes: &write, ..staff }),
        ("finance lead", Description { groups: &leads, scopes: &write, ..staff }),
        (
            "finance lead, at home",
            Description { groups: &leads, scopes: &write, source: Some("198.51.100.7"), ..staff },
        ),
        ("audit", Description { groups: &audit, ..staff }),
        ("audit, at night", Description { groups: &audit, now: Some("2026-01-14T23:00:00Z"), ..staff }),
        ("sre", Description { groups: &sre, ..staff }),
        ("sre on call", Description { groups: &sre, claims: &on_call, ..staff }),
        ("the bank, for 7", Description { issuer: Some("bank"), scopes: &read, claims: &named, ..nobody }),
        (
            "the settlement job",
            Description { spiffe_id: Some("spiffe://corp.example/ns/payments/sa/settlement"), ..laptop },
        ),
    ];
    let mut matrix = String::from("The decisions of config/policies/payments: who, and what becomes of the request.\n");
    for (route, url, methods) in ASKED {
        for method in *methods {
            matrix.push_str(&format!("\n{route}  {method} {url}\n"));
            for (who, known) in &subjects {
                let described = Description { method, url, ..*known };
                let case = describe(&described, &project, &Faults::default()).unwrap();
                let outcome = case.judge(&project.routes, &project.policy.rules);
                let reason = outcome.reason.map_or("", portcullis::identity::Reason::code);
                let by = outcome.rule.as_ref().map(|rule| format!("  ({rule})")).unwrap_or_default();
                matrix.push_str(format!("  {:<5} {who:<22} {reason}{by}", outcome.decision()).trim_end());
                matrix.push('\n');
            }
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/payments.txt");
    if std::env::var_os("PORTCULLIS_WRITE_GOLDEN").is_some() {
        fs::write(&golden, &matrix).unwrap();
    }
    let reviewed = fs::read_to_string(&golden).unwrap();
    let differs = matrix.lines().zip(reviewed.lines()).find(|(now, then)| now != then);
    assert!(
        differs.is_none() && matrix == reviewed,
        "{differs:?}: review it with PORTCULLIS_WRITE_GOLDEN=1 and git diff"
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
