//! Looks once a second at how many subjects are refused, and tells when they are too many. It changes nothing: a flood of
//! refusals must not be able to drive the policy.

use std::time::Instant;

use super::reload::Keeper;
use crate::admin::DenialNote;
use crate::config::Loaded;
use crate::policy::alarm::{Alarm, Turn};
use crate::telemetry::SubjectCount;

impl Keeper {
    /// Begins to count anew when another policy, or another bound, came into force.
    pub(super) fn watch_denials(&mut self) {
        let (settings, policy) = (&self.loaded.settings.alarm, self.loaded.settings.policy.version());
        if let (Some(alarm), Some(settings)) = (&self.alarm, settings)
            && alarm.watches(settings, policy)
        {
            return;
        }
        self.forget_subjects();
        self.alarm = alarm_of(&self.loaded);
        self.overview.note_denials(None);
    }

    /// Looks at what was counted.
    pub(super) fn look_at_denials(&mut self) {
        let count = SubjectCount::of(self.overview.meters.iter().map(|meters| &meters.subjects));
        let Some(alarm) = &mut self.alarm else { return };
        let look = alarm.look(count.map(|count| (count.asked, count.refused)), Instant::now());
        let bound = alarm.settings().refused_above;
        let note = DenialNote::new(count, bound, alarm.is_raised());
        match look.turn {
            Some(Turn::Raised) => {
                let policy = self.loaded.settings.policy.version();
                let place =
                    std::path::absolute(&self.loaded.directory).unwrap_or_else(|_| self.loaded.directory.clone());
                tracing::error!(
                    subjects = note.subjects, refused = note.refused, bound_percent = bound, %policy,
                    "more subjects are refused than policy.alarm allows; nothing changes by itself. To go back: portcullis \
                     rollback --config {}", place.display()
                );
            }
            Some(Turn::Ended) => tracing::info!("the share of subjects that are refused is within policy.alarm again"),
            None => {}
        }
        self.overview.note_denials(Some(note));
        if look.over {
            self.forget_subjects();
        }
    }

    fn forget_subjects(&self) {
        self.overview.meters.iter().for_each(|meters| meters.subjects.forget());
    }
}

/// The alarm of a configuration, from now on.
pub(super) fn alarm_of(loaded: &Loaded) -> Option<Alarm> {
    let (alarm, policy) = (loaded.settings.alarm.as_ref(), loaded.settings.policy.version());
    alarm.map(|alarm| Alarm::new(*alarm, policy.clone(), Instant::now()))
}
