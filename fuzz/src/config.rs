//! Configuration text: every fault has a place in the file and can be shown.

use std::path::PathBuf;
use std::str::from_utf8;
use std::sync::Arc;

use portcullis::config::fault::{Faults, Source};
use portcullis::config::reader::{Table, read_document};

/// Whatever the text, reading ends, and each fault can be shown with its line.
pub fn toml(input: &[u8]) -> bool {
    let Ok(text) = from_utf8(input) else { return false };
    let source = Arc::new(Source::new(PathBuf::from("fuzz.toml"), text.to_owned()));
    let faults = Faults::default();
    read_document(&source, &faults, |root| {
        read(&root);
        for table in root.tables("listener") {
            read(&table);
        }
        if let Some(table) = root.table("limits") {
            read(&table);
        }
        for (_, value) in root.table("issuer").map(|issuers| issuers.named_entries()).unwrap_or_default() {
            value.table("an issuer".into()).iter().for_each(read);
        }
    });
    let faults = faults.into_sorted();
    for (index, fault) in faults.iter().enumerate() {
        // Showing one takes longer than reading the file.
        assert!(index > 0 || !fault.render(false).is_empty());
        assert!(
            fault.at.as_ref().is_none_or(|at| at.line_column().0 <= text.lines().count() + 1),
            "a fault past the end"
        );
    }
    faults.is_empty()
}

fn read(table: &Table<'_>) {
    if let Some(value) = table.get("name") {
        value.string();
    }
    if let Some(value) = table.get("timeout") {
        value.duration();
    }
    if let Some(value) = table.get("size") {
        value.bytes();
    }
    if let Some(value) = table.get("count") {
        value.integer(1, 100);
    }
    if let Some(value) = table.get("address") {
        value.socket_address();
    }
    if let Some(value) = table.get("networks") {
        for entry in value.list() {
            entry.network();
        }
    }
    if let Some(value) = table.get("tags") {
        value.strings();
    }
    if let Some(value) = table.get("mode") {
        value.choice(&[("on", true), ("off", false)]);
    }
    if let Some(value) = table.get("anything") {
        value.json();
    }
}
