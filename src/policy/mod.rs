//! Room 5, the policy decision point: [`rules`] say what is allowed; only this room makes an `Allowed`.

pub mod case;
pub mod rules;
pub mod trial;
