//! Moments and durations as CEL defines them: years 1 to 9999, and 64 bits of nanoseconds.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::Fault;

const NANOS: i64 = 1_000_000_000;
/// The first second of year 1, from the start of 1970.
const FIRST: i64 = -62_135_596_800;
/// The last second of year 9999.
const LAST: i64 = 253_402_300_799;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A moment: seconds since 1970, and nanoseconds after that second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanos: i64,
}

/// A duration in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Duration(pub(super) i64);

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Self {
        let nanos = i64::from(timestamp.subsec_nanosecond());
        // Before 1970 the parts of a timestamp are both negative.
        if nanos < 0 {
            return Self { seconds: timestamp.as_second() - 1, nanos: nanos + NANOS };
        }
        Self { seconds: timestamp.as_second(), nanos }
    }
}

impl Moment {
    pub(super) fn new(seconds: i64, nanos: i64) -> Result<Self, Fault> {
        if (FIRST..=LAST).contains(&seconds) { Ok(Self { seconds, nanos }) } else { Err(Fault::TimeRange) }
    }

    pub(super) const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Parses the form of RFC 3339 section 5.6.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_at_checked(10)?;
        let mut parts = date.splitn(3, '-');
        let mut part = |length: usize| parts.next().and_then(|digits| digits_of(digits, length));
        let date = Date::new(i16::try_from(part(4)?).ok()?, i8::try_from(part(2)?).ok()?, i8::try_from(part(2)?).ok()?);
        let time = time.strip_prefix(['T', 't'])?;
        let zone = time.find(['Z', 'z', '+', '-'])?;
        let (time, zone) = time.split_at_checked(zone)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let mut parts = time.splitn(3, ':');
        let mut part = |most: i64| parts.next().and_then(|digits| digits_of(digits, 2)).filter(|value| *value <= most);
        let (hour, minute, second) = (part(23)?, part(59)?, part(59)?);
        if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
        let offset = if matches!(zone, "Z" | "z") { 0 } else { offset(zone).filter(|_| zone.len() == 6)? };
        let days = date.ok()?.at(0, 0, 0, 0).duration_since(EPOCH).as_secs();
        Self::new(days + hour * 3600 + minute * 60 + second - i64::from(offset), nanos).ok()
    }

    pub(super) fn plus(self, span: Duration) -> Result<Self, Fault> {
        let nanos = self.nanos + span.0.rem_euclid(NANOS);
        Self::new(self.seconds + span.0.div_euclid(NANOS) + nanos / NANOS, nanos % NANOS)
    }

    pub(super) fn minus(self, span: Duration) -> Result<Self, Fault> {
        self.plus(Duration(span.0.checked_neg().ok_or(Fault::TimeRange)?))
    }

    /// How much later `self` is than `other`.
    pub(super) fn since(self, other: Self) -> Result<Duration, Fault> {
        let seconds = (self.seconds - other.seconds).checked_mul(NANOS).ok_or(Fault::TimeRange)?;
        seconds.checked_add(self.nanos - other.nanos).map(Duration).ok_or(Fault::TimeRange)
    }

    /// The clock on the wall in `zone`.
    pub(super) fn civil(self, zone: &Zone) -> Result<DateTime, Fault> {
        let offset = match zone {
            Zone::Offset(seconds) => *seconds,
            Zone::Named(zone) => {
                // The last hours of 9999 are beyond what the library calls a timestamp; its rules do not change there.
                let near = self.seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
                zone.to_offset(Timestamp::from_second(near).map_err(|_| Fault::TimeRange)?).seconds()
            }
        };
        let nanos = i32::try_from(self.nanos).map_err(|_| Fault::TimeRange)?;
        let since = SignedDuration::new(self.seconds + i64::from(offset), nanos);
        EPOCH.checked_add(since).map_err(|_| Fault::TimeRange)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.civil(&Zone::UTC).map_err(|_| fmt::Error)?;
        write!(f, "{:04}-{:02}-{:02}T", civil.year(), civil.month(), civil.day())?;
        write!(f, "{:02}:{:02}:{:02}{}Z", civil.hour(), civil.minute(), civil.second(), fraction(self.nanos))
    }
}

/// A time zone: an offset from UTC in seconds, or one with a name and a history.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    Offset(i32),
    Named(TimeZone),
}

impl Zone {
    pub(super) const UTC: Self = Self::Offset(0);

    /// `+02:00`, `-02:30`, `02:00`, or a name of the IANA database.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text == "UTC" {
            return Some(Self::UTC);
        }
        if text.starts_with(['+', '-']) || text.starts_with(|c: char| c.is_ascii_digit()) {
            return offset(text).map(Self::Offset);
        }
        TimeZone::get(text).ok().map(Self::Named)
    }
}

/// `+HH:MM`, `-HH:MM` or `HH:MM` in seconds.
fn offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let hours = digits_of(hours, 2).filter(|hours| *hours <= 23)?;
    let minutes = digits_of(minutes, 2).filter(|minutes| *minutes <= 59)?;
    i32::try_from(sign * (hours * 3600 + minutes * 60)).ok()
}

/// Exactly `length` digits.
fn digits_of(text: &str, length: usize) -> Option<i64> {
    let plain = text.len() == length && text.bytes().all(|c| c.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `.5` for half a second, nothing for none.
fn fraction(nanos: i64) -> String {
    if nanos == 0 {
        return String::new();
    }
    format!(".{nanos:09}").trim_end_matches('0').to_owned()
}

impl Duration {
    /// Parses `1h30m`, `-1.5s`, `250ms`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        const UNITS: [(&str, i128); 8] = [
            ("h", 3_600_000_000_000),
            ("ms", 1_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("us", 1_000),
            ("\u{b5}s", 1_000),
            ("\u{3bc}s", 1_000),
            ("ns", 1),
        ];
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        let mut total: i128 = 0;
        loop {
            let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Fault::Conversion)?;
            let (number, tail) = rest.split_at_checked(length).ok_or(Fault::Conversion)?;
            let (unit, size) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or(Fault::Conversion)?;
            let (whole, part) = number.split_once('.').unwrap_or((number, ""));
            if (whole.is_empty() && part.is_empty()) || whole.len() > 18 || part.len() > 18 || part.contains('.') {
                return Err(Fault::Conversion);
            }
            let value = |digits: &str| {
                if digits.is_empty() { Ok(0_i128) } else { digits.parse().map_err(|_| Fault::Conversion) }
            };
            total += value(whole)? * size;
            total += value(part)? * size / 10_i128.pow(u32::try_from(part.len()).map_err(|_| Fault::Conversion)?);
            rest = tail.get(unit.len()..).unwrap_or_default();
            if rest.is_empty() {
                let total = if negative { -total } else { total };
                return i64::try_from(total).map(Self).map_err(|_| Fault::TimeRange);
            }
        }
    }

    pub(super) fn plus(self, other: Self) -> Result<Self, Fault> {
        self.0.checked_add(other.0).map(Self).ok_or(Fault::TimeRange)
    }

    pub(super) fn minus(self, other: Self) -> Result<Self, Fault> {
        self.0.checked_sub(other.0).map(Self).ok_or(Fault::TimeRange)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = i128::from(self.0).abs();
        let (seconds, nanos) = (magnitude / i128::from(NANOS), magnitude % i128::from(NANOS));
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{seconds}{}s", fraction(i64::try_from(nanos).unwrap_or(0)))
    }
}
