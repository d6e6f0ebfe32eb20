use std::sync::Arc;
use std::time::Duration;

use super::super::fault::{Faults, Source};
use super::{Table, parse_bytes, parse_duration, read_document};

fn read<T>(text: &str, read: impl FnOnce(Table<'_>) -> T) -> (T, Vec<String>) {
    let source = Arc::new(Source::new("test.toml".into(), text.into()));
    let faults = Faults::default();
    let value = read_document(&source, &faults, read);
    let shown = |fault: super::super::fault::Fault| {
        format!("{}: {} ({})", fault.at.unwrap(), fault.message, fault.hint.unwrap_or_default())
    };
    (value, faults.into_sorted().into_iter().map(shown).collect())
}

#[test]
fn a_misspelt_key_is_a_fault_with_its_place_and_the_nearest_known_key() {
    let (_, faults) = read("address = \"x\"\nadress = 1\nzzz = 2", |table| table.get("address").is_some());
    assert_eq!(
        faults,
        [
            "test.toml:2:1: unknown key `adress` in the file (did you mean `address`?)",
            "test.toml:3:1: unknown key `zzz` in the file (known here: `address`)",
        ]
    );
}

#[test]
fn every_fault_is_reported_in_one_pass() {
    let (_, faults) = read("a = 1\nb = \"5 parsecs\"\nc = [1, \"x\"]", |table| {
        table.get("a").and_then(|value| value.string());
        table.get("b").and_then(|value| value.duration());
        table.get("c").map(|value| value.strings());
        table.require("d");
    });
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults[1].contains("expected a string, found an integer"), "{faults:?}");
}

#[test]
fn syntax_errors_are_faults_and_the_rest_is_still_read() {
    let (value, faults) = read("a = \nb = \"kept\"", |table| {
        table.get("a");
        table.get("b").and_then(|value| value.string())
    });
    assert_eq!(value.as_deref(), Some("kept"));
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn durations_and_amounts_carry_their_unit() {
    assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(parse_duration("8h"), Some(Duration::from_secs(28_800)));
    for bad in ["", "5", "-5s", "5 s", "s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(parse_duration(bad), None, "{bad}");
    }
    assert_eq!(parse_bytes("64KiB"), Some(65_536));
    for bad in ["", "64", "64KB", "KiB", "99999999999999999999GiB", "18446744073709551615KiB"] {
        assert_eq!(parse_bytes(bad), None, "{bad}");
    }
}
