//! The types of the language, known before any request.

use std::fmt;

/// The type of an expression. `Dyn` is known only when a request is there; `Free` is what an empty list holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Free,
    Dyn,
    Null,
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
    /// The type of a type.
    Kind,
    /// Header fields or query parameters: a map of strings, some of which may occur more than once.
    Fields,
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
}

impl Type {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(super) fn map(key: Self, value: Self) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    pub(super) const fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Free)
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// The types of keys and values, when this is a map or may be one.
    pub(super) fn entries(&self) -> Option<(Self, Self)> {
        match self {
            Self::Dyn | Self::Free => Some((Self::Dyn, Self::Dyn)),
            Self::Fields => Some((Self::Text, Self::Text)),
            Self::Map(key, value) => Some(((**key).clone(), (**value).clone())),
            _ => None,
        }
    }

    /// The type that both are instances of, when there is one other than `dyn`.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Free, known) | (known, Self::Free) => Some(known.clone()),
            (Self::Dyn, _) | (_, Self::Dyn) => Some(Self::Dyn),
            (Self::List(one), Self::List(two)) => Some(Self::list(one.join(two)?)),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                Some(Self::map(key.join(other_key)?, value.join(other_value)?))
            }
            _ => (self == other).then(|| self.clone()),
        }
    }

    /// Whether values of the two types can be equal at all. Numbers of different types can.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        if self.is_dyn() || other.is_dyn() || self == other || (self.is_number() && other.is_number()) {
            return true;
        }
        match (self, other) {
            (Self::List(one), Self::List(two)) => one.comparable(two),
            _ => match (self.entries(), other.entries()) {
                (Some((key, value)), Some((other_key, other_value))) => {
                    key.comparable(&other_key) && value.comparable(&other_value)
                }
                _ => false,
            },
        }
    }

    /// Whether a value of the type has a place among its like: `<` and its kin.
    pub(super) const fn is_ordered(&self) -> bool {
        !matches!(
            self,
            Self::Null | Self::Address | Self::Network | Self::Kind | Self::Fields | Self::List(_) | Self::Map(..)
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free | Self::Dyn => "dyn",
            Self::Null => "null",
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
            Self::Kind => "type",
            Self::Fields => "map(string, string)",
            Self::List(of) => return write!(f, "list({of})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
        })
    }
}
