//! One rule: an effect, the routes it speaks of, a condition, and what follows from it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::{Condition, Criterion, Facts, Reading, Rollout, Truth};
use crate::identity::Name;

/// A rule as it was written, checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, which no other rule has.
    pub name: Name,
    /// What it does when it applies.
    pub effect: Effect,
    /// Which routes it speaks of.
    pub routes: RouteSelection,
    /// What it asks.
    pub condition: Condition,
    /// Whether it said `anonymous = true`: it may admit a request of which nobody is known.
    pub anonymous: bool,
    /// Whether it counts, or is only watched.
    pub mode: Mode,
    /// Whom it reaches, when not everybody.
    pub rollout: Option<Rollout>,
    /// What follows from it.
    pub obligations: Option<Box<Obligations>>,
    /// Where it stands: `policies/payments.toml:12`.
    pub origin: Arc<str>,
}

/// What a rule does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// `[[allow]]`: admits, unless something denies or a requirement fails.
    Allow,
    /// `[[deny]]`: refuses, whatever else applies.
    Deny,
    /// `[[require]]`: refuses whatever does not meet it.
    Require,
}

/// Which routes a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteSelection {
    /// These.
    Named(Box<[Name]>),
    /// `routes = ["*"]`: all, without `except_routes`.
    Every {
        /// `except_routes`.
        except: Box<[Name]>,
    },
}

/// Whether a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// It is evaluated beside the rules that decide, and the difference is recorded.
    Shadow,
}

/// What follows from a decision that a rule made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Obligations {
    /// Header fields for the upstream, when the rule allows.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A text for the person refused.
    pub advice: Option<Arc<str>>,
    /// How loudly the decision is logged.
    pub log: Option<LogLevel>,
}

/// How loudly a decision is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For those who look closely.
    Debug,
    /// As usual.
    Info,
    /// Somebody should look.
    Warn,
}

impl Effect {
    /// The word in the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Require => "require",
        }
    }
}

impl RouteSelection {
    /// Whether the rule speaks of this route.
    pub fn covers(&self, route: &Name) -> bool {
        match self {
            Self::Named(names) => names.contains(route),
            Self::Every { except } => !except.contains(route),
        }
    }
}

impl Rule {
    /// How the rule's condition is read.
    pub const fn reading(&self, now: Timestamp) -> Reading {
        match self.effect {
            Effect::Allow | Effect::Require => Reading::permission(now),
            Effect::Deny => Reading::denial(now),
        }
    }

    /// Whether the rule's condition holds, and whether the rule reaches this subject.
    pub fn truth(&self, facts: &Facts<'_>, now: Timestamp) -> Truth {
        match &self.rollout {
            Some(rollout) if !rollout.reaches(self, facts) => Truth::from(self.effect == Effect::Require),
            _ => self.condition.truth(facts, self.reading(now)),
        }
    }

    /// Whether the rule applies: an allow that admits, a requirement that is met, a deny that refuses.
    ///
    /// Here the polarity of POLICY semantics 1 lives: what needs something missing or malformed does not permit, and does
    /// deny.
    pub fn applies(&self, facts: &Facts<'_>, now: Timestamp) -> bool {
        match (self.effect, self.truth(facts, now)) {
            (Effect::Allow | Effect::Require, Truth::Holds) => true,
            (Effect::Allow | Effect::Require, Truth::Fails | Truth::Missing | Truth::Malformed) => false,
            (Effect::Deny, Truth::Holds | Truth::Missing | Truth::Malformed) => true,
            (Effect::Deny, Truth::Fails) => false,
        }
    }

    /// Whether the rule makes a difference: an allow that admits, a deny that refuses, a requirement that is not met.
    pub fn takes_effect(&self, facts: &Facts<'_>, now: Timestamp) -> bool {
        self.applies(facts, now) == (self.effect != Effect::Require)
    }

    /// Whether anything in the rule looks at the token.
    pub fn reads_token(&self) -> bool {
        self.condition.mentions(Criterion::reads_token)
    }

    /// The advice for whoever is refused.
    pub fn advice(&self) -> Option<&Arc<str>> {
        self.obligations.as_ref()?.advice.as_ref()
    }
}
