//! The typed tree: what the checker makes of the syntax, and what the compiler lowers to closures.

use std::sync::Arc;

use regex::Regex;

use super::functions::{Clock, Function};
use super::moment::Zone;
use super::number::Arithmetic;
use super::schema::{Member, Table};
use super::syntax::Span;
use super::types::Type;
use super::value::Value;

/// A typed expression.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Type,
    pub(super) form: Form,
}

/// The forms of a typed expression.
#[derive(Debug)]
pub(super) enum Form {
    Constant(Value<'static>),
    Now,
    /// A member of a table.
    Member(Table, &'static Member),
    /// The variable of the macro that is so many macros further out.
    Variable(usize),
    /// `has(token)`
    HasTable(Table),
    /// `has(token.acr)`
    HasMember(Table, &'static Member),
    /// `has(of.key)`
    HasField(Box<Node>, Arc<str>),
    /// `of.key` and `of["key"]`
    Field(Box<Node>, Arc<str>),
    Index(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    /// `==`, or `!=` when true.
    Equal(bool, Box<Node>, Box<Node>),
    Order(Comparison, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    Call(&'static Function, Vec<Node>),
    /// `text.matches("constant")`
    Matches(Box<Node>, Regex),
    /// `moment.getHours("zone")`
    Clock(Clock, Box<Node>, Zone),
    Loop(Box<Loop>),
}

/// `<` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A macro over the elements of a list, or the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) mode: Mode,
    pub(super) over: Node,
    /// Two variables: index and element, or key and value.
    pub(super) pair: bool,
    /// Which elements count, for the macros that collect.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

impl Loop {
    /// Whether the macro gives a list or a map, and not a truth.
    pub(super) const fn collects(&self) -> bool {
        matches!(self.mode, Mode::Collect | Mode::Remap)
    }
}

/// What becomes of the body's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    All,
    Exists,
    ExistsOne,
    /// `filter`, `map` and `transformList`.
    Collect,
    /// `transformMap`: the keys stay.
    Remap,
}

impl Node {
    pub(super) const fn new(span: Span, kind: Type, form: Form) -> Self {
        Self { span, kind, form }
    }

    pub(super) const fn constant(&self) -> Option<&Value<'static>> {
        match &self.form {
            Form::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The parts of the node, in the order of the text.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match &self.form {
            Form::Constant(_)
            | Form::Now
            | Form::Member(..)
            | Form::Variable(_)
            | Form::HasTable(_)
            | Form::HasMember(..) => Vec::new(),
            Form::HasField(of, _)
            | Form::Field(of, _)
            | Form::Not(of)
            | Form::Negate(of)
            | Form::Matches(of, _)
            | Form::Clock(_, of, _) => vec![of],
            Form::Index(one, two)
            | Form::Equal(_, one, two)
            | Form::Order(_, one, two)
            | Form::In(one, two)
            | Form::Arithmetic(_, one, two) => vec![one, two],
            Form::List(parts) | Form::And(parts) | Form::Or(parts) | Form::Call(_, parts) => parts.iter().collect(),
            Form::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Form::If(parts) => parts.iter().collect(),
            Form::Loop(of) => [&of.over].into_iter().chain(&of.filter).chain([&of.body]).collect(),
        }
    }

    /// How many nodes there are from here down: the work of one pass without its macros.
    pub(super) fn weight(&self) -> usize {
        1 + self.parts().into_iter().map(Self::weight).sum::<usize>()
    }
}
