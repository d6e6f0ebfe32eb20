//! What the book says is held against the code.

use std::collections::BTreeSet;

use portcullis::identity::Reason;

const REASONS: &str = include_str!("../docs/reasons.md");

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
