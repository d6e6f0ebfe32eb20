//! What the book says is held against the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portcullis::identity::Reason;

const REASONS: &str = include_str!("../docs/reasons.md");
const POLICY: &str = include_str!("../docs/policy.md");

#[test]
fn every_reason_has_a_section_with_its_own_sentence_and_no_section_has_no_reason() {
    let documented: BTreeSet<_> =
        REASONS.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let known: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(documented, known);
    for reason in Reason::ALL {
        let section = REASONS.split(&format!("### `{reason}`\n")).nth(1).unwrap();
        assert!(section.trim_start().starts_with(&format!("*{}*", reason.summary())), "{reason}");
        let advice = section.split("\n\n").nth(1).unwrap();
        assert!(!advice.trim().is_empty() && !advice.starts_with('#'), "{reason} says what to do");
    }
}

/// A sentence of the semantics is worth what its test is worth: the test must be there.
#[test]
fn every_semantics_of_the_policy_language_names_tests_that_exist() {
    let section = POLICY.split("\n## Semantics\n").nth(1).unwrap();
    let mut sources = String::new();
    read_below(Path::new(env!("CARGO_MANIFEST_DIR")), &mut sources);
    let mut items: Vec<String> = Vec::new();
    for line in section.lines() {
        if line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("Besides") {
            items.push(String::new());
        }
        if let Some(item) = items.last_mut() {
            item.push_str(line);
            item.push(' ');
        }
    }
    assert_eq!(items.len(), 14, "thirteen semantics, and what holds besides");
    for item in items {
        let (_, named) = item.rsplit_once("Test").unwrap_or_else(|| panic!("names no test: {item}"));
        let names: Vec<_> = named.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "names no test: {item}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
        }
    }
}

fn read_below(root: &Path, sources: &mut String) {
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(&entry).unwrap());
            }
        }
    }
}
