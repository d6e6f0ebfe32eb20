//! Comparing a list: has it any of these, all of these, none of these? (POLICY semantics 3)

use super::{StringSet, listed};

/// What a list of texts must have. Every part that is there must hold.
#[derive(Clone, Debug, Default)]
pub struct ListMatch {
    /// At least one of these.
    pub any: Option<StringSet>,
    /// Every one of these.
    pub all: Option<StringSet>,
    /// Not one of these.
    pub none: Option<StringSet>,
}

impl ListMatch {
    /// Whether a list with these elements has what it must. An element is equal or it is not; never a part of one.
    pub fn matches<'t, I: Iterator<Item = &'t str> + Clone>(&self, elements: I) -> bool {
        let has = |wanted: &str| elements.clone().any(|element| element == wanted);
        let any_in = |set: &StringSet| elements.clone().any(|element| set.contains(element));
        self.any.as_ref().is_none_or(any_in)
            && self.all.as_ref().is_none_or(|set| set.iter().all(has))
            && !self.none.as_ref().is_some_and(any_in)
    }

    /// What is asked for, in words, for a thing called `noun`.
    pub fn wanted(&self, noun: &str) -> String {
        let words =
            |set: &StringSet, join: &str| set.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(join);
        let parts = [
            self.any.as_ref().map(|set| format!("{noun} {}", words(set, " or "))),
            self.all.as_ref().map(|set| format!("{noun} {}", words(set, " and "))),
            self.none.as_ref().map(|set| format!("not {noun} {}", words(set, " or "))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    /// What was found instead, in words.
    pub(super) fn seen<'t>(elements: impl Iterator<Item = &'t str>) -> String {
        listed(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::{ListMatch, StringSet};

    #[test]
    fn an_element_is_equal_or_it_is_not() {
        let any = ListMatch { any: Some(StringSet::new(["finance", "sre"])), ..ListMatch::default() };
        assert!(any.matches(["x", "sre"].into_iter()));
        assert!(!any.matches(["finance sre", "finance,sre", "finances"].into_iter()));
        assert!(!any.matches([].into_iter()));
        let all = ListMatch { all: Some(StringSet::new(["a", "b"])), ..ListMatch::default() };
        assert!(all.matches(["b", "c", "a"].into_iter()) && !all.matches(["a", "a"].into_iter()));
        let none = ListMatch { none: Some(StringSet::new(["a"])), ..ListMatch::default() };
        assert!(
            none.matches([].into_iter()) && none.matches(["b"].into_iter()) && !none.matches(["b", "a"].into_iter())
        );
    }
}
