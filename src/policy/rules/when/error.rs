//! What can be wrong with an expression: at load, and when it is evaluated.

use std::ops::Range;

use super::syntax::Span;

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

impl CompileError {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span: span.range(), message: message.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// Why an expression has no answer for a request. Holds a place in the expression and never a value of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct EvalError {
    fault: Fault,
    span: Span,
}

impl EvalError {
    /// The bytes of the source whose evaluation failed.
    pub fn span(&self) -> Range<usize> {
        self.span.range()
    }
}

/// The kinds of evaluation errors. Absorption does not care which; a person who reads an explanation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("no token was presented")]
    NoToken,
    #[error("no client certificate was shown")]
    NoPeer,
    #[error("it is absent")]
    Absent,
    #[error("it is not in the form that it should have")]
    Malformed,
    #[error("there is nothing under that key")]
    NoKey,
    #[error("the index is out of range")]
    NoIndex,
    #[error("the types of the operands do not fit")]
    NoOverload,
    #[error("the number is out of range")]
    Overflow,
    #[error("division by zero")]
    DivisionByZero,
    #[error("the value cannot be converted")]
    Conversion,
    #[error("the time is out of range")]
    TimeRange,
    #[error("a key occurs twice in the map")]
    RepeatedKey,
    #[error("it occurs more than once in the request")]
    Repeated,
    #[error("it can be read in two ways")]
    Ambiguous,
    #[error("it is not readable text")]
    NotText,
    #[error("the format and its arguments do not fit")]
    Format,
    #[error("the work is over the bound")]
    Fuel,
}

impl Fault {
    pub(super) const fn at(self, span: Span) -> EvalError {
        EvalError { fault: self, span }
    }
}
