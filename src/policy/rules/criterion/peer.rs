//! What the verified client certificate says. `device` and `workload` are two names for it (POLICY semantics 12).

use std::fmt;

use super::{StringSet, TextMatch, listed, quoted};
use crate::identity::{Name, SpiffeId, TrustDomain};
use crate::policy::rules::{Facts, Truth};

/// A question about the client certificate.
#[derive(Clone, Debug)]
pub enum PeerCriterion {
    /// `any = true`: a verified certificate, whichever.
    Any,
    /// `none = true`: no certificate was shown.
    None,
    /// `trust`: the bundle that verified it, by name.
    Trust(Box<[Name]>),
    /// `spiffe_id`: one of these patterns.
    SpiffeId(Box<[SpiffePattern]>),
    /// `dns`: one of the certificate's DNS names matches one of these patterns.
    Dns(Box<[DnsPattern]>),
    /// `uri`: one of the certificate's URIs.
    Uri(TextMatch),
    /// `email`: one of the certificate's mail addresses.
    Email(TextMatch),
    /// `subject`: the distinguished name.
    Subject(TextMatch),
    /// `issuer`: the distinguished name of whoever signed it.
    Issuer(TextMatch),
    /// `serial`: in hexadecimal, lower case, without leading zeros.
    Serial(StringSet),
    /// `fingerprint`: SHA-256 of the DER.
    Fingerprint(Box<[[u8; 32]]>),
    /// `key_algorithm`: one of `rsa`, `ec`, `ed25519`.
    KeyAlgorithm(StringSet),
}

impl PeerCriterion {
    pub(super) fn truth(&self, facts: &Facts<'_>) -> Truth {
        let Some(peer) = facts.peer else {
            return if matches!(self, Self::None) { Truth::Holds } else { Truth::Missing };
        };
        match self {
            Self::Any => Truth::Holds,
            Self::None => Truth::Fails,
            Self::Trust(names) => names.contains(&peer.trust).into(),
            Self::SpiffeId(patterns) => match &peer.spiffe_id {
                Some(id) => patterns.iter().any(|pattern| pattern.matches(id)).into(),
                None => Truth::Missing,
            },
            Self::Dns(patterns) => any_of(&peer.dns_names, |name| patterns.iter().any(|p| p.matches(name))),
            Self::Uri(text) => any_of(&peer.uris, |uri| text.matches(uri)),
            Self::Email(text) => any_of(&peer.emails, |email| text.matches(email)),
            Self::Subject(text) => text.matches(&peer.subject).into(),
            Self::Issuer(text) => text.matches(&peer.issuer).into(),
            Self::Serial(serials) => serials.contains(&peer.serial).into(),
            Self::Fingerprint(prints) => prints.contains(&peer.fingerprint).into(),
            Self::KeyAlgorithm(algorithms) => algorithms.contains(peer.key_algorithm).into(),
        }
    }

