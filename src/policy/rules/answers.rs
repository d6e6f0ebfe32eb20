//! Which answers a condition may have when only a part of the facts is known: the ground that lint and `who-can` stand on.
//!
//! Walks the tree as [`Condition::truth`] does, over sets of answers. It may say that an answer is possible which is not;
//! never the other way round.

use std::sync::Arc;

use super::{Condition, Criterion, Effect, Reading, RouteRules, Rule, Truth};

/// A set of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers(u8);

const ALL: [Truth; 4] = [Truth::Holds, Truth::Fails, Truth::Missing, Truth::Malformed];

impl Answers {
    /// Nothing is known.
    pub const ANY: Self = Self(0b1111);

    /// Exactly this one.
    pub const fn only(truth: Truth) -> Self {
        Self(1 << truth as u8)
    }

    /// These.
    pub fn of(truths: &[Truth]) -> Self {
        Self(truths.iter().fold(0, |bits, truth| bits | Self::only(*truth).0))
    }

    /// Whether the answer is possible.
    pub const fn may_be(self, truth: Truth) -> bool {
        self.0 & Self::only(truth).0 != 0
    }

    /// Without this answer.
    #[must_use]
    pub const fn without(self, truth: Truth) -> Self {
        Self(self.0 & !Self::only(truth).0)
    }

    /// Whether there is one answer only.
    pub const fn is_known(self) -> bool {
        self.0.is_power_of_two()
    }

    /// The answer, when there is only one.
    pub fn known(self) -> Option<Truth> {
        self.truths().next().filter(|_| self.is_known())
    }

    fn truths(self) -> impl Iterator<Item = Truth> {
        ALL.into_iter().filter(move |truth| self.may_be(*truth))
    }

    pub(super) fn map(self, change: impl Fn(Truth) -> Truth) -> Self {
        Self(self.truths().fold(0, |bits, truth| bits | Self::only(change(truth)).0))
    }

    pub(super) fn join(self, other: Self, join: impl Fn(Truth, Truth) -> Truth) -> Self {
        let pairs = self.truths().flat_map(|one| other.truths().map(move |two| (one, two)));
        Self(pairs.fold(0, |bits, (one, two)| bits | Self::only(join(one, two)).0))
    }
}

impl Condition {
    /// The answers that the condition may have, given those that each criterion may have.
    pub fn answers(&self, reading: Reading, leaf: &impl Fn(&Criterion, Reading) -> Answers) -> Answers {
        match self {
            Self::Is(criterion) => leaf(criterion, reading).map(|truth| reading.settle(truth)),
            Self::All(parts) => parts
                .iter()
                .fold(Answers::only(Truth::Holds), |all, part| all.join(part.answers(reading, leaf), Truth::and)),
            Self::Any(parts) => parts
                .iter()
                .fold(Answers::only(Truth::Fails), |all, part| all.join(part.answers(reading, leaf), Truth::or)),
            Self::Not(inner) => inner.answers(reading.inside_not(), leaf).map(Truth::negated),
            Self::Named(_, inner) => inner.answers(reading, leaf),
            Self::WhenAbsent(absent, inner) => inner.answers(reading.when_absent(*absent), leaf),
        }
    }
}

/// Whether a rule applies, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// It does: an allow admits, a deny refuses, a requirement is met.
    Surely,
    /// It does not.
    Never,
    /// That depends on what is not known.
    Perhaps,
}

/// What a route may say, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possible {
    /// The request may be admitted.
    pub allow: bool,
    /// The request may be refused.
    pub deny: bool,
}

impl Applies {
    /// From the answers that a rule's condition may have: the polarity of [`Rule::applies`].
    pub fn of(rule: &Rule, answers: Answers) -> Self {
        let (yes, no) = match rule.effect {
            Effect::Allow | Effect::Require => {
                (answers.may_be(Truth::Holds), answers.without(Truth::Holds) != Answers(0))
            }
            Effect::Deny => (answers.without(Truth::Fails) != Answers(0), answers.may_be(Truth::Fails)),
        };
        match (yes, no) {
            (true, false) => Self::Surely,
            (false, _) => Self::Never,
            (true, true) => Self::Perhaps,
        }
    }
}

impl RouteRules {
    /// POLICY semantics 1 over what is known of each rule.
    pub fn possible(&self, applies: impl Fn(&Arc<Rule>) -> Applies) -> Possible {
        let any = |rules: &[Arc<Rule>], wanted: Applies| rules.iter().any(|rule| applies(rule) == wanted);
        let all = |rules: &[Arc<Rule>], wanted: Applies| rules.iter().all(|rule| applies(rule) == wanted);
        let stopped = any(self.denies(), Applies::Surely) || any(self.requirements(), Applies::Never);
        let admitted = any(self.allows(), Applies::Surely);
        let free = all(self.denies(), Applies::Never) && all(self.requirements(), Applies::Surely);
        Possible { allow: !stopped && !all(self.allows(), Applies::Never), deny: !(free && admitted) }
    }
}

impl Criterion {
    /// The answers when there is no token; without one everything that needs it is missing.
    pub fn answers_without_token(&self) -> Answers {
        match self {
            Self::Subject(_) | Self::Claim(_) => Answers::only(Truth::Missing),
            Self::Peer(_) | Self::Request(_) | Self::Source(_) | Self::Time(_) | Self::When(_) => Answers::ANY,
        }
    }
}
