//! `time = { .. }`: when a rule holds.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::super::fault::Located;
use super::super::reader::{Table, Value};
use super::names::Names;
use crate::policy::rules::criterion::{TimeCriterion, Weekdays};
use crate::policy::rules::{Condition, Criterion};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Reads the table; an empty one was reported already.
pub(super) fn read(table: &Table<'_>, _names: &Names<'_>) -> Vec<Condition> {
    let zone_value = table.get("zone");
    let zone = zone_value.and_then(|value| zone(&value));
    let from = table.get("from").map(|value| time_of_day(&value));
    let until = table.get("until").map(|value| time_of_day(&value));
    let days_value = table.get("days");
    let days = days_value.map_or(Weekdays::ALL, |value| days(&value));
    let after = table.get("after").and_then(|value| moment(&value));
    let before = table.get("before").and_then(|value| moment(&value));

    if (from.is_some() || until.is_some() || days_value.is_some()) && zone_value.is_none() {
        let hint = String::from("add zone = \"Europe/Berlin\", or \"UTC\"");
        table.faults().error(&table.at(), "a time of day means nothing without its zone", hint);
    }
    if from.is_some() != until.is_some() {
        table.faults().error(&table.at(), "`from` and `until` stand together", None);
    }
    let window = from.flatten().zip(until.flatten());
    if window.is_some_and(|(from, until)| from == until) {
        table.faults().error(&table.at(), "the window ends when it begins", None);
    }
    if let (Some(after), Some(before)) = (after, before)
        && before <= after
    {
        table.faults().error(&table.at(), "`before` is not later than `after`: this never holds", None);
    }
    let zone = zone.unwrap_or(TimeZone::UTC);
    vec![Condition::Is(Criterion::Time(Box::new(TimeCriterion { zone, window, days, after, before })))]
}

fn zone(value: &Value<'_>) -> Option<TimeZone> {
    let name = value.string()?;
    match TimeZone::get(&name) {
        Ok(zone) => Some(zone),
        Err(_) => {
            value.fault(
                format!("there is no time zone `{name}`"),
                String::from("write an IANA name: \"Europe/Berlin\""),
            );
            None
        }
    }
}

/// `"08:30"` or `"08:30:15"`; `"24:00"` is the end of the day, which is the midnight that begins the next.
fn time_of_day(value: &Value<'_>) -> Option<Time> {
    let text = value.string()?;
    let parsed = if text == "24:00" { Some(Time::midnight()) } else { parse_time(&text) };
    if parsed.is_none() {
        value.fault(format!("`{text}` is no time of day"), String::from("write \"08:30\""));
    }
    parsed
}

fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|c| c.is_ascii_digit());
        if digits { part.parse::<i8>().ok() } else { None }
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        None => 0,
        Some(second) => second?,
    };
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// `["mon-fri", "sun"]`.
fn days(value: &Value<'_>) -> Weekdays {
    let texts = if value.is_string() { value.located().into_iter().collect() } else { value.strings() };
    let mut days = Weekdays::NONE;
    for Located { value: text, at } in texts {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let named = |word: &str| DAYS.iter().find(|(name, _)| *name == word).map(|(_, day)| *day);
        let (Some(first), Some(last)) = (named(first), named(last)) else {
            let hint = String::from(
                "write \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\", or a range: \"mon-fri\"",
            );
            value.faults().error(&at, format!("`{text}` is no day of the week"), hint);
            continue;
        };
        for day in first.cycle_forward() {
            days = days.with(day);
            if day == last {
                break;
            }
        }
    }
    if days == Weekdays::NONE {
        value.fault("no day at all: this never holds", None);
    }
    days
}

/// A moment with its offset: `2026-03-01T00:00:00Z`, quoted or not.
fn moment(value: &Value<'_>) -> Option<Timestamp> {
    let text = value.json();
    let parsed = text.as_str().and_then(|text| text.parse().ok());
    if parsed.is_none() {
        let hint = String::from("write date, time and offset: 2026-03-01T00:00:00+01:00");
        value.fault(format!("{text} is no moment in time"), hint);
    }
    parsed
}
