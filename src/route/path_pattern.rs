//! Which paths a route is for: literal segments, `{name}` or `*` for one, and at the end `{name...}` or `**` for the rest.

use std::fmt;
use std::sync::Arc;

use crate::request::{CanonicalPath, HostError, PathError, PathForms, decode};

/// A checked path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    segments: Vec<Segment>,
    forms: PathForms,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Compared with the segment decoded once.
    Literal(Box<str>),
    /// Any one segment that is not empty.
    Param(Option<Arc<str>>),
    /// All that follows, nothing included.
    Tail(Option<Arc<str>>),
}

/// Why a text is no host or path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no host.
    #[error(transparent)]
    Host(HostError),
    /// It is no path that a request could have.
    #[error(transparent)]
    Path(PathError),
    /// `*` stands beside other text.
    #[error(
        "`*` and `**` stand alone between dots or slashes, `**` only at the end of a path and at the start of a host"
    )]
    Star,
    /// Braces that are not `{name}` or `{name...}` alone between slashes.
    #[error("braces hold one name and stand alone between slashes")]
    Braces,
    /// `{name...}` or `**` before the end.
    #[error("what matches the rest of a path stands at its end")]
    TailInside,
    /// Two parameters of one name.
    #[error("two parameters have the same name")]
    Repeated,
    /// A query, which a path does not have.
    #[error("a path pattern has no query")]
    Query,
    /// A path that the gateway answers itself.
    #[error("the gateway answers this path itself")]
    Reserved,
}

impl PathPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.contains('?') {
            return Err(PatternError::Query);
        }
        let rest = text.strip_prefix('/').ok_or(PatternError::Path(PathError::Relative))?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut forms = PathForms { empty_segments: rest.starts_with('/') || rest.contains("//"), ..PathForms::NONE };
        for part in rest.split('/') {
            if let Some(Segment::Tail(_)) = segments.last() {
                return Err(PatternError::TailInside);
            }
            let segment = parse_segment(part, &mut forms)?;
            let repeated = segment.name().is_some() && segments.iter().any(|known| known.name() == segment.name());
            if repeated {
                return Err(PatternError::Repeated);
            }
            segments.push(segment);
        }
        if super::own::well_known(segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            _ => None,
        }))
        .is_some()
        {
            return Err(PatternError::Reserved);
        }
        Ok(Self { text: text.into(), segments, forms })
    }

    /// The text, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| segment.name().map(|name| &**name))
    }

    /// The forms that every path has which it matches.
    pub const fn forms(&self) -> PathForms {
        self.forms
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// One element for each segment that is no literal, named or not.
    pub(super) fn slots(&self) -> impl Iterator<Item = Option<&Arc<str>>> {
        self.segments.iter().filter(|segment| !matches!(segment, Segment::Literal(_))).map(Segment::name)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    const fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Literal(_) => None,
            Self::Param(name) | Self::Tail(name) => name.as_ref(),
        }
    }
}

fn parse_segment(text: &str, forms: &mut PathForms) -> Result<Segment, PatternError> {
    match text {
        "*" => return Ok(Segment::Param(None)),
        "**" => return Ok(Segment::Tail(None)),
        _ => {}
    }
    if let Some(inside) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let (name, tail) = inside.strip_suffix("...").map_or((inside, false), |name| (name, true));
        let first = name.bytes().next().ok_or(PatternError::Braces)?;
        if first.is_ascii_digit() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(PatternError::Braces);
        }
        let name = Some(Arc::from(name));
        return Ok(if tail { Segment::Tail(name) } else { Segment::Param(name) });
    }
    if text.contains(['{', '}']) {
        return Err(PatternError::Braces);
    }
    if text.contains('*') {
        return Err(PatternError::Star);
    }
    // Other scripts may be written as they are; requests carry them encoded.
    let ascii: String = text.chars().filter(char::is_ascii).collect();
    let held = CanonicalPath::parse(&format!("/{ascii}")).map_err(PatternError::Path)?.forms();
    *forms = forms.and(held);
    Ok(Segment::Literal(decode(text).into()))
}

#[cfg(test)]
mod tests {
    use super::{PathPattern, PatternError};
    use crate::request::{PathError, PathForms};

    #[test]
    fn a_pattern_that_could_be_read_in_two_ways_is_none() {
        for (text, error) in [
            ("", PatternError::Path(PathError::Relative)),
            ("x", PatternError::Path(PathError::Relative)),
            ("/a?b", PatternError::Query),
            ("/a/../b", PatternError::Path(PathError::DotSegment)),
            ("/%2e%2e", PatternError::Path(PathError::DotSegment)),
            ("/a b", PatternError::Path(PathError::Character)),
            ("/a#b", PatternError::Path(PathError::Character)),
            ("/a%2", PatternError::Path(PathError::PercentEncoding)),
            ("/%2541", PatternError::Path(PathError::DoubleEncoding)),
            ("/a*", PatternError::Star),
            ("/***", PatternError::Star),
            ("/{}", PatternError::Braces),
            ("/{...}", PatternError::Braces),
            ("/{1}", PatternError::Braces),
            ("/{a b}", PatternError::Braces),
            ("/{a}.png", PatternError::Braces),
            ("/x{a}", PatternError::Braces),
            ("/{a", PatternError::Braces),
            ("/a}", PatternError::Braces),
            ("/{{a}}", PatternError::Braces),
            ("/{a}/{a}", PatternError::Repeated),
            ("/{a}/{a...}", PatternError::Repeated),
            ("/{a...}/b", PatternError::TailInside),
            ("/**/", PatternError::TailInside),
            ("/.well-known/oauth-protected-resource", PatternError::Reserved),
            ("/.well-known/%6fauth-protected-resource/v1", PatternError::Reserved),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_pattern_knows_its_names_and_the_forms_that_it_asks_for() {
        let pattern = PathPattern::parse("/a/{id}/*/{rest...}").unwrap();
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["id", "rest"]);
        assert_eq!(pattern.forms(), PathForms::NONE);
        let forms = |text| PathPattern::parse(text).unwrap().forms();
        assert!(forms("/a//b").empty_segments && forms("//a").empty_segments && !forms("/a/").empty_segments);
        assert!(forms("/a;b").semicolon && forms("/a%2Fb").encoded_slash);
    }
}
