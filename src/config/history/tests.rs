use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{History, MOST, Source, version};
use crate::policy::PolicyVersion;
use crate::state::StateDirectory;

fn files(text: &str) -> Vec<Arc<Source>> {
    let source = |name: &str, text: &str| Arc::new(Source::new(format!("/somewhere/{name}").into(), text.into()));
    vec![source("a.toml", text), source("b.toml", "# the same in all")]
}

fn at(number: usize) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(number).unwrap())
}

/// Lets the texts come into force one after the other.
fn history(place: &tempfile::TempDir, texts: &[&str]) -> (History, Vec<PolicyVersion>) {
    let history = History::of(&StateDirectory::new(place.path().join("state")), place.path());
    let enter = |(number, text): (usize, &&str)| {
        let (files, version) = (files(text), version(&files(text)));
        history.enter(&version, &files, &version, None, at(number)).unwrap();
        version
    };
    let versions = texts.iter().enumerate().map(enter).collect();
    (history, versions)
}

fn kept(history: &History) -> Vec<String> {
    history.index().unwrap().kept.into_iter().map(|kept| kept.version).collect()
}

#[test]
fn the_files_of_a_version_come_back_as_they_were() {
    let place = tempfile::tempdir().unwrap();
    let (history, versions) = history(&place, &["one", "two"]);
    let back = history.files(&versions[0].to_string()).unwrap();
    assert_eq!(version(&back), versions[0]);
    assert_eq!(back[0].text, "one");
    assert!(back[0].path.ends_with("a.toml"));
    assert!(history.files("000000000000").unwrap_err().to_string().contains("not kept"));
}

#[test]
fn what_was_tampered_with_is_no_version() {
    let place = tempfile::tempdir().unwrap();
    let (history, versions) = history(&place, &["one", "two"]);
    let (one, two) = (history.version_name(&versions[0].to_string()), history.version_name(&versions[1].to_string()));
    let state = place.path().join("state");
    std::fs::copy(state.join(two), state.join(&one)).unwrap();
    assert!(history.files(&versions[0].to_string()).unwrap_err().to_string().contains("is not that version"));
    std::fs::write(state.join(one), "half").unwrap();
    assert!(history.files(&versions[0].to_string()).is_err());
}

#[test]
fn a_bounded_number_is_kept_and_what_is_kept_no_longer_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..MOST + 5).map(|number| number.to_string()).collect();
    let (history, versions) = history(&place, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let expected: Vec<_> = versions[5..].iter().map(ToString::to_string).collect();
    assert_eq!(kept(&history), expected);
    assert!(history.files(&versions[4].to_string()).is_err());
    let left = std::fs::read_dir(place.path().join("state")).unwrap().count();
    assert_eq!(left, MOST + 2, "the versions, the index, the lock");
}

#[test]
fn a_version_that_comes_back_is_kept_once_and_one_that_stays_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let (history, versions) = history(&place, &["one", "two", "one"]);
    assert_eq!(kept(&history), [versions[1].to_string(), versions[0].to_string()]);
    let before = history.index().unwrap();
    history.enter(&versions[0], &files("one"), &versions[0], None, at(9)).unwrap();
    assert_eq!(history.index().unwrap(), before);
}

#[test]
fn a_rollback_goes_past_what_was_withdrawn_until_that_comes_back_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let (history, versions) = history(&place, &["one", "two", "three"]);
    let previous =
        |in_force: usize| history.index().unwrap().previous(&versions[in_force]).map(|kept| kept.version.clone());
    assert_eq!(previous(2), Some(versions[1].to_string()));
    history.enter(&versions[1], &files("two"), &versions[2], Some(&versions[2]), at(3)).unwrap();
    assert_eq!(history.index().unwrap().set_aside, Some(versions[2].to_string()));
    assert_eq!(previous(1), Some(versions[0].to_string()), "not the one that was just left");
    history.enter(&versions[0], &files("one"), &versions[2], Some(&versions[1]), at(4)).unwrap();
    assert_eq!(previous(0), None);
    history.enter(&versions[2], &files("three"), &versions[2], None, at(5)).unwrap();
    assert_eq!(history.index().unwrap().set_aside, None);
    assert_eq!(previous(2), Some(versions[0].to_string()));
}

#[test]
fn another_directory_has_versions_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let (_, _) = history(&place, &["one"]);
    let other = History::of(&StateDirectory::new(place.path().join("state")), &place.path().join("elsewhere"));
    assert!(other.index().unwrap().kept.is_empty());
}
