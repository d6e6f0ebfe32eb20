//! What a rule asks: a tree of criteria, answered for one request in one of four words.
//!
//! How a criterion is read depends on what hangs on it. A permission is read narrowly (every occurrence of a header must
//! match), a denial widely (any does), and `unless` turns the one into the other. See POLICY semantics 1, 3 and 8.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Criterion, Facts, Truth};
use crate::identity::Name;

/// A condition over the facts of a request.
#[derive(Clone, Debug)]
pub enum Condition {
    /// One question.
    Is(Criterion),
    /// All of them; none at all holds.
    All(Box<[Condition]>),
    /// At least one of them; none at all fails.
    Any(Box<[Condition]>),
    /// The opposite.
    Not(Box<Condition>),
    /// A `[condition.NAME]`, shared by the rules that use it.
    Named(Name, Arc<Condition>),
    /// What it means for a denial that something inside is missing: `when_absent`.
    WhenAbsent(Absent, Box<Condition>),
}

/// What absence means for a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// `when_absent = "deny"`: what it means anyway, said aloud.
    Deny,
    /// `when_absent = "skip"`: the rule does not apply.
    Skip,
}

/// How a condition is read: for what purpose, and when.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The moment of the decision.
    pub now: Timestamp,
    denial: bool,
    negated: bool,
    skip_absent: bool,
}

/// How many of several occurrences must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// Every one: what is permitted must be permitted in every reading.
    Every,
    /// One is enough: what is denied must not hide behind another.
    One,
}

impl Reading {
    /// For an allow or a require.
    pub const fn permission(now: Timestamp) -> Self {
        Self { now, denial: false, negated: false, skip_absent: false }
    }

    /// For a deny.
    pub const fn denial(now: Timestamp) -> Self {
        Self { now, denial: true, negated: false, skip_absent: false }
    }

    /// How repeated fields and ambiguous forms are read here.
    pub const fn quantifier(self) -> Quantifier {
        if self.denial == self.negated { Quantifier::Every } else { Quantifier::One }
    }

    pub(super) const fn inside_not(self) -> Self {
        Self { negated: !self.negated, ..self }
    }

    pub(super) const fn when_absent(self, absent: Absent) -> Self {
        Self { skip_absent: matches!(absent, Absent::Skip), ..self }
    }

    /// What a criterion's own answer counts for here. Only a denial can be made to step back: a permission that needs
    /// something missing never holds.
    pub(super) fn settle(self, truth: Truth) -> Truth {
        if truth == Truth::Missing && self.skip_absent && self.denial { Truth::from(self.negated) } else { truth }
    }
}

impl Condition {
    /// Answers the condition. Allocates nothing and stops at the first answer that settles it.
    pub fn truth(&self, facts: &Facts<'_>, reading: Reading) -> Truth {
        match self {
            Self::Is(criterion) => reading.settle(criterion.truth(facts, reading)),
            Self::All(parts) => fold(parts, Truth::Holds, Truth::Fails, Truth::and, facts, reading),
            Self::Any(parts) => fold(parts, Truth::Fails, Truth::Holds, Truth::or, facts, reading),
            Self::Not(inner) => inner.truth(facts, reading.inside_not()).negated(),
            Self::Named(_, inner) => inner.truth(facts, reading),
            Self::WhenAbsent(absent, inner) => inner.truth(facts, reading.when_absent(*absent)),
        }
    }

    /// Every criterion in the tree, named conditions included, with whether it stands under an odd number of `unless`.
    pub fn visit<'c>(&'c self, seen: &mut impl FnMut(&'c Criterion, bool)) {
        self.visit_from(false, seen);
    }

    fn visit_from<'c>(&'c self, negated: bool, seen: &mut impl FnMut(&'c Criterion, bool)) {
        match self {
            Self::Is(criterion) => seen(criterion, negated),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit_from(negated, seen)),
            Self::Not(inner) => inner.visit_from(!negated, seen),
            Self::Named(_, inner) => inner.visit_from(negated, seen),
            Self::WhenAbsent(_, inner) => inner.visit_from(negated, seen),
        }
    }

    /// Whether the condition can hold only for somebody who proved who they are: what an allow must ask, unless it says
    /// `anonymous = true`. An alternative identifies when each of its parts does; an `unless` never does.
    pub fn identifies(&self) -> bool {
        match self {
            Self::Is(criterion) => criterion.identifies(),
            Self::All(parts) => parts.iter().any(Self::identifies),
            Self::Any(parts) => !parts.is_empty() && parts.iter().all(Self::identifies),
            Self::Not(_) => false,
            Self::Named(_, inner) => inner.identifies(),
            Self::WhenAbsent(_, inner) => inner.identifies(),
        }
    }

    /// Whether any criterion of the tree has the property.
    pub fn mentions(&self, property: impl Fn(&Criterion) -> bool) -> bool {
        let mut found = false;
        self.visit(&mut |criterion, _| found |= property(criterion));
        found
    }
}

fn fold(
    parts: &[Condition],
    start: Truth,
    settled: Truth,
    join: impl Fn(Truth, Truth) -> Truth,
    facts: &Facts<'_>,
    reading: Reading,
) -> Truth {
    let mut all = start;
    for part in parts {
        all = join(all, part.truth(facts, reading));
        if all == settled {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Absent, Condition, Criterion, Reading};
    use crate::policy::rules::Truth;
    use crate::policy::rules::criterion::{PeerCriterion, SubjectCriterion};

    #[test]
    fn only_a_denial_steps_back_from_what_is_missing() {
        let now = Timestamp::UNIX_EPOCH;
        let settled = |reading: Reading| [reading, reading.inside_not()].map(|it| it.settle(Truth::Missing));
        let skipping = |reading: Reading| settled(reading.when_absent(Absent::Skip));
        assert_eq!(skipping(Reading::denial(now)), [Truth::Fails, Truth::Holds]);
        assert_eq!(skipping(Reading::permission(now)), [Truth::Missing; 2], "an allow or a require");
        assert_eq!(settled(Reading::denial(now)), [Truth::Missing; 2]);
    }

    #[test]
    fn an_alternative_identifies_when_every_part_of_it_does() {
        let somebody = || Condition::Is(Criterion::Subject(SubjectCriterion::Any));
        let nobody = || Condition::Is(Criterion::Peer(PeerCriterion::None));
        let any = |parts: Vec<Condition>| Condition::Any(parts.into()).identifies();
        assert!(any(vec![somebody(), somebody()]));
        assert!(!any(vec![somebody(), nobody()]) && !any(vec![nobody(), somebody()]));
        assert!(!any(Vec::new()), "nobody is demanded");
        assert!(Condition::All([nobody(), somebody()].into()).identifies());
        assert!(!Condition::Not(Box::new(somebody())).identifies());
    }
}
