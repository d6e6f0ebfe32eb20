//! When so many subjects are refused that somebody should look: a rule that was changed may be wrong.
//!
//! In: how many different authenticated subjects asked within a window, and how many of them were refused. Out: whether
//! that is outside the stated bound. Whoever is not authenticated does not count, and who asks often counts once, so that
//! no flood drives it. The alarm tells; it changes nothing.

use std::time::{Duration, Instant};

use super::PolicyVersion;

/// The bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmSettings {
    /// The share of subjects, in percent, above which it is raised.
    pub refused_above: u8,
    /// With fewer subjects than this there is no saying.
    pub subjects: u32,
    /// For how long subjects are counted.
    pub window: Duration,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self { refused_above: 99, subjects: 20, window: Duration::from_secs(300) }
    }
}

/// Watches the share of one version of the policy.
#[derive(Debug)]
pub struct Alarm {
    settings: AlarmSettings,
    policy: PolicyVersion,
    began: Instant,
    raised: bool,
}

/// What a look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether the alarm was raised, or ended, by this look.
    pub turn: Option<Turn>,
    /// Whether the window is over, and counting begins anew.
    pub over: bool,
}

/// A change of the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The share is outside the bound.
    Raised,
    /// It was within the bound for a whole window.
    Ended,
}

impl Alarm {
    /// Begins to watch.
    pub const fn new(settings: AlarmSettings, policy: PolicyVersion, now: Instant) -> Self {
        Self { settings, policy, began: now, raised: false }
    }

    /// Whether it is raised.
    pub const fn is_raised(&self) -> bool {
        self.raised
    }

    /// Whether it watches this version with this bound.
    pub fn watches(&self, settings: &AlarmSettings, policy: &PolicyVersion) -> bool {
        self.settings == *settings && self.policy == *policy
    }

    /// The bound.
    pub const fn settings(&self) -> &AlarmSettings {
        &self.settings
    }

    /// Looks at what was counted in the window so far; `None` when there were too many to tell. Raised at once; ended only
    /// by a whole window with enough subjects and few refused ones: who was refused may have given up.
    pub fn look(&mut self, count: Option<(f64, f64)>, now: Instant) -> Look {
        let over = now.duration_since(self.began) >= self.settings.window;
        if over {
            self.began = now;
        }
        let enough = |asked: &f64| asked.round() >= f64::from(self.settings.subjects);
        let Some((asked, refused)) = count.filter(|(asked, _)| enough(asked)) else { return Look { turn: None, over } };
        let outside = refused * 100.0 > f64::from(self.settings.refused_above) * asked;
        let turn = match (self.raised, outside) {
            (false, true) => Some(Turn::Raised),
            (true, false) if over => Some(Turn::Ended),
            _ => None,
        };
        self.raised = match turn {
            Some(turn) => turn == Turn::Raised,
            None => self.raised,
        };
        Look { turn, over }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Alarm, AlarmSettings, PolicyVersion, Turn};

    #[test]
    fn it_is_raised_at_once_and_ends_after_a_good_window() {
        let began = Instant::now();
        let settings = AlarmSettings { refused_above: 20, subjects: 10, ..Default::default() };
        let mut alarm = Alarm::new(settings, PolicyVersion::new("a"), began);
        let mut look = |after: u64, count| alarm.look(count, began + Duration::from_secs(after));
        assert_eq!(look(1, Some((9.0, 9.0))).turn, None, "too few to say");
        assert_eq!(look(2, None).turn, None);
        assert_eq!(look(3, Some((10.0, 2.0))).turn, None, "the bound itself is within it");
        assert_eq!(look(4, Some((10.0, 3.0))).turn, Some(Turn::Raised));
        assert_eq!(look(5, Some((20.0, 19.0))).turn, None, "said already");
        assert_eq!(look(6, Some((30.0, 3.0))).turn, None, "the window is not over");
        let over = look(300, Some((9.0, 0.0)));
        assert!(over.over && over.turn.is_none(), "too few to say that it is well");
        assert_eq!(look(600, Some((30.0, 3.0))).turn, Some(Turn::Ended));
        assert!(!look(601, Some((1.0, 0.0))).over);
        assert!(
            alarm.watches(&settings, &PolicyVersion::new("a")) && !alarm.watches(&settings, &PolicyVersion::new("b"))
        );
    }
}
