//! `when` expressions: a typed subset of CEL, read at load, compiled to closures, evaluated over borrowed facts.
//!
//! In: the text of a `when` key and a [`Schema`]. Out: an [`Expression`], or every fault in the text with its place.
//! Pure: no I/O and no clock. The language is described in `docs/when.md`. The way of a source: `lexer`, `parse`
//! (syntax), `check` (types), `fold` (constants), `cost` (the bound), `compile` (closures).

mod calls;
mod check;
mod collection;
mod compile;
mod cost;
mod environment;
mod error;
mod explain;
mod fold;
mod functions;
mod lexer;
mod literal;
mod macros;
mod moment;
mod number;
mod parse;
mod path;
mod query;
mod schema;
mod shapes;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod value;

use std::fmt;

use jiff::Timestamp;

use self::compile::{Compiler, Test};
use self::environment::{Env, FUEL, Fuel, Root};
use self::tree::Node;
use self::types::Type;
use self::value::Value;
use super::Facts;

pub use error::{CompileError, EvalError};
pub use schema::{Reads, Schema};

/// A `when` expression that was read, typed and compiled.
pub struct Expression {
    source: Box<str>,
    schema: Schema,
    reads: Reads,
    test: Test,
    constants: Box<[Value<'static>]>,
}

impl Expression {
    /// Reads, types and compiles an expression.
    ///
    /// # Errors
    /// Every fault that was found. A fault of the grammar hides those of the types.
    pub fn compile(source: &str, schema: &Schema) -> Result<Self, Vec<CompileError>> {
        let (node, reads) = typed(source, schema, Vec::new())?;
        if node.kind != Type::Bool && !node.kind.is_dyn() {
            let message = format!("the whole expression must be true or false, and it is {}", node.kind);
            return Err(vec![CompileError::new(node.span, message)]);
        }
        let mut compiler = Compiler::default();
        let test = compiler.test(&node);
        let constants = compiler.constants.into();
        Ok(Self { source: source.into(), schema: schema.clone(), reads, test, constants })
    }

    /// Whether the expression holds for these facts at this moment.
    ///
    /// # Errors
    /// [`EvalError`] when it has no answer: something is absent, of another type, out of range, or too much work. It
    /// never admits: a permission or requirement does not hold, a denial applies.
    pub fn evaluate(&self, facts: &Facts<'_>, now: Timestamp) -> Result<bool, EvalError> {
        let root = Root { facts, now: now.into(), constants: &self.constants, fuel: Fuel::of(FUEL) };
        (self.test)(&Env::outermost(&root))
    }

    /// The text as it was written.
    pub const fn source(&self) -> &str {
        &self.source
    }

    /// What the parts of the expression are for these facts: the text of a part, and its value or its error. What is
    /// read comes before the comparison that reads it. For people; it reads the source anew.
    pub fn explain(&self, facts: &Facts<'_>, now: Timestamp) -> Vec<(String, String)> {
        explain::explain(&self.source, &self.schema, facts, now)
    }

    /// What the expression looks at.
    pub const fn reads(&self) -> &Reads {
        &self.reads
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// The typed and folded tree of a source, within its bound on cost.
fn typed(source: &str, schema: &Schema, variables: Vec<(Box<str>, Type)>) -> Result<(Node, Reads), Vec<CompileError>> {
    let syntax = parse::parse(source).map_err(|error| vec![error])?;
    let (node, reads) = check::check(&syntax, schema, variables)?;
    let mut errors = Vec::new();
    let node = fold::fold(node, &mut errors);
    if errors.is_empty() {
        cost::check(&node).map_err(|error| vec![error])?;
        return Ok((node, reads));
    }
    Err(errors)
}