    /// Whether it can hold only for somebody who proved a key.
    pub const fn identifies(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub(super) fn wanted(&self) -> String {
        let or = |texts: Vec<String>| texts.join(" or ");
        match self {
            Self::Any => "a client certificate".into(),
            Self::None => "no client certificate".into(),
            Self::Trust(names) => {
                format!("a certificate of trust {}", or(names.iter().map(|name| format!("`{name}`")).collect()))
            }
            Self::SpiffeId(patterns) => {
                format!("SPIFFE ID {}", or(patterns.iter().map(|pattern| format!("`{pattern}`")).collect()))
            }
            Self::Dns(patterns) => {
                format!("a certificate for {}", or(patterns.iter().map(|pattern| format!("`{pattern}`")).collect()))
            }
            Self::Uri(text) => format!("a certificate with URI {}", text.wanted()),
            Self::Email(text) => format!("a certificate with mail address {}", text.wanted()),
            Self::Subject(text) => format!("a certificate of {}", text.wanted()),
            Self::Issuer(text) => format!("a certificate issued by {}", text.wanted()),
            Self::Serial(serials) => {
                format!("certificate serial {}", or(serials.iter().map(|serial| format!("`{serial}`")).collect()))
            }
            Self::Fingerprint(prints) => {
                format!(
                    "certificate fingerprint {}",
                    or(prints.iter().map(|print| format!("`{}`", hex(print))).collect())
                )
            }
            Self::KeyAlgorithm(algorithms) => {
                format!("a key of type {}", or(algorithms.iter().map(|name| format!("`{name}`")).collect()))
            }
        }
    }

    pub(super) fn seen(&self, facts: &Facts<'_>) -> String {
        let Some(peer) = facts.peer else { return "no client certificate".into() };
        let list = |names: &[Box<str>]| listed(names.iter().map(|name| &**name));
        match self {
            Self::Any | Self::None | Self::Subject(_) => quoted(&peer.subject),
            Self::Trust(_) => quoted(peer.trust.as_str()),
            Self::SpiffeId(_) => {
                peer.spiffe_id.as_ref().map_or_else(|| "no SPIFFE ID".into(), |id| quoted(id.as_str()))
            }
            Self::Dns(_) => list(&peer.dns_names),
            Self::Uri(_) => list(&peer.uris),
            Self::Email(_) => list(&peer.emails),
            Self::Issuer(_) => quoted(&peer.issuer),
            Self::Serial(_) => quoted(&peer.serial),
            Self::Fingerprint(_) => hex(&peer.fingerprint),
            Self::KeyAlgorithm(_) => quoted(peer.key_algorithm),
        }
    }
}

fn any_of(names: &[Box<str>], holds: impl Fn(&str) -> bool) -> Truth {
    if names.is_empty() { Truth::Missing } else { names.iter().any(|name| holds(name)).into() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A SPIFFE ID in which `*` stands for one segment and a final `**` for one or more. The trust domain is always literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffePattern {
    trust_domain: TrustDomain,
    segments: Box<[Segment]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    One,
    Rest,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Beside the wildcards it is no SPIFFE ID.
    #[error("it is no SPIFFE ID: {0}")]
    SpiffeId(#[from] crate::identity::SpiffeError),
    /// A `*` with something beside it.
    #[error("`*` stands for one whole part and cannot stand beside other characters")]
    Partial,
    /// A `**` that is not at the end.
    #[error("`**` can only stand at the end of a path, or at the beginning of a host")]
    Rest,
    /// Not a DNS name.
    #[error("it is no host name")]
    Host,
    /// Not a path.
    #[error("it does not begin with `/`")]
    Path,
    /// Something in it must not be there, such as an empty segment.
    #[error("it has an empty, relative or wrongly encoded segment")]
    Segment,
}

impl SpiffePattern {
    /// Reads a pattern such as `spiffe://corp.example/ns/*/sa/settlement`.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (literal, rest) = match text.strip_suffix("/**") {
            Some(literal) => (literal, true),
            None => (text, false),
        };
        if literal.contains("**") {
            return Err(PatternError::Rest);
        }
        // The rest must be a SPIFFE ID when each `*` is a segment like others.
        let mut example = String::new();
        for (index, part) in literal.split('/').enumerate() {
            if part != "*" && part.contains('*') {
                return Err(PatternError::Partial);
            }
            let slash = if index == 0 { "" } else { "/" };
            example.push_str(slash);
            example.push_str(if part == "*" && index > 2 { "x" } else { part });
        }
        let id = SpiffeId::parse(&example)?;
        let segments = literal.split('/').skip(3).map(|part| match part {
            "*" => Segment::One,
            part => Segment::Literal(part.into()),
        });
        let segments = segments.chain(rest.then_some(Segment::Rest)).collect();
        Ok(Self { trust_domain: id.trust_domain().clone(), segments })
    }

    /// Whether the ID is of this shape.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        *id.trust_domain() == self.trust_domain && segments_match(&self.segments, id.path())
    }

    /// Whether an ID can be of both shapes.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain && segments_overlap(&self.segments, &other.segments)
    }

    /// Whether every ID of the other shape is of this shape.
    pub fn covers(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain && segments_cover(&self.segments, &other.segments)
    }

    /// The trust domain that every match is in.
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Whether every ID of the trust domain that has a path matches.
    pub const fn is_whole_domain(&self) -> bool {
        matches!(*self.segments, [Segment::Rest])
    }
}

/// Compares a path's segments; a path is nothing, or `/` and a segment, again and again.
fn segments_match(pattern: &[Segment], path: &str) -> bool {
    // Bytes, not characters: a search for a character is dearer than a look at each byte.
    let mut parts = path.as_bytes().split(|byte| *byte == b'/').skip(1);
    for segment in pattern {
        match (segment, parts.next()) {
            (Segment::Literal(literal), Some(part)) if literal.as_bytes() == part => {}
            (Segment::One, Some(_)) => {}
            (Segment::Rest, Some(_)) => return true,
            _ => return false,
        }
    }
    parts.next().is_none()
}

