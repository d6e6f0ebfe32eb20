//! The versions of the policy that were in force, kept by the hash of their content: what `portcullis rollback` goes back
//! to.
//!
//! In: the policy files of a version that came into force. Out: the same files, checked against their hash. They lie in
//! the state directory, a file for each version and an index; other configuration directories that share it have their
//! own.
//!
//! A version is the policy files and nothing else. Trust bundles, revocation lists, issuers, upstreams, keys and
//! revocations are never kept, so that going back to a version cannot bring back what is no longer trusted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::Source;
use super::policies::version;
use crate::policy::PolicyVersion;
use crate::state::StateDirectory;

/// The most versions that are kept, the one in force among them.
const MOST: usize = 10;
/// The largest index and the largest version that are read, in bytes.
const LARGEST_INDEX: u64 = 64 * 1024;
const LARGEST_VERSION: u64 = 256 * 1024 * 1024;

/// The versions of one configuration directory.
#[derive(Clone, Debug)]
pub struct History {
    state: StateDirectory,
    prefix: String,
}

/// Which versions are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// In the order in which they came into force, the one in force last.
    pub kept: Vec<Kept>,
    /// The version of the policy files on disk, when another one was put in force in its place by a rollback.
    pub set_aside: Option<String>,
}

/// A version that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The version, as records name it.
    pub version: String,
    /// When it last came into force.
    pub since: Timestamp,
    /// Whether a rollback took it out of force: another rollback goes past it.
    pub withdrawn: bool,
}

/// A version's files, by their names.
#[derive(Serialize, Deserialize)]
struct Files(Vec<(PathBuf, String)>);

impl History {
    /// The versions of the configuration in `directory`.
    pub fn of(state: &StateDirectory, directory: &Path) -> Self {
        let place = std::path::absolute(directory).unwrap_or_else(|_| directory.to_path_buf());
        let hash = digest(&SHA256, place.as_os_str().as_encoded_bytes());
        let digits: String = hash.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { state: state.clone(), prefix: format!("policy-{digits}") }
    }

    /// Which versions are kept.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn index(&self) -> io::Result<Index> {
        match self.state.read(&self.index_name(), 0, LARGEST_INDEX)? {
            None => Ok(Index::default()),
            Some((bytes, _)) => Ok(serde_json::from_slice(&bytes)?),
        }
    }

    /// The policy files of a version.
    ///
    /// # Errors
    /// When they are not there, cannot be read, or are not what the version's hash says.
    pub fn files(&self, wanted: &str) -> io::Result<Vec<Arc<Source>>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("version {wanted} is not kept"));
        let name = self.version_name(wanted);
        let (bytes, _) = self.state.read(&name, 0, LARGEST_VERSION)?.ok_or_else(missing)?;
        let Files(files) = serde_json::from_slice(&bytes)?;
        let place = self.state.path().join(name);
        let sources: Vec<_> =
            files.into_iter().map(|(name, text)| Arc::new(Source::new(place.join(name), text))).collect();
        if version(&sources).to_string() == wanted {
            return Ok(sources);
        }
        let message = format!("what is kept as version {wanted} is not that version");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// Notes that a version came into force, while the policy files on disk are those of `on_disk`, and keeps its files.
    /// `withdrawn`: the version that a rollback takes out of force.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(
        &self,
        entering: &PolicyVersion,
        files: &[Arc<Source>],
        on_disk: &PolicyVersion,
        withdrawn: Option<&PolicyVersion>,
        now: Timestamp,
    ) -> io::Result<()> {
        let held = self.state.hold()?;
        let before = self.index()?;
        let (after, gone) = before.entering(&entering.to_string(), &on_disk.to_string(), withdrawn, now);
        if after == before {
            return Ok(());
        }
        let name = self.version_name(&entering.to_string());
        if !self.state.path().join(&name).exists() {
            let named = |file: &Arc<Source>| Some((file.path.file_name()?.into(), file.text.clone()));
            held.replace(&name, &serde_json::to_vec(&Files(files.iter().filter_map(named).collect()))?)?;
        }
        held.replace(&self.index_name(), &serde_json::to_vec(&after)?)?;
        gone.iter().try_for_each(|version| held.remove(&self.version_name(version)))
    }

    fn index_name(&self) -> String {
        format!("{}.json", self.prefix)
    }

    fn version_name(&self, version: &str) -> String {
        format!("{}-{version}", self.prefix)
    }
}

impl Index {
    /// What a rollback goes back to: the last version before `in_force`, past those that a rollback took out of force.
    pub fn previous(&self, in_force: &PolicyVersion) -> Option<&Kept> {
        self.kept.iter().rev().find(|kept| !kept.withdrawn && *kept.version != **in_force.as_arc())
    }

    /// Whether a version is kept.
    pub fn keeps(&self, version: &str) -> bool {
        self.kept.iter().any(|kept| kept.version == version)
    }

    /// The index after a version came into force, and the versions that are kept no longer.
    fn entering(
        &self,
        version: &str,
        on_disk: &str,
        withdrawn: Option<&PolicyVersion>,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let mut after = self.clone();
        after.set_aside = (version != on_disk).then(|| on_disk.to_owned());
        let in_force = after.kept.last().is_some_and(|last| last.version == version && !last.withdrawn);
        if !in_force {
            for kept in &mut after.kept {
                kept.withdrawn |= withdrawn.is_some_and(|withdrawn| **withdrawn.as_arc() == *kept.version);
            }
            after.kept.retain(|kept| kept.version != version);
            after.kept.push(Kept { version: version.to_owned(), since: now, withdrawn: false });
        }
        let gone = after.kept.drain(..after.kept.len().saturating_sub(MOST)).map(|kept| kept.version).collect();
        (after, gone)
    }
}

#[cfg(test)]
mod tests;
