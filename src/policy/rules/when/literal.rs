//! Quoted literals: strings and bytes, raw or with escapes, in one or three quotes.

use super::error::CompileError;
use super::syntax::Span;

/// A string or bytes.
pub(super) enum Quoted {
    Text(Box<str>),
    Bytes(Box<[u8]>),
}

/// The quoted literal that `rest` starts with and its length, or `None` when it starts with something else.
pub(super) fn quoted(rest: &str, at: usize) -> Option<Result<(Quoted, usize), CompileError>> {
    let letters = rest.find(|c: char| !matches!(c, 'r' | 'R' | 'b' | 'B')).filter(|count| *count <= 2)?;
    let (prefix, body) = rest.split_at_checked(letters)?;
    let raw = prefix.contains(['r', 'R']);
    let bytes = prefix.contains(['b', 'B']);
    if prefix.len() != usize::from(raw) + usize::from(bytes) {
        return None;
    }
    let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| body.starts_with(quote))?;
    Some(
        read(body.get(quote.len()..).unwrap_or_default(), quote, raw, bytes, at + letters + quote.len())
            .map(|(literal, length)| (literal, letters + quote.len() + length)),
    )
}

/// Reads up to and with the closing quote; gives the bytes taken. `at` is where `body` stands in the source.
fn read(body: &str, quote: &str, raw: bool, bytes: bool, at: usize) -> Result<(Quoted, usize), CompileError> {
    let mut out = Vec::new();
    let mut place = 0;
    loop {
        let rest = body.get(place..).unwrap_or_default();
        let wrong =
            |length: usize, message: &str| Err(CompileError::new(Span::new(at + place, at + place + length), message));
        if rest.starts_with(quote) {
            let literal = if bytes {
                Quoted::Bytes(out.into())
            } else {
                // Escapes of a string are whole code points, so the bytes are UTF-8.
                Quoted::Text(String::from_utf8_lossy(&out).into())
            };
            return Ok((literal, place + quote.len()));
        }
        let Some(first) = rest.chars().next() else {
            return wrong(0, "the closing quote is missing");
        };
        if quote.len() == 1 && matches!(first, '\n' | '\r') {
            return wrong(1, "a line ends inside quotes; write \\n, or use three quotes");
        }
        if first == '\\' && !raw {
            let Some((value, length)) = escape(rest.get(1..).unwrap_or_default(), bytes) else {
                return wrong(2.min(rest.len()), "this is no escape sequence");
            };
            out.extend(value);
            place += 1 + length;
        } else {
            let length = first.len_utf8();
            out.extend(rest.get(..length).unwrap_or_default().as_bytes());
            place += length;
        }
    }
}

/// What stands after a backslash: its value as bytes, and how many bytes of text it takes.
fn escape(rest: &str, bytes: bool) -> Option<(Vec<u8>, usize)> {
    let first = rest.chars().next()?;
    let numeric = |from: usize, count: usize, radix: u32| {
        let digits = rest.get(from..from + count)?;
        let known = digits.chars().all(|c| c.is_digit(radix));
        let value = u32::from_str_radix(digits, radix).ok().filter(|_| known)?;
        Some((encoded(value, bytes)?, from + count))
    };
    let plain = |value: u8| Some((vec![value], 1));
    match first {
        'a' => plain(7),
        'b' => plain(8),
        'f' => plain(12),
        'n' => plain(b'\n'),
        'r' => plain(b'\r'),
        't' => plain(b'\t'),
        'v' => plain(11),
        '\\' | '?' | '"' | '\'' | '`' => plain(u8::try_from(first).ok()?),
        'x' | 'X' => numeric(1, 2, 16),
        'u' if !bytes => numeric(1, 4, 16),
        'U' if !bytes => numeric(1, 8, 16),
        '0'..='3' => numeric(0, 3, 8),
        _ => None,
    }
}

/// A number from an escape: a byte in bytes, a code point in a string.
fn encoded(value: u32, bytes: bool) -> Option<Vec<u8>> {
    if bytes {
        return Some(vec![u8::try_from(value).ok()?]);
    }
    Some(char::from_u32(value)?.to_string().into_bytes())
}