fn segments_overlap(one: &[Segment], two: &[Segment]) -> bool {
    match (one, two) {
        ([], []) => true,
        ([Segment::Rest], [_, ..]) | ([_, ..], [Segment::Rest]) => true,
        ([Segment::Literal(one), ..], [Segment::Literal(two), ..]) if one != two => false,
        ([_, one @ ..], [_, two @ ..]) => segments_overlap(one, two),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

fn segments_cover(wide: &[Segment], narrow: &[Segment]) -> bool {
    match (wide, narrow) {
        ([], []) | ([Segment::Rest], [_, ..]) => true,
        ([Segment::Literal(wide), ..], [Segment::Literal(narrow), ..]) if wide != narrow => false,
        ([Segment::Literal(_), ..], [Segment::One | Segment::Rest, ..]) => false,
        ([Segment::One, ..], [Segment::Rest, ..]) => false,
        ([_, wide @ ..], [_, narrow @ ..]) => segments_cover(wide, narrow),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}", self.trust_domain)?;
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::One => f.write_str("/*")?,
                Segment::Rest => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

/// A host name in which a first label `*` stands for one label and a first `**` for one or more. Case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPattern {
    /// What stands before the literal part: nothing, one label or several.
    wildcard: Option<Labels>,
    /// Lower case; after a wildcard without the dot that follows it.
    literal: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Labels {
    One,
    Several,
}

impl DnsPattern {
    /// Reads a pattern such as `*.corp.example`.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (wildcard, literal) = if let Some(rest) = text.strip_prefix("**.") {
            (Some(Labels::Several), rest)
        } else if let Some(rest) = text.strip_prefix("*.") {
            (Some(Labels::One), rest)
        } else {
            (None, text)
        };
        if literal.contains("**") {
            return Err(PatternError::Rest);
        }
        if literal.contains('*') {
            return Err(PatternError::Partial);
        }
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
        };
        if literal.len() > 253 || !literal.split('.').all(label) {
            return Err(PatternError::Host);
        }
        Ok(Self { wildcard, literal: literal.to_ascii_lowercase().into() })
    }

    /// Whether the name is of this shape.
    pub fn matches(&self, name: &str) -> bool {
        let Some(wildcard) = self.wildcard else { return name.eq_ignore_ascii_case(&self.literal) };
        let before = name.len().checked_sub(self.literal.len()).and_then(|at| name.split_at_checked(at));
        let Some((before, end)) = before else { return false };
        let Some(labels) = before.strip_suffix('.') else { return false };
        end.eq_ignore_ascii_case(&self.literal)
            && labels.split('.').all(|label| !label.is_empty())
            && (wildcard == Labels::Several || !labels.contains('.'))
    }
}

impl fmt::Display for DnsPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = match self.wildcard {
            None => "",
            Some(Labels::One) => "*.",
            Some(Labels::Several) => "**.",
        };
        write!(f, "{wildcard}{}", self.literal)
    }
}

#[cfg(test)]
mod tests {
    use super::{DnsPattern, PatternError, SpiffePattern};
    use crate::identity::SpiffeId;

    fn spiffe(pattern: &str, id: &str) -> bool {
        SpiffePattern::parse(pattern).unwrap().matches(&SpiffeId::parse(id).unwrap())
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_the_rest() {
        assert!(spiffe("spiffe://a/device/*", "spiffe://a/device/7"));
        assert!(spiffe("spiffe://a/ns/*/sa/x", "spiffe://a/ns/p/sa/x"));
        assert!(spiffe("spiffe://a/**", "spiffe://a/x/y"));
        assert!(spiffe("spiffe://a", "spiffe://a"));
        for (pattern, id) in [
            ("spiffe://a/device/*", "spiffe://a/device"),
            ("spiffe://a/device/*", "spiffe://a/device/7/8"),
            ("spiffe://a/device/*", "spiffe://b/device/7"),
            ("spiffe://a/device/*", "spiffe://a/devicex/7"),
            ("spiffe://a/**", "spiffe://a"),
            ("spiffe://a/x/**", "spiffe://a/x"),
            ("spiffe://a/x/**", "spiffe://a/xy/z"),
            ("spiffe://a", "spiffe://a/x"),
            ("spiffe://a/X", "spiffe://a/x"),
        ] {
            assert!(!spiffe(pattern, id), "{pattern} {id}");
        }
    }

    #[test]
    fn a_pattern_that_could_mean_two_things_is_refused() {
        for (bad, why) in [
            ("spiffe://a/dev-*", PatternError::Partial),
            ("spiffe://a/**/x", PatternError::Rest),
            ("spiffe://a/***", PatternError::Rest),
            ("spiffe://a/x/**y", PatternError::Rest),
        ] {
            assert_eq!(SpiffePattern::parse(bad), Err(why), "{bad}");
        }
        for bad in ["spiffe://*/x", "*", "**", "", "spiffe://a/", "spiffe://a//x", "https://a/*", "spiffe://a/../*"] {
            assert!(SpiffePattern::parse(bad).is_err(), "{bad}");
        }
        for good in ["spiffe://a/*", "spiffe://a/**", "spiffe://a/*/b/**", "spiffe://a"] {
            assert_eq!(SpiffePattern::parse(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_host_pattern_counts_labels() {
        let matches = |pattern: &str, name: &str| DnsPattern::parse(pattern).unwrap().matches(name);
        assert!(matches("*.corp.example", "A.Corp.Example") && matches("**.corp.example", "a.b.corp.example"));
        for (pattern, name) in [
            ("*.corp.example", "corp.example"),
            ("*.corp.example", "a.b.corp.example"),
            ("*.corp.example", "evilcorp.example"),
            ("*.corp.example", ".corp.example"),
            ("**.corp.example", "a..corp.example"),
            ("corp.example", "x.corp.example"),
            ("corp.example", "corp.example."),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        for bad in ["a*.corp", "*", "**", "a.*.b", "a..b", "", "*.", "a b", "**.a.**"] {
            assert!(DnsPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
