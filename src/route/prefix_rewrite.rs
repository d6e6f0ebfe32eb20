//! A stated change of a path's first segments, made before anything is decided: rules see what the service gets.
//!
//! Whole segments alone are replaced, and all that follows stays byte for byte, so no rewrite can put together a segment
//! that nobody sent. Routes are found by the path that the client asked for.

use std::fmt;

use http::HeaderValue;

use super::path_pattern::Segment;
use super::{PathPattern, Route};
use crate::identity::Name;
use crate::request::{CanonicalPath, PathError, PathForms};

/// One checked `prefix_rewrite`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixRewrite {
    from: Vec<Box<str>>,
    /// Empty for `/`.
    to: Box<str>,
    forwarded_prefix: Option<HeaderValue>,
    /// The routes whose paths it may reach as well.
    pub shares_paths_with: Vec<Name>,
}

/// Why a text is no prefix, or two are no rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// It is no path that a request could have.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A form that not every server reads alike, or a variable part.
    #[error("a prefix is plain text: without `*`, `;`, `//` and encoded slashes")]
    Plain,
    /// A slash at its end.
    #[error("a prefix consists of whole segments, and ends without a slash")]
    Slash,
    /// Both prefixes are the same.
    #[error("the rewrite changes nothing")]
    Nothing,
}

impl PrefixRewrite {
    /// Reads what is replaced and what replaces it: `/` for nothing, or whole segments such as `/app/v1`.
    ///
    /// # Errors
    /// When one of them is no plain prefix, or both are the same.
    pub fn parse(from: &str, to: &str) -> Result<Self, RewriteError> {
        let (from, to) = (Self::parse_prefix(from)?, Self::parse_prefix(to)?);
        if from == to {
            return Err(RewriteError::Nothing);
        }
        let removed = if from.as_str() == "/" { None } else { HeaderValue::from_str(from.as_str()).ok() };
        let segments = if from.as_str() == "/" { Vec::new() } else { from.segments().map(Box::from).collect() };
        let to = to.as_str().strip_suffix('/').unwrap_or(to.as_str()).into();
        Ok(Self { from: segments, to, forwarded_prefix: removed, shares_paths_with: Vec::new() })
    }

    /// Reads one prefix.
    ///
    /// # Errors
    /// When it is no plain prefix.
    pub fn parse_prefix(text: &str) -> Result<CanonicalPath, RewriteError> {
        let path = CanonicalPath::parse(text)?;
        if path.forms() != PathForms::NONE || text.contains('*') {
            return Err(RewriteError::Plain);
        }
        if text.len() > 1 && text.ends_with('/') { Err(RewriteError::Slash) } else { Ok(path) }
    }

    /// Whether every path of `pattern` begins with what is replaced.
    pub fn fits(&self, pattern: &PathPattern) -> bool {
        let segments = pattern.segments();
        let begins = self.from.iter().zip(segments).all(|(wanted, segment)| match segment {
            Segment::Literal(text) => text == wanted,
            Segment::Param(_) | Segment::Tail(_) => false,
        });
        begins && segments.len() >= self.from.len()
    }

    /// What the service is told was taken off (`X-Forwarded-Prefix`).
    pub const fn forwarded_prefix(&self) -> Option<&HeaderValue> {
        self.forwarded_prefix.as_ref()
    }

    /// The path that is decided on and forwarded, for one that the route's pattern matched.
    ///
    /// # Errors
    /// When what comes out is no path of one meaning. None is known, and none would be served.
    pub fn apply(&self, path: &CanonicalPath) -> Result<CanonicalPath, PathError> {
        let text = path.as_str();
        let kept = text.match_indices('/').nth(self.from.len()).and_then(|(at, _)| text.get(at..)).unwrap_or_default();
        let rewritten = format!("{}{kept}", self.to);
        CanonicalPath::parse(if rewritten.is_empty() { "/" } else { &rewritten })
    }
}

/// `/grafana to /`, and the routes that it shares paths with.
impl fmt::Display for PrefixRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from: String = self.from.iter().map(|segment| format!("/{segment}")).collect();
        let shown = |text: &str| if text.is_empty() { "/".to_owned() } else { text.to_owned() };
        write!(f, "{} to {}", shown(&from), shown(&self.to))?;
        let shared: Vec<_> = self.shares_paths_with.iter().map(Name::as_str).collect();
        if shared.is_empty() { Ok(()) } else { write!(f, ", sharing paths with {}", shared.join(", ")) }
    }
}

impl Route {
    /// Whether a request for this route can reach a path of the service that another route leads to as well, so that
    /// whoever asks could choose by whose rules they are judged. Two routes of one and the same rewrite are told apart by
    /// the paths that clients ask for.
    pub fn reaches_paths_of(&self, other: &Self) -> bool {
        let same = |one: &PrefixRewrite, other: &PrefixRewrite| one.from == other.from && one.to == other.to;
        let alike = match (&self.prefix_rewrite, &other.prefix_rewrite) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => same(ours, theirs),
            _ => false,
        };
        !alike && overlap(&self.forwarded_segments(), &other.forwarded_segments())
    }

    /// The pattern of the paths that the service sees.
    fn forwarded_segments(&self) -> Vec<Segment> {
        let segments = self.path.segments();
        let Some(rewrite) = &self.prefix_rewrite else { return segments.to_vec() };
        let put = rewrite.to.split('/').skip(1).map(|text| Segment::Literal(crate::request::decode(text).into()));
        let kept = segments.get(rewrite.from.len()..).unwrap_or_default();
        let whole: Vec<_> = put.chain(kept.iter().cloned()).collect();
        if whole.is_empty() { vec![Segment::Literal("".into())] } else { whole }
    }
}

/// Whether a path could match both.
fn overlap(one: &[Segment], other: &[Segment]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([Segment::Tail(_)], [_, ..]) | ([_, ..], [Segment::Tail(_)]) => true,
        ([first, rest @ ..], [other_first, other_rest @ ..]) => {
            let meet = match (first, other_first) {
                (Segment::Literal(one), Segment::Literal(other)) => one == other,
                (Segment::Literal(text), _) | (_, Segment::Literal(text)) => !text.is_empty(),
                _ => true,
            };
            meet && overlap(rest, other_rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
