//! The functions of the language: their names, what they take and give, what they cost, and what they do.

mod convert;
mod format;
mod list;
mod math;
mod network;
mod text;
mod time;

use jiff::civil::DateTime;

use super::environment::Root;
use super::error::Fault;
use super::schema::Size;
use super::types::Type;
use super::value::Value;

/// A function, under all of its signatures.
#[derive(Debug)]
pub(super) struct Function {
    /// With its namespace, as in `strings.quote`.
    pub(super) name: &'static str,
    pub(super) style: Style,
    pub(super) overloads: &'static [(&'static [Takes], Gives)],
    pub(super) run: Run,
    pub(super) cost: Cost,
}

impl Function {
    /// The types of the results that a call with such arguments may have; none when it takes no such arguments.
    pub(super) fn results(&self, arguments: &[&Type]) -> Vec<Type> {
        let fitting = self.overloads.iter().filter(|(takes, _)| match takes.split_last() {
            Some((Takes::Numbers, first)) => {
                arguments.len() >= first.len() && fits(first, arguments) && {
                    arguments.iter().skip(first.len()).all(|kind| Takes::Numbers.accepts(kind))
                }
            }
            _ => takes.len() == arguments.len() && fits(takes, arguments),
        });
        fitting.map(|(_, gives)| gives.kind(arguments)).collect()
    }
}

fn fits(takes: &[Takes], arguments: &[&Type]) -> bool {
    takes.iter().zip(arguments).all(|(takes, kind)| takes.accepts(kind))
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `name(a, b)`
    Plain,
    /// `a.name(b)`
    Method,
}

/// The work of a call and the size of its result, from the sizes of its arguments.
pub(super) type Cost = fn(&[Size]) -> (usize, Size);

/// What a function does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    Native(Native),
    /// The same; when all arguments are constants and it fails, that is a load error.
    Parse(Native),
    /// A regular expression, which must be a constant.
    Pattern,
    /// A part of a moment in a time zone, which must be a constant, or of a duration.
    Clock(Clock),
}

/// A function over values. It trusts no type: an argument may have been `dyn`.
pub(super) type Native = for<'a> fn(&Root<'a>, &[Value<'a>]) -> Result<Value<'a>, Fault>;

/// A part of a date and time, and how many nanoseconds it is in a duration, where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) read: fn(&DateTime) -> i64,
    pub(super) nanos: Option<i64>,
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Moment,
    Duration,
    Address,
    Network,
    Fields,
    Map,
    List,
    Texts,
    Number,
    /// Any number of numbers, at the end.
    Numbers,
}

impl Takes {
    /// Whether a value of the type may fit.
    pub(super) fn accepts(self, kind: &Type) -> bool {
        if kind.is_dyn() {
            return true;
        }
        match self {
            Self::Any => true,
            Self::Map => kind.entries().is_some(),
            Self::List => matches!(kind, Type::List(_)),
            Self::Texts => matches!(kind, Type::List(of) if of.is_dyn() || **of == Type::Text),
            Self::Number | Self::Numbers => kind.is_number(),
            Self::Bool => *kind == Type::Bool,
            Self::Int => *kind == Type::Int,
            Self::Uint => *kind == Type::Uint,
            Self::Double => *kind == Type::Double,
            Self::Text => *kind == Type::Text,
            Self::Bytes => *kind == Type::Bytes,
            Self::Moment => *kind == Type::Moment,
            Self::Duration => *kind == Type::Duration,
            Self::Address => *kind == Type::Address,
            Self::Network => *kind == Type::Network,
            Self::Fields => *kind == Type::Fields,
        }
    }

    /// As it is written in a message.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "dyn",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Moment => "timestamp",
            Self::Duration => "duration",
            Self::Address => "net.IP",
            Self::Network => "net.CIDR",
            Self::Fields => "headers or query",
            Self::Map => "map",
            Self::List => "list",
            Self::Texts => "list(string)",
            Self::Number => "number",
            Self::Numbers => "number...",
        }
    }
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Moment,
    Duration,
    Address,
    Network,
    Kind,
    Texts,
    /// The type that all arguments have, else dyn.
    Joined,
}

impl Gives {
    pub(super) fn kind(self, arguments: &[&Type]) -> Type {
        match self {
            Self::Dyn => Type::Dyn,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Uint => Type::Uint,
            Self::Double => Type::Double,
            Self::Text => Type::Text,
            Self::Bytes => Type::Bytes,
            Self::Moment => Type::Moment,
            Self::Duration => Type::Duration,
            Self::Address => Type::Address,
            Self::Network => Type::Network,
            Self::Kind => Type::Kind,
            Self::Texts => Type::list(Type::Text),
            Self::Joined => {
                let joined = arguments.iter().try_fold(Type::Free, |known, kind| known.join(kind));
                joined.unwrap_or(Type::Dyn)
            }
        }
    }
}

/// All functions.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    let groups = [
        text::FUNCTIONS,
        format::FUNCTIONS,
        list::FUNCTIONS,
        convert::FUNCTIONS,
        time::FUNCTIONS,
        network::FUNCTIONS,
        math::FUNCTIONS,
    ];
    groups.into_iter().flatten()
}

/// The function of a name, called in a style.
pub(super) fn named(name: &str, style: Style) -> Option<&'static Function> {
    all().find(|function| function.name == name && function.style == style)
}

/// Costs nothing that grows; gives something small.
fn small(_: &[Size]) -> (usize, Size) {
    (0, Size::text(64))
}
