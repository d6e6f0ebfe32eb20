//! What can be wrong with an expression: at load, and when it is evaluated.

use std::ops::Range;

/// A fault in the text of an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// The bytes of the source that are at fault.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, when that can be guessed.
    pub hint: Option<String>,
}

/// Why an expression has no answer for a request. Names parts of the expression, never values of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer")]
pub struct EvalError(());

impl EvalError {
    pub(super) const fn new() -> Self {
        Self(())
    }
}
