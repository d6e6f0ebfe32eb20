//! Room 5, the policy decision point: [`rules`] say what is allowed; only this room makes an [`Allowed`].
//!
//! In: an `Identified`. Out: [`Allowed`] or [`Denied`]. Beside the journey: [`trial`] runs the tests of a policy,
//! [`case`] describes a request instead of receiving it, [`lint`] looks for
//! what is hardly meant, [`diff`] compares two policies and [`replay`] asks one about
//! decisions that were recorded.

pub mod alarm;
pub mod case;
mod decide;
pub mod diff;
mod grant;
pub mod lint;
pub mod replay;
pub mod rules;
pub mod trial;

pub use decide::{Allowed, Denied, Policy, PolicyVersion, Watched};
pub use grant::{Grant, Renewal};
