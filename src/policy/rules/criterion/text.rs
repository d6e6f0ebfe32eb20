//! Comparing one text. Exactly, code point by code point, unless the rule says otherwise (POLICY semantics 2).

use regex::Regex;

use super::quoted;

/// What a text must be. All tests must hold.
#[derive(Clone, Debug)]
pub struct TextMatch {
    /// The tests, at least one.
    pub tests: Box<[TextTest]>,
    /// Whether ASCII letters are compared without case; not for regular expressions, which say it themselves.
    pub ignore_case: bool,
}

/// One test of a text.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// One of these.
    OneOf(StringSet),
    /// None of these.
    NoneOf(StringSet),
    /// Begins so.
    Prefix(Box<str>),
    /// Ends so.
    Suffix(Box<str>),
    /// Has this inside.
    Contains(Box<str>),
    /// A mail address of exactly this domain: one `@`, something before it, and nothing but the domain after it.
    Domain(Box<str>),
    /// Matches from the first to the last character.
    Regex(Box<Regex>),
}

/// Distinct strings, found by comparing or by hashing, whichever is faster for their number.
#[derive(Clone, Debug)]
pub struct StringSet(Box<[Box<str>]>);

impl StringSet {
    /// Takes the strings in any order.
    pub fn new(strings: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let mut strings: Vec<Box<str>> = strings.into_iter().map(Into::into).collect();
        strings.sort_unstable();
        strings.dedup();
        Self(strings.into())
    }

    /// Whether the set has the text, compared exactly.
    pub fn contains(&self, text: &str) -> bool {
        const FEW: usize = 8;
        if self.0.len() <= FEW {
            self.0.iter().any(|known| **known == *text)
        } else {
            self.0.binary_search_by(|known| (**known).cmp(text)).is_ok()
        }
    }

    fn contains_ignoring_case(&self, text: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(text))
    }

    /// The strings, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|text| &**text)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

impl TextMatch {
    /// Exactly one of these.
    pub fn one_of(strings: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self { tests: Box::new([TextTest::OneOf(StringSet::new(strings))]), ignore_case: false }
    }

    /// All the texts that can match, when the match names them: it takes one of these, if any.
    pub fn named(&self) -> Option<&StringSet> {
        self.tests.iter().filter(|_| !self.ignore_case).find_map(|test| match test {
            TextTest::OneOf(set) => Some(set),
            _ => None,
        })
    }

    /// Whether the text passes every test.
    pub fn matches(&self, text: &str) -> bool {
        self.tests.iter().all(|test| test.holds(text, self.ignore_case))
    }

    /// What is asked for, in words.
    pub fn wanted(&self) -> String {
        let tests: Vec<_> = self.tests.iter().map(TextTest::wanted).collect();
        let case = if self.ignore_case { ", whatever the case" } else { "" };
        format!("{}{case}", tests.join(" and "))
    }
}

impl TextTest {
    fn holds(&self, text: &str, ignore_case: bool) -> bool {
        match self {
            Self::OneOf(set) if ignore_case => set.contains_ignoring_case(text),
            Self::OneOf(set) => set.contains(text),
            Self::NoneOf(set) if ignore_case => !set.contains_ignoring_case(text),
            Self::NoneOf(set) => !set.contains(text),
            Self::Prefix(prefix) => text.get(..prefix.len()).is_some_and(|start| same(start, prefix, ignore_case)),
            Self::Suffix(suffix) => {
                let start = text.len().checked_sub(suffix.len());
                start.and_then(|start| text.get(start..)).is_some_and(|end| same(end, suffix, ignore_case))
            }
            Self::Contains(part) if ignore_case => {
                text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
            }
            Self::Contains(part) => text.contains(&**part),
            Self::Domain(domain) => {
                let parts = text.split_once('@');
                parts.is_some_and(|(local, host)| !local.is_empty() && host.eq_ignore_ascii_case(domain))
            }
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    fn wanted(&self) -> String {
        let list = |set: &StringSet| set.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" or ");
        match self {
            Self::OneOf(set) => list(set),
            Self::NoneOf(set) => format!("not {}", list(set)),
            Self::Prefix(text) => format!("beginning with `{text}`"),
            Self::Suffix(text) => format!("ending with `{text}`"),
            Self::Contains(text) => format!("containing `{text}`"),
            Self::Domain(text) => format!("an address @{text}"),
            Self::Regex(regex) => format!("matching {}", quoted(regex.as_str())),
        }
    }
}

fn same(left: &str, right: &str, ignore_case: bool) -> bool {
    if ignore_case { left.eq_ignore_ascii_case(right) } else { left == right }
}

#[cfg(test)]
mod tests {
    use super::{StringSet, TextMatch, TextTest};

    fn test(test: TextTest, ignore_case: bool) -> TextMatch {
        TextMatch { tests: Box::new([test]), ignore_case }
    }

    #[test]
    fn strings_compare_exactly_unless_the_rule_says_otherwise() {
        let exact = TextMatch::one_of(["Finance"]);
        assert!(exact.matches("Finance"));
        for other in ["finance", "Finance ", "Financ", "Finances", "", "Fina\u{0301}nce"] {
            assert!(!exact.matches(other), "{other}");
        }
        assert!(test(TextTest::OneOf(StringSet::new(["Finance"])), true).matches("fInAnCe"));
    }

    #[test]
    fn a_domain_is_what_follows_the_only_at_sign() {
        let domain = test(TextTest::Domain("corp.example".into()), false);
        assert!(domain.matches("a@corp.example") && domain.matches("a@CORP.example"));
        for other in ["a@evil@corp.example", "@corp.example", "a@corp.example.evil", "a@xcorp.example", "corp.example"]
        {
            assert!(!domain.matches(other), "{other}");
        }
    }

    #[test]
    fn parts_of_a_text_are_found_on_character_borders_only() {
        assert!(test(TextTest::Prefix("ab".into()), false).matches("abc"));
        assert!(!test(TextTest::Prefix("ab".into()), false).matches("a\u{e4}"));
        assert!(test(TextTest::Suffix("-BOT".into()), true).matches("x-bot"));
        assert!(!test(TextTest::Suffix("longer than the text".into()), false).matches("x"));
        assert!(test(TextTest::Contains("B".into()), true).matches("abc"));
    }

    #[test]
    fn large_sets_find_what_small_sets_find() {
        let large = StringSet::new((0..1000).map(|n| format!("u-{n}")));
        assert!(large.contains("u-999") && large.contains("u-0") && !large.contains("u-1000") && !large.contains("u-"));
    }
}
