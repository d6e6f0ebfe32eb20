//! When. A window includes its start and excludes its end, in a named zone with daylight saving (POLICY semantics 6).

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::policy::rules::Truth;

/// A question about the moment.
#[derive(Clone, Debug)]
pub struct TimeCriterion {
    /// The zone in which times of day and days are meant.
    pub zone: TimeZone,
    /// From the first time of day to the second; past midnight when the second is not later. `None` is the whole day.
    pub window: Option<(Time, Time)>,
    /// The days; with a window past midnight, the days on which it begins.
    pub days: Weekdays,
    /// Not before this moment.
    pub after: Option<Timestamp>,
    /// Before this moment.
    pub before: Option<Timestamp>,
}

/// A set of days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);
    /// No day.
    pub const NONE: Self = Self(0);

    /// With this day.
    #[must_use]
    pub fn with(self, day: Weekday) -> Self {
        Self(self.0 | 1 << day.to_monday_zero_offset())
    }

    /// Whether the day is in the set.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

impl Weekdays {
    /// Whether a day is in both sets.
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl TimeCriterion {
    pub(super) fn truth(&self, now: Timestamp) -> Truth {
        let after = self.after.is_none_or(|after| now >= after);
        let before = self.before.is_none_or(|before| now < before);
        (after && before && self.in_window(now)).into()
    }

    fn in_window(&self, now: Timestamp) -> bool {
        if self.window.is_none() && self.days == Weekdays::ALL {
            return true;
        }
        let local = self.zone.to_datetime(now);
        let (today, time) = (local.weekday(), local.time());
        match self.window {
            None => self.days.contains(today),
            Some((from, until)) if from < until => self.days.contains(today) && from <= time && time < until,
            Some((from, until)) => {
                (self.days.contains(today) && from <= time) || (self.days.contains(today.previous()) && time < until)
            }
        }
    }

    /// The first moment after `now` at which the answer may change: a bound, an edge of the window, midnight, or a change of
    /// the zone's clocks.
    pub(in crate::policy::rules) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let local = self.zone.to_datetime(now);
        let edges = self.window.map(|(from, until)| [from, until]).into_iter().flatten().chain([Time::midnight()]);
        let days = [Some(local.date()), local.date().tomorrow().ok()];
        let edges = edges.flat_map(|edge| days.into_iter().flatten().map(move |day| day.to_datetime(edge)));
        let daily = self.window.is_some() || self.days != Weekdays::ALL;
        let edges = edges.filter(|_| daily).filter_map(|edge| self.zone.to_timestamp(edge).ok());
        let clocks = self.zone.following(now).next().filter(|_| daily).map(|change| change.timestamp());
        edges.chain(clocks).chain(self.after).chain(self.before).filter(|change| *change > now).min()
    }

    pub(super) fn wanted(&self) -> String {
        let mut parts = Vec::new();
        if self.days != Weekdays::ALL {
            let days = Weekday::Monday.cycle_forward().take(7).filter(|day| self.days.contains(*day));
            parts.push(days.map(short).collect::<Vec<_>>().join(", "));
        }
        if let Some((from, until)) = self.window {
            let hm = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
            parts.push(format!("from {} until {}", hm(from), hm(until)));
        }
        if !parts.is_empty() {
            parts.push(format!("({})", self.zone.iana_name().unwrap_or("UTC")));
        }
        parts.extend(self.after.map(|after| format!("after {after}")));
        parts.extend(self.before.map(|before| format!("before {before}")));
        format!("time {}", parts.join(" "))
    }

    pub(super) fn seen(&self, now: Timestamp) -> String {
        let local: Zoned = now.to_zoned(self.zone.clone());
        format!("{} {}", short(local.weekday()), local.strftime("%Y-%m-%d %H:%M:%S %Z"))
    }
}

const fn short(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Weekday, time};
    use jiff::tz::TimeZone;

    use super::{TimeCriterion, Weekdays};
    use crate::policy::rules::Truth;

    fn holds(criterion: &TimeCriterion, at: &str) -> bool {
        criterion.truth(at.parse().unwrap()) == Truth::Holds
    }

    fn berlin(window: Option<(jiff::civil::Time, jiff::civil::Time)>, days: Weekdays) -> TimeCriterion {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        TimeCriterion { zone, window, days, after: None, before: None }
    }

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let office = berlin(Some((time(8, 0, 0, 0), time(18, 0, 0, 0))), Weekdays::ALL);
        assert!(holds(&office, "2026-01-15T08:00:00+01:00"));
        assert!(holds(&office, "2026-01-15T17:59:59.999+01:00"));
        assert!(!holds(&office, "2026-01-15T18:00:00+01:00"));
        assert!(!holds(&office, "2026-01-15T07:59:59.999+01:00"));
    }

    #[test]
    fn daylight_saving_moves_the_window_with_the_clocks() {
        let office = berlin(Some((time(8, 0, 0, 0), time(18, 0, 0, 0))), Weekdays::ALL);
        assert!(!holds(&office, "2026-01-15T06:30:00Z") && holds(&office, "2026-07-15T06:30:00Z"));
        // In the night of 2026-10-25 the hour from 02:00 to 03:00 happens twice: both times count.
        let night = berlin(Some((time(2, 0, 0, 0), time(3, 0, 0, 0))), Weekdays::ALL);
        assert!(holds(&night, "2026-10-25T00:30:00Z") && holds(&night, "2026-10-25T01:30:00Z"));
        // On 2026-03-29 it does not happen at all.
        assert!(!holds(&night, "2026-03-29T01:00:00Z") && !holds(&night, "2026-03-29T00:59:59Z"));
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_begins_on() {
        let friday = Weekdays::NONE.with(Weekday::Friday);
        let night = berlin(Some((time(22, 0, 0, 0), time(6, 0, 0, 0))), friday);
        assert!(holds(&night, "2026-01-16T23:00:00+01:00"), "Friday evening");
        assert!(holds(&night, "2026-01-17T05:59:00+01:00"), "Saturday morning");
        assert!(!holds(&night, "2026-01-16T05:00:00+01:00"), "Friday morning is Thursday's");
        assert!(!holds(&night, "2026-01-17T23:00:00+01:00"), "Saturday evening");
    }

    #[test]
    fn the_next_change_is_the_next_edge() {
        let office = berlin(Some((time(8, 0, 0, 0), time(18, 0, 0, 0))), Weekdays::ALL);
        let next = |at: &str| office.next_change(at.parse().unwrap()).unwrap().to_string();
        assert_eq!(next("2026-01-15T08:00:00+01:00"), "2026-01-15T17:00:00Z");
        assert_eq!(next("2026-01-15T18:00:00+01:00"), "2026-01-15T23:00:00Z");
        // The clocks change in the night of 2026-03-29, and eight o'clock comes an hour sooner.
        assert_eq!(next("2026-03-29T00:30:00+01:00"), "2026-03-29T01:00:00Z");
        assert_eq!(next("2026-03-29T04:00:00+02:00"), "2026-03-29T06:00:00Z");
    }

    #[test]
    fn moments_bound_a_rule_in_time() {
        let mut term = berlin(None, Weekdays::ALL);
        term.after = Some("2026-03-01T00:00:00Z".parse().unwrap());
        term.before = Some("2026-04-01T00:00:00Z".parse().unwrap());
        assert!(holds(&term, "2026-03-01T00:00:00Z") && !holds(&term, "2026-04-01T00:00:00Z"));
        assert!(!holds(&term, "2026-02-28T23:59:59Z"));
    }
}
