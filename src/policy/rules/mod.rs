//! The rules: facts in, a decision with its reasons out. Pure: no I/O, no async, no clock.
//!
//! In: [`Facts`] and a moment. Out: a [`Verdict`], and on demand a [`Refusal`] or an [`Explanation`].
//!
//! A [`Rule`] has one [`Effect`] and one [`Condition`], a tree of [`Criterion`]s; a [`RuleSet`] binds rules to routes;
//! [`evaluate()`] is the table of POLICY semantics 1. The answer to a condition is one of four words, see [`Truth`].

mod answers;
mod condition;
pub mod criterion;
mod evaluate;
mod explain;
mod facts;
mod reads;
mod refusal;
pub mod relation;
mod rollout;
mod rule;
mod rule_set;
mod truth;
pub mod when;
pub mod who;

pub use answers::{Answers, Applies, Possible};
pub use condition::{Absent, Condition, Quantifier, Reading};
pub use criterion::Criterion;
pub use evaluate::{Verdict, evaluate, evaluate_with_shadows};
pub use explain::{Explanation, Finding, Look, Node, RuleExplanation, explain};
pub use facts::{Facts, RequestFacts};
pub use reads::HeadersRead;
pub use refusal::Refusal;
pub use rollout::Rollout;
pub use rule::{Effect, LogLevel, Mode, Obligations, RouteSelection, Rule};
pub use rule_set::{RouteOutline, RouteRules, RuleFault, RuleSet};
pub use truth::Truth;
