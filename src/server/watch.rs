//! Notices that the files of a configuration changed, and when the change is whole.
//!
//! A set of files counts when two reads one second apart agree, so that a half-written one is never served. A link that
//! was swapped for another is whole at once: whoever mounts configuration so (Kubernetes, a deployment's `current`) swaps
//! it when all is written.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::config;

/// Of all time, at most this part is spent on looking: with ten thousand certificates a look takes a while.
const PART: u32 = 100;

/// What the files looked like: enough to notice a change, not to judge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Glance {
    /// In the order of the paths.
    named: Vec<Option<Stamp>>,
    /// The files that the directories among them hold; directories below are not read.
    found: BTreeMap<PathBuf, Option<Stamp>>,
}

/// Which file it is (device and number), when it was written, and its length; nothing for a directory, of which only what it
/// holds can change.
type Stamp = Option<(u64, u64, SystemTime, u64)>;

/// Notices changes that are whole.
#[derive(Debug)]
pub(super) struct Watch {
    served: Glance,
    /// Where the files really lie: where a link leads that was swapped.
    places: BTreeMap<PathBuf, PathBuf>,
    /// The last look that found something else than is served, and what was in the files then.
    last: Option<(Glance, [u8; 32])>,
    /// Not before this is looked again.
    next: Instant,
}

impl Glance {
    /// Looks at every file, and at every directory for files that came or went. Follows links.
    fn at(paths: &[PathBuf]) -> Self {
        let mut seen = Self { named: Vec::with_capacity(paths.len()), found: BTreeMap::new() };
        for path in paths {
            let metadata = std::fs::metadata(path).ok();
            let is_directory = metadata.as_ref().is_some_and(Metadata::is_dir);
            seen.named.push(metadata.and_then(stamp));
            let entries = if is_directory { std::fs::read_dir(path).ok() } else { None };
            for entry in entries.into_iter().flatten().flatten() {
                let path = entry.path();
                let metadata = std::fs::metadata(&path).ok();
                if !metadata.as_ref().is_some_and(Metadata::is_dir) {
                    seen.found.insert(path, metadata.and_then(stamp));
                }
            }
        }
        seen
    }

    /// Everything that was looked at.
    fn all<'g>(&'g self, paths: &'g [PathBuf]) -> impl Iterator<Item = &'g PathBuf> {
        paths.iter().chain(self.found.keys())
    }

    /// What is not as it was.
    fn differing<'g>(&'g self, before: &'g Self, paths: &'g [PathBuf]) -> Vec<&'g PathBuf> {
        let named = paths.iter().enumerate().filter(|(at, _)| self.named.get(*at) != before.named.get(*at));
        let found = self.found.keys().filter(|path| self.found.get(*path) != before.found.get(*path));
        let gone = before.found.keys().filter(|path| !self.found.contains_key(*path));
        named.map(|(_, path)| path).chain(found).chain(gone).collect()
    }
}

fn stamp(metadata: Metadata) -> Option<Stamp> {
    if metadata.is_dir() {
        return Some(None);
    }
    Some(Some((metadata.dev(), metadata.ino(), metadata.modified().ok()?, metadata.len())))
}

fn places<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> BTreeMap<PathBuf, PathBuf> {
    paths.filter_map(|path| Some((path.clone(), std::fs::canonicalize(path).ok()?))).collect()
}

impl Watch {
    /// Begins with the files as they are now.
    pub(super) fn begin(paths: &[PathBuf]) -> Self {
        let served = Glance::at(paths);
        Self { places: places(served.all(paths)), served, last: None, next: Instant::now() }
    }

    /// Begins as if nothing of them had been served.
    pub(super) fn forgetting(self) -> Self {
        Self { served: Glance::default(), places: BTreeMap::new(), ..self }
    }

