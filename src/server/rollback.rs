//! Going back to a version of the policy that was in force before.
//!
//! Only the policy files go back. Trust, revocation lists, issuers, upstreams and revocations stay as they are in force,
//! so nothing that is no longer trusted comes back; a version that names what is no longer defined is refused.

use std::mem::{replace, take};
use std::sync::Arc;

use super::build;
use super::reload::{Keeper, changes};
use crate::admin::{Reply, VersionNote, VersionsNote};
use crate::config::{Fault, History, Index, Kept};
use crate::policy::PolicyVersion;

impl Keeper {
    /// Keeps the version in force, so that a rollback can go back to it.
    pub(super) fn keep(&mut self, withdrawn: Option<&PolicyVersion>) -> std::io::Result<()> {
        let files = take(&mut self.loaded.policies);
        let Some(history) = self.history() else { return Ok(()) };
        let version = self.loaded.settings.policy.version();
        history.enter(version, &files, &self.loaded.on_disk, withdrawn, self.clock.now())?;
        self.overview.note_versions(note(history.index()?));
        Ok(())
    }

    /// Puts the version before the one in force back in force, or the one that is named.
    pub(super) fn rollback(&mut self, to: Option<&str>) -> Reply {
        let (done, message) = match self.go_back(to) {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        if done {
            tracing::warn!("{message}");
        } else {
            tracing::error!("no rollback: {message}");
        }
        Reply { done, message }
    }

    fn go_back(&mut self, to: Option<&str>) -> Result<String, String> {
        let history = self.history().ok_or("no versions are kept: the configuration names no `state` directory")?;
        let index = history.index().map_err(|error| format!("the kept versions cannot be read: {error}"))?;
        let from = self.loaded.settings.policy.version().clone();
        let target = target(&index, &from, to)?;
        let files = history.files(&target).map_err(|error| format!("version {target} cannot be read: {error}"))?;
        let (routes, policy) = self.loaded.with_policies(&files).map_err(|faults| {
            let faults: Vec<_> =
                faults.iter().filter(|fault| !fault.warning).map(|fault| fault.render(false)).collect();
            format!("version {target} does not fit the configuration in force\n{}", faults.join("\n"))
        })?;
        let (routes, policy) = (Arc::new(routes), Arc::new(policy));
        let settings = &mut self.loaded.settings;
        let changed = changes((&settings.routes, &settings.policy), (&routes, &policy));
        let replaced = (replace(&mut settings.routes, routes), replace(&mut settings.policy, policy));
        let before = self.overview.snapshot.load_full();
        match build::snapshot(settings, &self.common, &self.clock, Some(&before)) {
            Ok(snapshot) => self.overview.snapshot.store(Arc::new(snapshot)),
            Err(faults) => {
                (settings.routes, settings.policy) = replaced;
                return Err(faults.join("\n"));
            }
        }
        self.loaded.policies = files;
        self.watch_denials();
        let stays = match self.keep(Some(&from)) {
            Ok(()) if *self.loaded.settings.policy.version() == self.loaded.on_disk => {
                "the policy files say the same".into()
            }
            Ok(()) => format!("the policy files, version {}, are set aside until they change", self.loaded.on_disk),
            Err(error) => format!("until this process ends, for the state directory cannot be written: {error}"),
        };
        Ok(format!("policy {target} is in force again{changed}; {stays}"))
    }

    fn history(&self) -> Option<History> {
        Some(History::of(self.loaded.settings.state.as_ref()?, &self.loaded.directory))
    }
}

fn note(index: Index) -> VersionsNote {
    let kept = |Kept { version, since, withdrawn }| VersionNote { version, since, withdrawn };
    VersionsNote { kept: index.kept.into_iter().map(kept).collect(), set_aside: index.set_aside }
}

/// The version to go back to.
fn target(index: &Index, from: &PolicyVersion, to: Option<&str>) -> Result<String, String> {
    let listed = || {
        let kept = index.kept.iter().rev().map(|kept| format!("{} since {}", kept.version, kept.since));
        kept.collect::<Vec<_>>().join(", ")
    };
    match to {
        Some(to) if to == &**from.as_arc() => Err(format!("policy {to} is in force")),
        Some(to) if index.keeps(to) => Ok(to.to_owned()),
        Some(to) => Err(format!("version {to} is not kept; kept are {}", listed())),
        None => match index.previous(from) {
            Some(previous) => Ok(previous.version.clone()),
            None => Err(format!("there is no version before policy {from}; kept are {}", listed())),
        },
    }
}

/// The faults of a configuration for a log and a reply.
pub(super) fn shown(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| Fault::render(fault, false)).collect()
}
