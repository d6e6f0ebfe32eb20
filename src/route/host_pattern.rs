//! Which hosts a route is for: `a.example`, `*.example` (one label), `**.example` (one or more), `**` (every host).

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

use super::PatternError;
use crate::request::Host;

/// A checked host pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Host),
    /// One label before this suffix.
    OneLabel(Host),
    /// One or more labels before this suffix.
    Labels(Host),
    /// Every host.
    Every,
}

impl HostPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let host = |text: &str| Host::parse(text).map_err(PatternError::Host);
        match text.split_once('.') {
            _ if text == "**" => Ok(Self::Every),
            Some(("*", suffix)) => Ok(Self::OneLabel(host(suffix)?)),
            Some(("**", suffix)) => Ok(Self::Labels(host(suffix)?)),
            _ if text.contains('*') => Err(PatternError::Star),
            _ => Ok(Self::Exact(host(text)?)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
            Self::Labels(suffix) => write!(f, "**.{suffix}"),
            Self::Every => f.write_str("**"),
        }
    }
}

/// Values by host pattern; the most specific pattern that matches a host owns it.
#[derive(Debug)]
pub(super) struct HostMap<T> {
    exact: HashMap<Box<str>, T, RandomState>,
    one_label: HashMap<Box<str>, T, RandomState>,
    labels: HashMap<Box<str>, T, RandomState>,
    every: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), one_label: HashMap::default(), labels: HashMap::default(), every: None }
    }
}

impl<T> HostMap<T> {
    /// The value of exactly this pattern, made when there is none.
    pub(super) fn entry(&mut self, pattern: &HostPattern, make: impl FnOnce() -> T) -> &mut T {
        let (map, host) = match pattern {
            HostPattern::Exact(host) => (&mut self.exact, host),
            HostPattern::OneLabel(suffix) => (&mut self.one_label, suffix),
            HostPattern::Labels(suffix) => (&mut self.labels, suffix),
            HostPattern::Every => return self.every.get_or_insert_with(make),
        };
        map.entry(host.as_str().into()).or_insert_with(make)
    }

    /// The value of the most specific pattern: the host itself, else the longest suffix, `*` before `**`.
    pub(super) fn find(&self, host: &Host) -> Option<&T> {
        if let Some(value) = self.exact.get(host.as_str()) {
            return Some(value);
        }
        if self.one_label.is_empty() && self.labels.is_empty() {
            return self.every.as_ref();
        }
        let mut rest = host.as_str();
        let mut first = true;
        while let Some((_, suffix)) = rest.split_once('.') {
            if first && let Some(value) = self.one_label.get(suffix) {
                return Some(value);
            }
            if let Some(value) = self.labels.get(suffix) {
                return Some(value);
            }
            (rest, first) = (suffix, false);
        }
        self.every.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::{HostMap, HostPattern};
    use crate::request::Host;

    #[test]
    fn the_most_specific_pattern_owns_a_host() {
        let mut map = HostMap::default();
        for pattern in
            ["a.corp.example", "*.corp.example", "**.corp.example", "*.deep.corp.example", "**.example", "**"]
        {
            map.entry(&HostPattern::parse(pattern).unwrap(), || pattern);
        }
        for (host, pattern) in [
            ("a.corp.example", "a.corp.example"),
            ("b.corp.example", "*.corp.example"),
            ("x.b.corp.example", "**.corp.example"),
            ("x.deep.corp.example", "*.deep.corp.example"),
            ("y.x.deep.corp.example", "**.corp.example"),
            ("corp.example", "**.example"),
            ("evilcorp.example", "**.example"),
            ("example", "**"),
            ("[::1]", "**"),
        ] {
            assert_eq!(map.find(&Host::parse(host).unwrap()), Some(&pattern), "{host}");
        }
    }

    #[test]
    fn a_suffix_never_matches_inside_a_label_nor_alone() {
        let mut map = HostMap::default();
        map.entry(&HostPattern::parse("*.corp.example").unwrap(), || ());
        for host in ["corp.example", "evil-corp.example", "a.b.corp.example", "a.corp.example.evil", "example"] {
            assert_eq!(map.find(&Host::parse(host).unwrap()), None, "{host}");
        }
    }

    #[test]
    fn a_pattern_is_written_in_one_way() {
        for text in ["a.example", "*.a.example", "**.a.example", "**", "[::1]", "10.0.0.1"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(HostPattern::parse("ADMIN.example.").unwrap().to_string(), "admin.example");
        for text in [
            "",
            "*",
            "*a.example",
            "a.*.example",
            "a.**",
            "*.",
            "**.",
            "*.1",
            "*.*.example",
            "a.example:443",
            "stra\u{df}e",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
