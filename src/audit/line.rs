//! One JSON object on a line (RFC 8259), member by member into the worker's lane.
//!
//! A record is written for every request, and a general serializer spends more on it than the whole decision costs: it
//! looks at each byte of the member names, too. Here names are constants, values are looked at once, and what has to be
//! escaped, which is rare, is left to `serde_json`.

use std::cell::Cell;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::request::AddressText;

/// A JSON object in the making; [`Line::end`] closes it.
pub(super) struct Line<'a> {
    bytes: &'a mut Vec<u8>,
}

/// A member's name with its quotes and colon, and the comma before it but for the first. Of a string (`text`) with the
/// quote that opens it.
macro_rules! member {
    (first text $name:literal) => {
        concat!("{\"", $name, "\":\"")
    };
    (text $name:literal) => {
        concat!(",\"", $name, "\":\"")
    };
    (first $name:literal) => {
        concat!("{\"", $name, "\":")
    };
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use member;

/// Members that many lines have alike, each with the comma before it.
pub(super) fn members(write: impl FnOnce(&mut Line<'_>)) -> Box<str> {
    let mut bytes = Vec::new();
    write(&mut Line { bytes: &mut bytes });
    // JSON is text.
    String::from_utf8(bytes).unwrap_or_default().into()
}

impl<'a> Line<'a> {
    /// Begins behind what is in `bytes` already.
    pub(super) fn begin(bytes: &'a mut Vec<u8>) -> Self {
        bytes.reserve(1024);
        Self { bytes }
    }

    /// Closes the object and the line.
    pub(super) fn end(self) {
        self.bytes.extend_from_slice(b"}\n");
    }

    /// JSON as it stands.
    pub(super) fn raw(&mut self, json: &str) -> &mut Self {
        self.bytes.extend_from_slice(json.as_bytes());
        self
    }

    /// A string of which nothing has to be escaped: a word of ours, digits.
    pub(super) fn word(&mut self, member: &str, value: &[u8]) -> &mut Self {
        self.raw(member);
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'"');
        self
    }

    /// A string.
    pub(super) fn text(&mut self, member: &str, value: &str) -> &mut Self {
        if is_plain(value.as_bytes()) {
            return self.word(member, value.as_bytes());
        }
        self.raw(member);
        // What escapes a text also quotes it.
        self.bytes.pop();
        if serde_json::to_writer(&mut *self.bytes, value).is_err() {
            // Unreachable: a text can always be written into memory.
            self.raw("null");
        }
        self
    }

    /// A string or `null`.
    pub(super) fn text_or_null(&mut self, member: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(member, value),
            None => self.null(member),
        }
    }

    /// `null`, where a string could be.
    pub(super) fn null(&mut self, member: &str) -> &mut Self {
        self.raw(member.strip_suffix('"').unwrap_or(member)).raw("null")
    }

    /// A string, or no member at all.
    pub(super) fn text_if(&mut self, member: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(member, value),
            None => self,
        }
    }

    /// A number.
    pub(super) fn number(&mut self, member: &str, value: u64) -> &mut Self {
        self.raw(member).digits(value, 1)
    }

    /// A number, or no member at all.
    pub(super) fn number_if(&mut self, member: &str, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.number(member, value),
            None => self,
        }
    }

    /// A number as a string of hexadecimal digits.
    pub(super) fn hex(&mut self, member: &str, value: u64) -> &mut Self {
        self.raw(member).shown(format_args!("{value:x}")).raw("\"")
    }

    /// A moment in UTC, to the microsecond (RFC 3339).
    pub(super) fn time(&mut self, member: &str, at: Timestamp, seconds: &Seconds) -> &mut Self {
        let at = at.as_microsecond();
        self.raw(member);
        self.bytes.extend_from_slice(&seconds.text(at.div_euclid(1_000_000)));
        self.digits(at.rem_euclid(1_000_000).unsigned_abs(), 6).raw("Z\"")
    }

    /// The address of a socket.
    pub(super) fn socket(&mut self, member: &str, address: SocketAddr) -> &mut Self {
        self.raw(member).shown(address).raw("\"")
    }

    /// An IP address or `null`.
    pub(super) fn address(&mut self, member: &str, address: Option<IpAddr>) -> &mut Self {
        match address {
            None => self.null(member),
            Some(address) => self.word(member, AddressText::of(address).as_bytes()),
        }
    }

    /// What shows itself in characters that need no escape.
    fn shown(&mut self, value: impl std::fmt::Display) -> &mut Self {
        // Memory takes whatever is written.
        let _ = write!(self.bytes, "{value}");
        self
    }

    /// A number in decimal digits, filled with zeros up to `least`.
    fn digits(&mut self, mut value: u64, least: usize) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut length = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
            length += 1;
            if value == 0 {
                break;
            }
        }
        let from = digits.len() - length.max(least).min(digits.len());
        self.bytes.extend_from_slice(digits.get(from..).unwrap_or_default());
        self
    }
}

