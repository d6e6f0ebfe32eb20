//! The policies that come with the repository load, pass their own tests, and leave nothing untested.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use portcullis::config::policy::project::Project;
use portcullis::config::{Fault, Faults, load};
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
        let loaded = load(&to, Timestamp::now(), None).unwrap_or_else(|faults| panic!("{set}\n{}", shown(&faults)));
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
