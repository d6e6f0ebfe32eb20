//! The query as parameters (WHATWG URL, `application/x-www-form-urlencoded`), read strictly.
//!
//! What two programs could read in two ways is an error: a broken escape, bytes that are no UTF-8, a raw `;`.

use std::borrow::Cow;

use super::error::Fault;

/// The query of a request, verbatim and without `?`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) Option<&'a str>);

impl<'a> Query<'a> {
    /// The value of a parameter that occurs at most once.
    pub(super) fn one(self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        let mut found = None;
        for pair in self.pairs() {
            let (key, value) = pair?;
            if key == name && found.replace(value).is_some() {
                return Err(Fault::Repeated);
            }
        }
        Ok(found)
    }

    /// Every value of a parameter.
    pub(super) fn every(self, name: &str) -> Result<Vec<Cow<'a, str>>, Fault> {
        let mut values = Vec::new();
        for pair in self.pairs() {
            let (key, value) = pair?;
            if key == name {
                values.push(value);
            }
        }
        Ok(values)
    }

    /// The names, each once, sorted.
    pub(super) fn names(self) -> Result<Vec<Cow<'a, str>>, Fault> {
        let mut names = self.pairs().map(|pair| Ok(pair?.0)).collect::<Result<Vec<_>, Fault>>()?;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// How many bytes a look through the query touches.
    pub(super) fn len(self) -> usize {
        self.0.map_or(0, str::len)
    }

    fn pairs(self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>), Fault>> {
        let text = self.0.unwrap_or_default();
        text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            if pair.contains(';') {
                return Err(Fault::Ambiguous);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
    }
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Fault> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or(Fault::Ambiguous)?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| Fault::Ambiguous)
}
