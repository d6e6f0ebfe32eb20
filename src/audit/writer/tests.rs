use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Batch, Lane, RETRY, Writer, lock, start};
use crate::audit::{AuditSettings, OnFailure, Sink, SinkSettings};

/// A writer to `path` whose disk took one line and half of the next.
fn half_way(path: &Path) -> Writer {
    let sink = SinkSettings::File(path.into());
    let audit = start(AuditSettings { sink: sink.clone(), on_failure: OnFailure::Deny, capacity: 10 }).unwrap();
    audit.finish();
    let mut sink = Sink::open(&sink).unwrap();
    let offset = sink.write(b"{1}\n{2").unwrap();
    let batch = Batch { lines: b"{1}\n{2}\n{3}\n".to_vec(), ..Batch::default() };
    let pending = vec![(Arc::new(Lane::default()), batch)];
    Writer { audit, sink, spare: Vec::new(), pending, offset, looked: Instant::now() }
}

#[test]
fn a_line_that_was_cut_goes_on_in_the_same_file_and_begins_anew_in_another() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
    let mut writer = half_way(&path);
    writer.audit.reopen();
    writer.reopen_if_moved();
    writer.drain().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{1}\n{2}\n{3}\n", "asked to open the file that is there");

    fs::remove_file(&path).unwrap();
    let mut writer = half_way(&path);
    fs::rename(&path, &moved).unwrap();
    writer.audit.reopen();
    writer.reopen_if_moved();
    writer.drain().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{2}\n{3}\n", "another file has the whole line");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "{1}\n{2");
}

#[test]
fn half_a_line_of_a_process_before_does_not_swallow_the_first_record() {
    let directory = tempfile::tempdir().unwrap();
    for (before, after) in [("{1}\n{2", "{1}\n{2\n"), ("{1}\n", "{1}\n"), ("", "")] {
        let path = directory.path().join("log");
        fs::write(&path, before).unwrap();
        let sink = SinkSettings::File(path.clone());
        start(AuditSettings { sink, on_failure: OnFailure::Deny, capacity: 10 }).unwrap().finish();
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
    }
}

/// As `logrotate` does with `create`: the path leads somewhere, and to another file.
#[test]
fn a_file_in_whose_place_another_stands_is_noticed_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
    let mut writer = half_way(&path);
    fs::rename(&path, &moved).unwrap();
    File::create(&path).unwrap();
    writer.reopen_if_moved();
    assert!(writer.sink.was_moved(), "it was looked at a moment ago");
    writer.looked = Instant::now().checked_sub(RETRY).unwrap();
    writer.reopen_if_moved();
    assert!(!writer.sink.was_moved());
    writer.drain().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{2}\n{3}\n");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "{1}\n{2");
}

#[test]
fn a_reload_that_names_the_same_file_otherwise_cuts_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let (path, link) = (directory.path().join("log"), directory.path().join("link"));
    let mut writer = half_way(&path);
    std::os::unix::fs::symlink(&path, &link).unwrap();
    // It takes nothing, like a disk that is full.
    writer.sink = Sink::File(File::open(&path).unwrap(), path.clone());
    *lock(&writer.audit.0.next) = Some(Sink::open(&SinkSettings::File(link)).unwrap());
    writer.move_on();
    writer.drain().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{1}\n{2}\n{3}\n");
}
