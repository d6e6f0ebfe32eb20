//! The rules: facts in, a decision with its reasons out. Pure: no I/O, no async, no clock.

mod facts;
pub mod when;

pub use facts::{Facts, RequestFacts};
