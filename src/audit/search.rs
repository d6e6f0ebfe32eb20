//! Finds the record of a request in an audit log that was written to a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The longest line that is read, in bytes; longer ones are no records.
const LONGEST: u64 = 1024 * 1024;

/// The final record of the request with this id; `None` when the file has none. Reads the whole file, line by line.
///
/// # Errors
/// When the file cannot be read.
pub fn find_record(log: &Path, id: &str) -> io::Result<Option<String>> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(log)?);
    let wanted = format!("\"id\":\"{id}\"");
    let (mut line, mut found) = (Vec::new(), None);
    loop {
        line.clear();
        if reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        // The text first: most lines are of other requests, and need not be understood.
        if text.contains(&wanted) && is_final(text, id) {
            found = Some(text.trim_end().to_owned());
        }
    }
}

fn is_final(line: &str, id: &str) -> bool {
    let Ok(record) = serde_json::from_str::<serde_json::Value>(line) else { return false };
    let text = |key: &str| record.get(key).and_then(serde_json::Value::as_str);
    text("kind") == Some("request") && text("id") == Some(id)
}

#[cfg(test)]
mod tests {
    use super::find_record;

    #[test]
    fn the_final_record_is_found_among_notices_garbage_and_impostors() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("audit.jsonl");
        let wanted = r#"{"kind":"request","id":"a1","path":"/x"}"#;
        let lines = [
            r#"{"kind":"opened","id":"a1"}"#,
            r#"{"kind":"request","id":"b2","path":"\"id\":\"a1\""}"#,
            r#"{"kind":"request","id":"b2","detail":{"id":"a1"}}"#,
            wanted,
            r#"{"kind":"request","id":"a1""#,
            "not json \u{e4}",
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        assert_eq!(find_record(&file, "a1").unwrap().as_deref(), Some(wanted));
        assert_eq!(find_record(&file, "a").unwrap(), None);
        assert!(find_record(&place.path().join("none"), "a1").is_err());
    }
}
