//! What the variable parts of a path pattern matched.

use std::sync::Arc;

/// The path parameters of one request: a name from the pattern, and the segment decoded once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathParams(Vec<(Arc<str>, Box<str>)>);

impl PathParams {
    /// No parameter.
    pub const NONE: Self = Self(Vec::new());

    /// Adds a parameter; patterns never name one twice.
    pub fn push(&mut self, name: Arc<str>, value: impl Into<Box<str>>) {
        self.0.push((name, value.into()));
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All parameters in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}
