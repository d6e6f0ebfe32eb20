//! `when` expressions: a typed subset of CEL, read at load, compiled to closures, evaluated over borrowed facts.
//!
//! In: the text of a `when` key and a [`Schema`]. Out: an [`Expression`], or every fault in the text with its place.
//! Pure: no I/O and no clock. The language is described in `docs/when.md`.

mod error;
mod schema;

use jiff::Timestamp;

use super::Facts;

pub use error::{CompileError, EvalError};
pub use schema::{Reads, Schema};

/// A `when` expression that was read, typed and compiled.
#[derive(Debug)]
pub struct Expression {
    source: Box<str>,
    reads: Reads,
}

impl Expression {
    /// Reads, types and compiles an expression.
    ///
    /// # Errors
    /// Every fault that was found, in the order of the text.
    pub fn compile(source: &str, _schema: &Schema) -> Result<Self, Vec<CompileError>> {
        Err(vec![CompileError { span: 0..source.len(), message: "not built yet".to_owned(), hint: None }])
    }

    /// Whether the expression holds for these facts at this moment.
    ///
    /// # Errors
    /// [`EvalError`] when it has no answer: something is absent, of another type, out of range, or too much work. It
    /// never admits: a permission or requirement does not hold, a denial applies.
    pub fn evaluate(&self, _facts: &Facts<'_>, _now: Timestamp) -> Result<bool, EvalError> {
        Err(EvalError::new())
    }

    /// The text as it was written.
    pub const fn source(&self) -> &str {
        &self.source
    }

    /// What the parts of the expression are for these facts: the text of a part, and its value or its error.
    pub fn explain(&self, _facts: &Facts<'_>, _now: Timestamp) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What the expression looks at.
    pub const fn reads(&self) -> &Reads {
        &self.reads
    }
}
