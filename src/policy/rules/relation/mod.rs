//! How conditions stand to each other, whatever the request: that one excludes another, that one implies another.
//!
//! Sound and not complete: what is said is so, what is not said may be so all the same. Lint and `who-can` rest on it.

mod excludes;
mod implies;

use std::mem::discriminant;

use super::{Condition, Criterion};
pub use excludes::excludes;
pub use implies::implies;

/// How deep alternatives are followed into each other.
const DEEPEST: usize = 3;

/// Which side of a decision the condition is read for; see [`Reading`](super::Reading).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// An allow or a require: of what occurs repeatedly, every occurrence counts.
    Permission,
    /// A deny: any occurrence counts.
    Denial,
}

/// Parts of a condition that must all hold, with named conditions opened.
#[derive(Clone, Debug, Default)]
pub struct Conjunction<'c> {
    criteria: Vec<&'c Criterion>,
    alternatives: Vec<&'c [Condition]>,
    negated: Vec<&'c Condition>,
}

impl<'c> Conjunction<'c> {
    /// The parts of one condition.
    pub fn of(condition: &'c Condition) -> Self {
        let mut parts = Self::default();
        parts.add(condition);
        parts
    }

    /// And those of another.
    #[must_use]
    pub fn and(mut self, condition: &'c Condition) -> Self {
        self.add(condition);
        self
    }

    fn add(&mut self, condition: &'c Condition) {
        match condition {
            Condition::Is(criterion) => self.criteria.push(criterion),
            Condition::All(parts) => parts.iter().for_each(|part| self.add(part)),
            Condition::Any(parts) => self.alternatives.push(parts),
            Condition::Not(inner) => self.negated.push(inner),
            Condition::Named(_, inner) => self.add(inner),
            Condition::WhenAbsent(_, inner) => self.add(inner),
        }
    }

    /// The criteria that must hold, alternatives left out.
    pub fn criteria(&self) -> &[&'c Criterion] {
        &self.criteria
    }

    /// Whether the criterion holds wherever all of the parts hold.
    pub fn implies_criterion(&self, criterion: &Criterion) -> bool {
        self.criteria.iter().any(|known| implies(known, criterion))
    }

    /// Whether the criterion never holds where all of the parts hold.
    pub fn excludes_criterion(&self, criterion: &Criterion) -> bool {
        self.criteria.iter().any(|known| excludes(known, criterion, Side::Denial))
    }

    /// Why the parts can never hold together, in words: which two are at odds. `None` is no promise that they can.
    pub fn contradiction(&self, side: Side) -> Option<String> {
        self.contradiction_within(side, DEEPEST)
    }

    fn contradiction_within(&self, side: Side, depth: usize) -> Option<String> {
        let itself = self.criteria.iter().find(|one| excludes(one, one, side));
        if let Some(one) = itself {
            return Some(format!("{} can never be", one.wanted()));
        }
        for (number, one) in self.criteria.iter().enumerate() {
            let mut others = self.criteria.iter().skip(number + 1);
            if let Some(two) = others.find(|two| excludes(one, two, side)) {
                return Some(format!("{} excludes {}", one.wanted(), two.wanted()));
            }
        }
        // A narrower reading inside of `unless` could escape in a denial.
        let denied = self.negated.iter().find(|inner| side == Side::Permission && self.implies(inner));
        if let Some(inner) = denied {
            return Some(format!("it asks for {} and excludes that", inner.wanted()));
        }
        let deeper = depth.checked_sub(1)?;
        let impossible =
            |part: &'c Condition| self.clone_without_alternatives().and(part).contradiction_within(side, deeper);
        self.alternatives.iter().find_map(|parts| {
            let reasons: Option<Vec<_>> = parts.iter().map(impossible).collect();
            reasons.map(|reasons| reasons.join("; "))
        })
    }

    fn clone_without_alternatives(&self) -> Self {
        Self { alternatives: Vec::new(), ..self.clone() }
    }

    /// Whether `condition` holds wherever all of the parts hold, both read for a permission.
    pub fn implies(&self, condition: &Condition) -> bool {
        self.implies_within(condition, DEEPEST)
    }

    fn implies_within(&self, condition: &Condition, depth: usize) -> bool {
        let plainly = match condition {
            Condition::Is(wanted) => self.criteria.iter().any(|known| implies(known, wanted)),
            Condition::All(parts) => parts.iter().all(|part| self.implies_within(part, depth)),
            Condition::Any(parts) => parts.iter().any(|part| self.implies_within(part, depth)),
            Condition::Not(inner) => self.negated.iter().any(|known| same(known, inner)),
            Condition::Named(_, inner) => self.implies_within(inner, depth),
            Condition::WhenAbsent(_, inner) => self.implies_within(inner, depth),
        };
        if plainly {
            return true;
        }
        let Some(deeper) = depth.checked_sub(1) else { return false };
        let all_lead_there = |parts: &&'c [Condition]| {
            let rest = self.clone_without_alternatives();
            parts.iter().all(|part| rest.clone().and(part).implies_within(condition, deeper))
        };
        self.alternatives.iter().any(all_lead_there)
    }
}

/// Whether two conditions are written alike.
pub fn same(one: &Condition, two: &Condition) -> bool {
    discriminant(one) == discriminant(two) && format!("{one:?}") == format!("{two:?}")
}