/// The text of a moment up to its second and the dot behind it, kept for all lines of the same second.
#[derive(Debug)]
pub(super) struct Seconds(Cell<(i64, [u8; 20])>);

impl Default for Seconds {
    fn default() -> Self {
        Self(Cell::new((0, *b"1970-01-01T00:00:00.")))
    }
}

impl Seconds {
    fn text(&self, second: i64) -> [u8; 20] {
        let (known, text) = self.0.get();
        if known == second {
            return text;
        }
        let text = written(second);
        self.0.set((second, text));
        text
    }
}

fn written(second: i64) -> [u8; 20] {
    // Every second of a moment is a moment.
    let utc = Offset::UTC.to_datetime(Timestamp::from_second(second).unwrap_or_default());
    let (date, time) = (utc.date(), utc.time());
    let mut text = *b"0000-00-00T00:00:00.";
    let mut write = |last: usize, digits: usize, value: u16| {
        let mut value = value;
        for place in text.iter_mut().take(last + 1).rev().take(digits) {
            *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    };
    write(3, 4, utc.year().unsigned_abs());
    for (last, value) in
        [(6, date.month()), (9, date.day()), (12, time.hour()), (15, time.minute()), (18, time.second())]
    {
        write(last, 2, value.unsigned_abs().into());
    }
    text
}

/// Whether no byte has to be escaped: controls, `"`, `\`. Eight bytes are looked at in one step, since values are short.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word & HIGH;
    let found = |chunk: [u8; 8]| {
        let word = u64::from_ne_bytes(chunk);
        let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        below(word, b' ') | equals(b'"') | equals(b'\\')
    };
    let (chunks, rest) = text.as_chunks::<8>();
    let mut last = [b'a'; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    chunks.iter().fold(found(last), |all, chunk| all | found(*chunk)) == 0
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Line, Seconds};

    fn line(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut bytes = b"before\n".to_vec();
        let mut line = Line::begin(&mut bytes);
        write(&mut line);
        line.end();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        for text in ["", "plain", "quo\"te", "back\\slash", "new\nline", "nul\0", "\u{7f}", "päth ☃", "</script>"] {
            let written = line(|line| {
                line.text(member!(first text "a"), text);
            });
            let read: serde_json::Value = serde_json::from_str(written.strip_prefix("before\n").unwrap()).unwrap();
            assert_eq!(read["a"], text);
        }
        for number in [0, 7, 10, 99, 100, 1_000_000, u64::MAX] {
            let written = line(|line| {
                line.number(member!(first "n"), number);
            });
            assert_eq!(written, format!("before\n{{\"n\":{number}}}\n"));
        }
        for address in ["127.0.0.1:80", "10.200.0.99:65535", "[::1]:443", "[2001:db8::1%3]:1"] {
            let parsed: std::net::SocketAddr = address.parse().unwrap();
            let written = line(|line| {
                line.socket(member!(first text "s"), parsed).address(member!(text "i"), Some(parsed.ip()));
            });
            assert_eq!(written, format!("before\n{{\"s\":\"{parsed}\",\"i\":\"{}\"}}\n", parsed.ip()));
        }
    }

    #[test]
    fn every_byte_that_needs_an_escape_is_seen_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let needs = byte < b' ' || byte == b'"' || byte == b'\\';
            for (length, at) in [(1, 0), (7, 6), (8, 0), (8, 7), (9, 8), (17, 3), (17, 16)] {
                for around in [b'a', 0xff, 0x80, b' ', b'!'] {
                    let mut text = vec![around; length];
                    text[at] = byte;
                    assert_eq!(super::is_plain(&text), !needs, "{byte:#x} at {at} of {length} between {around:#x}");
                }
            }
        }
    }

    #[test]
    fn a_moment_is_written_to_the_microsecond() {
        let seconds = Seconds::default();
        for (at, expected) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
            ("2026-11-26T09:08:07.000001999Z", "2026-11-26T09:08:07.000001Z"),
            ("2028-02-29T23:59:59.999999999Z", "2028-02-29T23:59:59.999999Z"),
            ("2028-02-29T23:59:59.5Z", "2028-02-29T23:59:59.500000Z"),
            ("2028-03-01T00:00:00Z", "2028-03-01T00:00:00.000000Z"),
            ("1969-12-31T23:59:58.25Z", "1969-12-31T23:59:58.250000Z"),
        ] {
            let at: Timestamp = at.parse().unwrap();
            let written = line(|line| {
                line.time(member!(first text "t"), at, &seconds);
            });
            assert_eq!(written, format!("before\n{{\"t\":\"{expected}\"}}\n"));
        }
    }

    #[test]
    fn what_is_not_there_is_null_or_left_out() {
        let written = line(|line| {
            line.text_or_null(member!(first text "a"), None).text_if(member!(text "b"), None);
            line.number_if(member!("c"), None).text_if(member!(text "d"), Some("x"));
            line.number_if(member!("e"), Some(1)).address(member!(text "f"), None);
        });
        assert_eq!(written, "before\n{\"a\":null,\"d\":\"x\",\"e\":1,\"f\":null}\n");
    }
}
