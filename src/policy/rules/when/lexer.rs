//! Text to tokens (CEL specification, section "Syntax").

use super::error::CompileError;
use super::literal;
use super::syntax::Span;

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// An identifier or a keyword.
    Word(Box<str>),
    /// Without sign: `-` is a token of its own.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not `<`.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

/// The tokens of `source`, ended by [`Kind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, CompileError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = after_blanks(source, &mut at);
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { span: Span::new(at, at), kind: Kind::End });
            return Ok(tokens);
        };
        let (kind, length) = one(rest, first, at)?;
        tokens.push(Token { span: Span::new(at, at + length), kind });
        at += length;
    }
}

/// Skips white space and `//` comments.
fn after_blanks<'s>(source: &'s str, at: &mut usize) -> &'s str {
    loop {
        let rest = source.get(*at..).unwrap_or_default();
        let blank = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{c}']).len()
        };
        if blank == 0 {
            return rest;
        }
        *at += blank;
    }
}

/// The token that `rest` starts with, and its length in bytes.
fn one(rest: &str, first: char, at: usize) -> Result<(Kind, usize), CompileError> {
    if let Some(quoted) = literal::quoted(rest, at) {
        let (literal, length) = quoted?;
        let kind = match literal {
            literal::Quoted::Text(text) => Kind::Text(text),
            literal::Quoted::Bytes(bytes) => Kind::Bytes(bytes),
        };
        return Ok((kind, length));
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Ok((Kind::Word(rest.get(..length).unwrap_or_default().into()), length));
    }
    let fraction = first == '.' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    if first.is_ascii_digit() || fraction {
        return number(rest, at);
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Kind::Sign(sign), sign.len()));
    }
    let error =
        CompileError::new(Span::new(at, at + first.len_utf8()), format!("`{first}` is no part of an expression"));
    Err(error.with_hint(match first {
        '=' => Some("equality is written `==`".to_owned()),
        '&' | '|' => Some(format!("write `{first}{first}`")),
        '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => Some("write a straight quote: ' or \"".to_owned()),
        _ => None,
    }))
}

/// An integer in decimal or hexadecimal, an unsigned one with `u`, or a floating-point number.
fn number(rest: &str, at: usize) -> Result<(Kind, usize), CompileError> {
    let length = number_length(rest);
    let text = rest.get(..length).unwrap_or_default();
    let wrong = |message: &str| CompileError::new(Span::new(at, at + length), format!("`{text}` {message}"));
    if rest.get(length..).is_some_and(|tail| tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')) {
        return Err(wrong("is followed by letters"));
    }
    let (digits, unsigned) = match text.strip_suffix(['u', 'U']) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    if hexadecimal.is_none() && digits.contains(['.', 'e', 'E']) {
        let value: f64 = digits.parse().map_err(|_| wrong("is no number"))?;
        return if unsigned { Err(wrong("is no unsigned integer")) } else { Ok((Kind::Double(value), length)) };
    }
    let value = match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let value = value.map_err(|_| wrong("does not fit in 64 bits"))?;
    Ok((if unsigned { Kind::Uint(value) } else { Kind::Int(value) }, length))
}

/// How many bytes of `rest` are one number.
fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize, hexadecimal: bool| {
        let known = |c: &&u8| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        from + bytes.iter().skip(from).take_while(known).count()
    };
    let is = |place: usize, any: &[u8]| bytes.get(place).is_some_and(|c| any.contains(c));
    let mut end = if is(0, b"0") && is(1, b"xX") { digits(2, true) } else { digits(0, false) };
    if !is(1, b"xX") {
        if is(end, b".") && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1, false);
        }
        if is(end, b"eE") {
            let exponent = if is(end + 1, b"+-") { end + 2 } else { end + 1 };
            if bytes.get(exponent).is_some_and(u8::is_ascii_digit) {
                end = digits(exponent, false);
            }
        }
    }
    if is(end, b"uU") { end + 1 } else { end }
}
