//! The answer to one condition. Four words instead of two, because a missing fact is neither a yes nor a no.

/// Whether a condition holds for the facts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Holds,
    /// It does not hold.
    Fails,
    /// What it asks about is not there: no token, no certificate, no such claim, header or parameter.
    Missing,
    /// What it asks about is there and cannot be read as what the rule expects.
    Malformed,
}

impl Truth {
    /// Whether the facts decide the condition at all.
    pub const fn is_decided(self) -> bool {
        matches!(self, Self::Holds | Self::Fails)
    }

    /// The word for it in explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
        }
    }

    /// All of them (Kleene's strong conjunction): one that fails settles it, else one that is undecided does.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Malformed, _) | (_, Self::Malformed) => Self::Malformed,
            (Self::Missing, _) | (_, Self::Missing) => Self::Missing,
            (Self::Holds, Self::Holds) => Self::Holds,
        }
    }

    /// At least one of them (Kleene's strong disjunction).
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    /// The opposite; what is undecided stays undecided.
    #[must_use]
    pub const fn negated(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            undecided => undecided,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{Fails, Holds, Malformed, Missing};

    #[test]
    fn a_missing_fact_settles_nothing_but_cannot_be_argued_away() {
        assert_eq!(Holds.and(Missing), Missing);
        assert_eq!(Fails.and(Missing), Fails);
        assert_eq!(Holds.or(Malformed), Holds);
        assert_eq!(Fails.or(Malformed), Malformed);
        assert_eq!(Missing.negated(), Missing);
        assert_eq!(Malformed.and(Missing), Malformed);
    }
}
