//! What is asked: method, host, path, path parameters, query, header fields.
//!
//! A parameter or field that occurs more than once, in whatever spelling of its name, is read by the quantifier (POLICY semantics 8), and so is every form
//! that two readers could take differently: a permission holds in every reading, a denial in any.

use http::HeaderName;
use percent_encoding::percent_decode_str;

use super::peer::{DnsPattern, PatternError};
use super::{StringSet, TextMatch, each, listed, quoted};
use crate::identity::occurrences;
use crate::policy::rules::{Facts, Quantifier, Truth};

/// A question about the request.
#[derive(Clone, Debug)]
pub enum RequestCriterion {
    /// `method`: one of these, compared with case (RFC 9110 section 9.1).
    Method(StringSet),
    /// `host`: one of these patterns.
    Host(Box<[DnsPattern]>),
    /// `path`: one of these patterns.
    Path(Box<[PathPattern]>),
    /// `path_params.NAME`.
    PathParam(Box<str>, TextMatch),
    /// `query.NAME`: what its values are, each decoded once.
    Query(Box<str>, TextMatch),
    /// `query.NAME = { present = .. }`.
    QueryPresent(Box<str>, bool),
    /// `headers.NAME`.
    Header(HeaderName, TextMatch),
    /// `headers.NAME = { present = .. }`.
    HeaderPresent(HeaderName, bool),
}

impl RequestCriterion {
    pub(super) fn truth(&self, facts: &Facts<'_>, quantifier: Quantifier) -> Truth {
        let request = &facts.request;
        match self {
            Self::Method(methods) => methods.contains(request.method).into(),
            Self::Host(patterns) => patterns.iter().any(|pattern| pattern.matches(request.host)).into(),
            Self::Path(patterns) => {
                let answers = patterns.iter().map(|pattern| pattern.truth(request.path));
                answers.fold(Truth::Fails, Truth::or)
            }
            Self::PathParam(name, text) => match request.params.get(name) {
                Some(value) => text.matches(value).into(),
                None => Truth::Missing,
            },
            Self::Query(name, text) => {
                each(query_values(request.query, name).map(|value| value.truth(text, quantifier)), quantifier)
                    .unwrap_or(Truth::Missing)
            }
            Self::QueryPresent(name, wanted) => (query_values(request.query, name).next().is_some() == *wanted).into(),
            Self::Header(name, text) => {
                let values = occurrences(request.headers, name.as_str());
                each(values.map(|value| header_truth(value, text, quantifier)), quantifier).unwrap_or(Truth::Missing)
            }
            Self::HeaderPresent(name, wanted) => {
                (occurrences(request.headers, name.as_str()).next().is_some() == *wanted).into()
            }
        }
    }

    pub(super) fn wanted(&self) -> String {
        let or = |texts: Vec<String>| texts.join(" or ");
        let with = |wanted: &bool| if *wanted { "with" } else { "without" };
        match self {
            Self::Method(methods) => format!("method {}", or(methods.iter().map(|m| format!("`{m}`")).collect())),
            Self::Host(patterns) => format!("host {}", or(patterns.iter().map(|p| format!("`{p}`")).collect())),
            Self::Path(patterns) => format!("path {}", or(patterns.iter().map(|p| format!("`{}`", p.text)).collect())),
            Self::PathParam(name, text) => format!("path parameter `{name}` {}", text.wanted()),
            Self::Query(name, text) => format!("query parameter `{name}` {}", text.wanted()),
            Self::QueryPresent(name, wanted) => format!("a query {} `{name}`", with(wanted)),
            Self::Header(name, text) => format!("header `{name}` {}", text.wanted()),
            Self::HeaderPresent(name, wanted) => format!("a request {} header `{name}`", with(wanted)),
        }
    }