    /// Whether it is time for another look.
    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Whether the files differ from what is served and are whole: read at the last look, they held the same, or a link
    /// was swapped.
    pub(super) fn settled_change(&mut self, paths: &[PathBuf]) -> bool {
        let begun = Instant::now();
        let now = Glance::at(paths);
        self.next = begun + begun.elapsed().min(Duration::from_secs(1)) * PART;
        if now == self.served {
            self.last = None;
            return false;
        }
        let all: Vec<PathBuf> = now.all(paths).cloned().collect();
        let read = (now.clone(), config::digest(&all));
        let settled = self.last.as_ref() == Some(&read) || self.is_swap(&now, paths);
        if settled {
            (self.places, self.served, self.last) = (places(all.iter()), now, None);
        } else {
            self.last = Some(read);
        }
        settled
    }

    /// Whether all that differs differs because a link leads elsewhere: what is there lies in another place than before,
    /// and what came or went did so with the directory that holds it.
    fn is_swap(&self, now: &Glance, paths: &[PathBuf]) -> bool {
        let differing = now.differing(&self.served, paths);
        let moved = |path: &Path| {
            let place = std::fs::canonicalize(path).ok();
            place.is_some() && self.places.get(path).is_some_and(|before| place.as_ref() != Some(before))
        };
        let with_its_directory = |path: &Path| {
            let came = path.exists() != self.places.contains_key(path);
            came && path.parent().is_some_and(moved)
        };
        !differing.is_empty() && differing.iter().all(|path| moved(path) || with_its_directory(path))
    }
}

#[cfg(test)]
mod tests {
    use super::Watch;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_counts_once_and_only_when_two_reads_agree() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_path_buf()];
        fs::write(directory.path().join("a.toml"), "1").unwrap();
        let mut watch = Watch::begin(&paths);
        assert!(!watch.settled_change(&paths));
        fs::write(directory.path().join("a.toml"), "22").unwrap();
        assert!(!watch.settled_change(&paths), "just written");
        fs::write(directory.path().join("b.toml"), "1").unwrap();
        assert!(!watch.settled_change(&paths), "still being written");
        assert!(watch.settled_change(&paths));
        assert!(!watch.settled_change(&paths), "served already");
    }

    #[test]
    fn what_changes_without_showing_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let (paths, file) = ([directory.path().to_path_buf()], directory.path().join("a.toml"));
        let at = std::time::SystemTime::UNIX_EPOCH;
        let write = |text: &str| {
            fs::write(&file, text).unwrap();
            fs::File::options().write(true).open(&file).unwrap().set_modified(at).unwrap();
        };
        fs::write(&file, "0").unwrap();
        let mut watch = Watch::begin(&paths);
        write("1");
        assert!(!watch.settled_change(&paths));
        write("2");
        assert!(!watch.settled_change(&paths), "as long and as old as a second ago, and not the same");
        assert!(watch.settled_change(&paths));
    }

    /// As Kubernetes mounts a volume: `policies/a.toml -> ..data/a.toml`, `..data -> version-1`.
    #[test]
    fn a_swapped_link_is_whole_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        for (version, text) in [("version-1", "1"), ("version-2", "2")] {
            fs::create_dir(place.join(version)).unwrap();
            fs::write(place.join(version).join("a.toml"), text).unwrap();
        }
        let swap = |to: &str| {
            symlink(to, place.join("new")).unwrap();
            fs::rename(place.join("new"), place.join("current")).unwrap();
        };
        swap("version-1");
        let paths = [place.join("current")];
        let mut watch = Watch::begin(&paths);
        swap("version-2");
        assert!(watch.settled_change(&paths));
        assert!(!watch.settled_change(&paths));
        fs::write(place.join("version-2/b.toml"), "half").unwrap();
        assert!(!watch.settled_change(&paths), "a file that came by itself is no swap");
        fs::remove_file(place.join("version-2/b.toml")).unwrap();
        swap("version-1");
        fs::write(place.join("version-1/b.toml"), "1").unwrap();
        assert!(watch.settled_change(&paths), "and it came with the link");
    }
}
