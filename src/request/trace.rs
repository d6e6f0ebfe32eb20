//! Where a request stands in a distributed trace (W3C Trace Context, level 1).
//!
//! A well-formed `traceparent` is kept, with its `tracestate`; a malformed, repeated or missing one is replaced, and
//! then its `tracestate` goes too (section 4.3).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::id::{Hex, random_bytes};
use super::{Field, Fields};

/// The `traceparent` of one request, kept as its 55 characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    text: [u8; 55],
    kept: bool,
}

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// As much of `tracestate` as has to be carried (section 3.3.1.5); more is dropped.
const MOST_STATE: usize = 512;

impl TraceContext {
    /// Keeps the trace that the header fields state, or begins one.
    pub(super) fn of(headers: &HeaderMap, fields: Fields) -> Self {
        if !fields.has(Field::TraceParent) {
            return Self::begin();
        }
        let mut stated = headers.get_all(TRACEPARENT).iter();
        match (stated.next(), stated.next()) {
            (Some(only), None) => Self::parse(only.as_bytes()).unwrap_or_else(Self::begin),
            _ => Self::begin(),
        }
    }

    /// Reads a `traceparent` (section 3.2). A later version is read as far as version 00 goes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (fields, rest) = text.split_first_chunk::<55>()?;
        let [v0, v1, b'-', trace @ .., b'-', f0, f1] = fields else { return None };
        let (trace, parent) = trace.split_first_chunk::<32>()?;
        let [b'-', parent @ ..] = parent else { return None };
        let version = hex_byte(*v0, *v1)?;
        let continues = match rest.first() {
            None => true,
            Some(next) => version != 0 && *next == b'-',
        };
        let is_id = |id: &[u8]| id.iter().all(|d| hex_digit(*d).is_some()) && id.iter().any(|d| *d != b'0');
        hex_byte(*f0, *f1)?;
        if version == 0xff || !continues || !is_id(trace) || !is_id(parent) {
            return None;
        }
        let mut text = *fields;
        // Version 00, whichever version the client spoke (section 4.3).
        let [v0, v1, ..] = &mut text;
        (*v0, *v1) = (b'0', b'0');
        Some(Self { text, kept: true })
    }

    fn begin() -> Self {
        // One draw for both numbers.
        let Hex([trace @ .., p0, p1, p2, p3, p4, p5, p6, p7]) = Hex::<24>::of(random_bytes());
        let parent = [p0, p1, p2, p3, p4, p5, p6, p7];
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let [_, _, _, rest @ ..] = &mut text;
        if let Some((id, [_, rest @ ..])) = rest.split_first_chunk_mut::<32>()
            && let Some((parent_id, _)) = rest.split_first_chunk_mut::<16>()
        {
            id.copy_from_slice(trace.as_flattened());
            parent_id.copy_from_slice(parent.as_flattened());
        }
        Self { text, kept: false }
    }

    /// All of it, in version 00.
    pub fn as_str(&self) -> &str {
        // Digits and hyphens are text.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The trace, as 32 lower-case hexadecimal digits.
    pub fn trace_id(&self) -> &[u8] {
        self.text.get(3..35).unwrap_or_default()
    }

    /// The span that asks, as 16 lower-case hexadecimal digits.
    pub fn parent_id(&self) -> &str {
        self.as_str().get(36..52).unwrap_or_default()
    }

    /// The trace flags; bit 0 says that the caller records the trace.
    pub fn flags(&self) -> u8 {
        let [.., high, low] = self.text;
        hex_byte(high, low).unwrap_or(0)
    }

    /// Whether the client stated the trace, and it was not begun here.
    pub const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Makes the header fields say what this context says: one `traceparent`, at most one `tracestate`.
    pub(super) fn settle(&self, headers: &mut HeaderMap, fields: Fields) {
        let state = if self.kept && fields.has(Field::TraceState) { joined_state(headers) } else { None };
        if !self.kept || headers.get(TRACEPARENT).is_none_or(|stated| stated.len() != 55) {
            // Digits and hyphens always make a header value.
            if let Ok(value) = HeaderValue::from_bytes(&self.text) {
                headers.insert(TRACEPARENT, value);
            }
        }
        match state {
            Some(state) => drop(headers.insert(TRACESTATE, state)),
            None if fields.has(Field::TraceState) => drop(headers.remove(TRACESTATE)),
            None => {}
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Several `tracestate` fields are one list (section 3.3.1); one that is too long or not plain text is dropped.
fn joined_state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(TRACESTATE).iter();
    let first = fields.next()?;
    let mut joined = first.as_bytes().to_vec();
    for field in fields {
        joined.push(b',');
        joined.extend_from_slice(field.as_bytes());
    }
    let plain = joined.len() <= MOST_STATE && joined.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t');
    if plain { HeaderValue::try_from(joined).ok() } else { None }
}

/// Lower case only: the specification allows no other.
fn hex_byte(high: u8, low: u8) -> Option<u8> {
    Some(hex_digit(high)? << 4 | hex_digit(low)?)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