    pub(super) fn seen(&self, facts: &Facts<'_>) -> String {
        let request = &facts.request;
        match self {
            Self::Method(_) => quoted(request.method),
            Self::Host(_) => quoted(request.host),
            Self::Path(_) => quoted(request.path),
            Self::PathParam(name, _) => request.params.get(name).map_or_else(|| "no such parameter".into(), quoted),
            Self::Query(name, _) | Self::QueryPresent(name, _) => {
                let values: Vec<_> = query_values(request.query, name).map(|value| value.shown()).collect();
                listed(values.iter().map(String::as_str))
            }
            Self::Header(name, _) | Self::HeaderPresent(name, _) => {
                let values = occurrences(request.headers, name.as_str());
                let values: Vec<_> = values.map(|value| value.to_str().unwrap_or("(not text)")).collect();
                listed(values.into_iter())
            }
        }
    }
}

/// One occurrence of a header field. What is not visible ASCII is malformed, never absent. For a denial each element of
/// a list counts as an occurrence of its own, because `a, b` in one line and two lines mean the same (RFC 9110 section 5.3).
fn header_truth(value: &http::HeaderValue, text: &TextMatch, quantifier: Quantifier) -> Truth {
    let Ok(value) = value.to_str() else { return Truth::Malformed };
    let whole = text.matches(value);
    let part = || value.contains(',') && value.split(',').any(|part| text.matches(part.trim_matches([' ', '\t'])));
    (whole || (quantifier == Quantifier::One && part())).into()
}

/// One raw value of a query parameter.
#[derive(Clone, Copy)]
struct QueryValue<'q>(&'q str);

/// The values of a parameter in every reading of the query that servers take: `&` separates, and for some `;` does too.
fn query_values<'q>(query: Option<&'q str>, name: &'q str) -> impl Iterator<Item = QueryValue<'q>> {
    let query = query.unwrap_or_default();
    let semicolons = if query.contains(';') { query } else { "" };
    let pairs = query.split('&').chain(semicolons.split(['&', ';']));
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (!pair.is_empty() && names(key, name)).then_some(QueryValue(value))
    })
}

/// Whether a raw key is this name, in form encoding or in plain percent-encoding.
fn names(key: &str, name: &str) -> bool {
    if !key.contains(['%', '+']) {
        return key == name;
    }
    let form = key.replace('+', " ");
    [key, form.as_str()].iter().any(|key| percent_decode_str(key).eq(name.bytes()))
}

impl QueryValue<'_> {
    fn truth(self, text: &TextMatch, quantifier: Quantifier) -> Truth {
        if !self.0.contains(['%', '+']) {
            return text.matches(self.0).into();
        }
        let form = self.0.replace('+', " ");
        let readings = [self.0, form.as_str()].into_iter().map(|raw| match decoded(raw) {
            Some(value) => text.matches(&value).into(),
            None => Truth::Malformed,
        });
        each(readings, quantifier).unwrap_or(Truth::Malformed)
    }

    fn shown(self) -> String {
        decoded(&self.0.replace('+', " ")).unwrap_or_else(|| self.0.to_owned())
    }
}

/// Decodes once. `None` for what is no valid encoding of a text.
fn decoded(raw: &str) -> Option<String> {
    let mut rest = raw;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.as_bytes().get(..2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = after.get(2..)?;
    }
    percent_decode_str(raw).decode_utf8().ok().map(Into::into)
}

/// A path in which a segment `*` stands for one segment and a final `**` for one or more. Literals are compared with the
/// segment decoded once (POLICY semantics 7).
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: Box<str>,
    rest: bool,
    /// The literal segments, `None` for `*`.
    segments: Box<[Option<Box<str>>]>,
}

