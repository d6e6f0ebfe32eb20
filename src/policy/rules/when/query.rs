//! The query as parameters, read strictly.
//!
//! Servers differ: `+` is a space to some, `;` separates for some. Where the readings of the asked parameter differ, or
//! its escapes are broken or no UTF-8, reading it is an error: none of them could be trusted to be the service's.

use std::borrow::Cow;

use super::error::Fault;

/// The query of a request, verbatim and without `?`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) Option<&'a str>);

impl<'a> Query<'a> {
    /// The value of a parameter that occurs at most once.
    pub(super) fn one(self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        let mut values = self.every(name)?;
        if values.len() > 1 { Err(Fault::Repeated) } else { Ok(values.pop()) }
    }

    /// Every value of a parameter.
    pub(super) fn every(self, name: &str) -> Result<Vec<Cow<'a, str>>, Fault> {
        let mut values = Vec::new();
        for (key, value) in self.occurrences(name)? {
            if key.contains('+') || value.contains('+') {
                return Err(Fault::Ambiguous);
            }
            values.push(decoded(value).ok_or(Fault::Ambiguous)?);
        }
        Ok(values)
    }

    /// Whether a parameter occurs, readable or not.
    pub(super) fn has(self, name: &str) -> Result<bool, Fault> {
        self.occurrences(name).map(|found| !found.is_empty())
    }

    /// The names, each once, sorted.
    pub(super) fn names(self) -> Result<Vec<Cow<'a, str>>, Fault> {
        let name = |(key, _): (&'a str, _)| decoded(key).filter(|_| !key.contains(['+', ';'])).ok_or(Fault::Ambiguous);
        let mut names = self.pairs().map(name).collect::<Result<Vec<_>, _>>()?;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// How many bytes a look through the query touches.
    pub(super) fn len(self) -> usize {
        self.0.map_or(0, str::len)
    }

    /// The raw pairs of a name.
    fn occurrences(self, name: &str) -> Result<Vec<(&'a str, &'a str)>, Fault> {
        let mut found = Vec::new();
        for (key, value) in self.pairs() {
            if is_named(key, name) {
                found.push((key, value));
            }
            // A `;` is a part of the value, or the end of it: both readings count.
            let mut parts = [key, value].into_iter().filter(|part| part.contains(';')).flat_map(|part| part.split(';'));
            let other = parts.any(|part| is_named(pair(part).0, name));
            if other || (value.contains(';') && is_named(key, name)) {
                return Err(Fault::Ambiguous);
            }
        }
        Ok(found)
    }

    fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.unwrap_or_default().split('&').filter(|text| !text.is_empty()).map(pair)
    }
}

fn pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

/// Whether a raw key is this name to any server.
fn is_named(key: &str, name: &str) -> bool {
    let plain = decoded(key).is_some_and(|key| key == name);
    plain || (key.contains('+') && decoded(&key.replace('+', " ")).is_some_and(|key| key == name))
}

/// Decodes once. `None` for what is no valid encoding of a text.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::Query;
    use crate::policy::rules::when::error::Fault;

    #[test]
    fn a_parameter_is_found_in_every_spelling_and_read_only_when_there_is_one_reading() {
        for (query, expected) in [
            ("a=1", Ok(Some("1"))),
            ("b=1", Ok(None)),
            ("", Ok(None)),
            ("a", Ok(Some(""))),
            ("a=1=2", Ok(Some("1=2"))),
            ("%61=%31", Ok(Some("1"))),
            ("a=1%2B1%20", Ok(Some("1+1 "))),
            ("a=1&%61=1", Err(Fault::Repeated)),
            ("a=1&A=2", Ok(Some("1"))),
            ("a=1+1", Err(Fault::Ambiguous)),
            ("a=%zz", Err(Fault::Ambiguous)),
            ("a=%ff", Err(Fault::Ambiguous)),
            ("a=1;b=2", Err(Fault::Ambiguous)),
            ("b=1;a=2", Err(Fault::Ambiguous)),
            ("b;a=2", Err(Fault::Ambiguous)),
            ("a;b=2", Err(Fault::Ambiguous)),
            ("b=1;c=2&a=3", Ok(Some("3"))),
            ("b=1+1&c=%zz&a=3", Ok(Some("3"))),
        ] {
            let value = Query(Some(query)).one("a").map(|value| value.map(|value| value.into_owned()));
            assert_eq!(value, expected.map(|value| value.map(str::to_owned)), "{query}");
        }
        assert_eq!(Query(Some("a+b=1")).one("a b"), Err(Fault::Ambiguous));
        assert_eq!(Query(Some("a+b=1")).one("a+b"), Err(Fault::Ambiguous));
        assert_eq!(Query(None).has("a"), Ok(false));
    }
}
