//! The tree that the parser builds: what was written, before anything is known of its types.

use std::ops::Range;

/// Where something stands in the source. Sources are at most 4 KiB long, so two bytes each are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) end: u16,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        let short = |place: usize| u16::try_from(place).unwrap_or(u16::MAX);
        Self { start: short(start), end: short(end) }
    }

    /// From the start of `self` to the end of `other`.
    pub(super) const fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }

    pub(super) fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: Box<str>,
    pub(super) span: Span,
}

/// An expression as it was written.
#[derive(Debug)]
pub(super) struct Syntax {
    pub(super) span: Span,
    /// The number of levels below, this one included.
    pub(super) height: u8,
    pub(super) form: Form,
}

/// The forms of an expression.
#[derive(Debug)]
pub(super) enum Form {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Name(Box<str>),
    /// `of.word`
    Select(Box<Syntax>, Word),
    /// `of[key]`
    Index(Box<Syntax>, Box<Syntax>),
    /// `word(arguments)` or `target.word(arguments)`; macros too.
    Call(Option<Box<Syntax>>, Word, Vec<Syntax>),
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    /// Two and more operands: long chains are no deeper than short ones.
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    /// `condition ? yes : no`
    If(Box<[Syntax; 3]>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
}

/// The operators with two operands, except `&&` and `||`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// As it is written.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}