impl PathPattern {
    /// Reads a pattern such as `/v1/*/refunds/**`. Literals stand decoded: write `/a b`, not `/a%20b`.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (body, rest) = match text.strip_suffix("/**") {
            Some(body) => (body, true),
            None => (text, false),
        };
        if body.contains("**") {
            return Err(PatternError::Rest);
        }
        if !text.starts_with('/') {
            return Err(PatternError::Path);
        }
        let mut segments = Vec::new();
        for (index, part) in body.split('/').enumerate().skip(1) {
            let last = index == body.matches('/').count();
            match part {
                "*" => segments.push(None),
                part if part.contains('*') => return Err(PatternError::Partial),
                "." | ".." => return Err(PatternError::Segment),
                part if part.contains(['%', '?', '#', '\\']) => return Err(PatternError::Segment),
                "" if !last => return Err(PatternError::Segment),
                part => segments.push(Some(part.into())),
            }
        }
        Ok(Self { text: text.into(), rest, segments: segments.into() })
    }

    fn truth(&self, path: &str) -> Truth {
        // Bytes, not characters: a search for a character is dearer than a look at each byte.
        let mut parts = path.as_bytes().split(|byte| *byte == b'/').skip(1);
        for segment in &self.segments {
            match (segment, parts.next()) {
                (_, None) => return Truth::Fails,
                (None, Some(b"")) => return Truth::Fails,
                (None, Some(_)) => {}
                (Some(literal), Some(part)) if !part.contains(&b'%') => {
                    if literal.as_bytes() != part {
                        return Truth::Fails;
                    }
                }
                (Some(literal), Some(part)) => match std::str::from_utf8(part).ok().and_then(decoded) {
                    Some(part) if *part == **literal => {}
                    Some(_) => return Truth::Fails,
                    None => return Truth::Malformed,
                },
            }
        }
        (parts.next().is_some() == self.rest).into()
    }
}

#[cfg(test)]
mod tests {
    use super::{PathPattern, decoded, names, query_values};
    use crate::policy::rules::Truth;

    fn path(pattern: &str, path: &str) -> Truth {
        PathPattern::parse(pattern).unwrap().truth(path)
    }

    #[test]
    fn a_path_is_compared_by_segments_decoded_once() {
        assert_eq!(path("/v1/*/refunds", "/v1/7/refunds"), Truth::Holds);
        assert_eq!(path("/admin/**", "/%61dmin/x/y"), Truth::Holds);
        assert_eq!(path("/a b", "/a%20b"), Truth::Holds);
        assert_eq!(path("/", "/"), Truth::Holds);
        for (pattern, other) in [
            ("/v1/*", "/v1"),
            ("/v1/*", "/v1/"),
            ("/v1/*", "/v1/7/8"),
            ("/admin/**", "/admin"),
            ("/admin/**", "/adminx/y"),
            ("/admin", "/admin/"),
            ("/admin", "/%2561dmin"),
            ("/", "/x"),
        ] {
            assert_eq!(path(pattern, other), Truth::Fails, "{pattern} {other}");
        }
        assert_eq!(path("/admin", "/%ff"), Truth::Malformed);
        for bad in ["admin", "", "*", "**", "/a*", "/**/a", "//a", "/a/../b", "/%41", "/a?b"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_invalid_encoding_has_no_value() {
        assert_eq!(decoded("a%20b").as_deref(), Some("a b"));
        assert_eq!(decoded("%2541").as_deref(), Some("%41"));
        for bad in ["%", "%4", "%4g", "%ff", "a%", "%\u{e4}"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_parameter_is_found_in_every_spelling_of_its_name() {
        for key in ["debug", "%64ebug", "d%65bug"] {
            assert!(names(key, "debug"), "{key}");
        }
        assert!(names("a+b", "a b") && names("a+b", "a+b") && !names("debug%00", "debug") && !names("Debug", "debug"));
    }

    #[test]
    fn a_semicolon_may_separate_too() {
        let values = |query| query_values(Some(query), "a").map(|value| value.0).collect::<Vec<_>>();
        assert_eq!(values("a=1&b=2&a=3"), ["1", "3"]);
        assert_eq!(values("a=1;a=2"), ["1;a=2", "1", "2"]);
        assert_eq!(values("a&aa=1"), [""]);
        assert!(values("").is_empty() && query_values(None, "").next().is_none());
    }
}
