use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Certificates, Names, WriteError};

fn set() -> Certificates {
    Certificates::make(&Names::default(), "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
}

#[test]
fn every_file_is_written_and_keys_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let paths = set().write(&directory.path().join("new"), false).unwrap();
    assert_eq!(paths.len(), Certificates::AUTHORITIES.len() + 2 * Certificates::PAIRS.len());
    for path in paths {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let is_key = path.extension().unwrap() == "key";
        assert_eq!(mode, if is_key { 0o600 } else { 0o644 }, "{}", path.display());
        assert_eq!(fs::read_to_string(&path).unwrap().contains("PRIVATE KEY"), is_key);
    }
}

#[test]
fn one_file_in_the_way_stops_everything() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("rogue.key");
    fs::write(&in_the_way, "mine").unwrap();
    let error = set().write(directory.path(), false).unwrap_err();
    assert!(matches!(error, WriteError::Exists(path) if path == in_the_way));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(&in_the_way).unwrap(), "mine");
}

#[test]
fn replacing_never_writes_through_a_link_and_makes_a_key_private() {
    let directory = tempfile::tempdir().unwrap();
    let (elsewhere, link) = (directory.path().join("elsewhere"), directory.path().join("device.key"));
    fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let open = directory.path().join("server.key");
    fs::write(&open, "old").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    set().write(directory.path(), true).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
    assert_eq!(fs::metadata(&open).unwrap().permissions().mode() & 0o777, 0o600);
}
