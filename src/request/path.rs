//! The path of a request: passed on byte for byte, or refused (RFC 3986 sections 2.1, 3.3 and 6.2.2).
//!
//! Always refused, because servers disagree on what they mean: invalid percent-encoding, encoded controls, an encoded
//! backslash, text that is not UTF-8 once decoded, and text that decodes to another percent-encoding (a second decoding would read
//! something else), dot segments in every spelling and with parameters, raw backslash, `#`, controls, non-ASCII, and
//! characters that no URI has. An encoded slash, a semicolon and an empty segment are noted: a route may admit them by
//! name.

use std::borrow::Cow;
use std::fmt;

/// A path that has one meaning, verbatim.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalPath {
    text: Box<str>,
    forms: PathForms,
}

/// Forms that not every server reads alike: what a path holds, or what a route admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathForms {
    /// `%2F`: one segment that holds a slash, or two segments.
    pub encoded_slash: bool,
    /// `;` or `%3B`: a parameter, or a part of the name.
    pub semicolon: bool,
    /// `//`: a segment without a name, or one slash.
    pub empty_segments: bool,
}

impl PathForms {
    /// None of them.
    pub const NONE: Self = Self { encoded_slash: false, semicolon: false, empty_segments: false };

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self {
            encoded_slash: self.encoded_slash || others.encoded_slash,
            semicolon: self.semicolon || others.semicolon,
            empty_segments: self.empty_segments || others.empty_segments,
        }
    }

    /// Whether every form that `held` has is among these.
    pub const fn admit(self, held: Self) -> bool {
        (self.encoded_slash || !held.encoded_slash)
            && (self.semicolon || !held.semicolon)
            && (self.empty_segments || !held.empty_segments)
    }
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// A character that must not stand in a path unencoded: a backslash, `#`, a control, non-ASCII.
    #[error("the path holds a character that must be encoded")]
    Character,
    /// `.` or `..` in any spelling.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// `%5C`.
    #[error("the path holds an encoded backslash")]
    Backslash,
    /// `%00` to `%1F`, `%7F`.
    #[error("the path holds an encoded control character")]
    Control,
    /// Once decoded, it holds a percent-encoding: `%252e`, `%25%32%65`.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// `%` without two hexadecimal digits.
    #[error("the path holds an invalid percent-encoding")]
    PercentEncoding,
    /// Percent-encoded bytes that are not UTF-8.
    #[error("the path is not UTF-8 once decoded")]
    NotUtf8,
}

impl PathError {
    /// Whether the percent-encoding itself is at fault, and not what it says.
    pub const fn is_encoding(self) -> bool {
        matches!(self, Self::PercentEncoding | Self::DoubleEncoding | Self::NotUtf8)
    }
}

impl CanonicalPath {
    /// Reads a path, without query.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('/').ok_or(PathError::Relative)?;
        let mut forms = PathForms::NONE;
        let mut segments = rest.as_bytes().split(|byte| *byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            // An empty last segment is only the slash that the path ends with.
            forms.empty_segments |= segment.is_empty() && segments.peek().is_some();
            inspect_segment(segment, &mut forms)?;
        }
        Ok(Self { text: text.into(), forms })
    }

    /// The path, as it arrived and as it is forwarded.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a route must admit by name.
    pub const fn forms(&self) -> PathForms {
        self.forms
    }

    /// The segments after the first slash, each decoded once. A path that ends with a slash has an empty last one.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.text.split('/').skip(1).map(decode)
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

fn inspect_segment(segment: &[u8], forms: &mut PathForms) -> Result<(), PathError> {
    let mut bytes = segment.iter();
    let mut encoded = false;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => {
                encoded = true;
                let high = bytes.next().copied().and_then(hex_digit).ok_or(PathError::PercentEncoding)?;
                let low = bytes.next().copied().and_then(hex_digit).ok_or(PathError::PercentEncoding)?;
                match high << 4 | low {
                    0x00..0x20 | 0x7f => return Err(PathError::Control),
                    b'/' => forms.encoded_slash = true,
                    b';' => forms.semicolon = true,
                    b'\\' => return Err(PathError::Backslash),
                    _ => {}
                }
            }
            b';' => forms.semicolon = true,
            _ if is_path_character(byte) => {}
            _ => return Err(PathError::Character),
        }
    }
    if encoded { inspect_decoded(segment, forms) } else { refuse_dots(segment) }
}

/// An upstream that decodes before it splits sees the parts of an encoded slash as segments: they obey the same rules.
fn inspect_decoded(segment: &[u8], forms: &mut PathForms) -> Result<(), PathError> {
    let decoded = percent_encoding::percent_decode(segment).decode_utf8().map_err(|_| PathError::NotUtf8)?;
    // On the decoded text: the digits behind `%25` may be encoded, too (`%25%32%65` is `%2e` is `.`).
    if decoded.split('%').skip(1).any(|rest| starts_with_hex_pair(rest.as_bytes())) {
        return Err(PathError::DoubleEncoding);
    }
    if decoded.contains('/') {
        forms.empty_segments |= decoded.split('/').any(str::is_empty);
    }
    decoded.as_bytes().split(|byte| *byte == b'/').try_for_each(refuse_dots)
}

/// `..;x` is `..` to a server that knows path parameters.
fn refuse_dots(segment: &[u8]) -> Result<(), PathError> {
    match segment {
        [b'.'] | [b'.', b'.'] | [b'.', b';', ..] | [b'.', b'.', b';', ..] => Err(PathError::DotSegment),
        _ => Ok(()),
    }
}

/// RFC 3986 `pchar` without `%` and `;`, and what browsers leave as it is although it is none: `[`, `]`, `|`.
const fn is_path_character(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        | b'[' | b']' | b'|')
}

/// One segment decoded once. Only for segments that were inspected, so nothing is lost.
pub(crate) fn decode(segment: &str) -> Cow<'_, str> {
    if segment.bytes().any(|byte| byte == b'%') {
        percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
    } else {
        Cow::Borrowed(segment)
    }
}

fn starts_with_hex_pair(bytes: &[u8]) -> bool {
    matches!(bytes, [high, low, ..] if hex_digit(*high).is_some() && hex_digit(*low).is_some())
}

pub(super) const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
