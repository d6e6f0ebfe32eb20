//! The values that expressions work on, borrowed from the request wherever they can be.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value as Json;

use super::collection::{List, Map};
use super::environment::Fuel;
use super::error::Fault;
use super::moment::{Duration, Moment};
use super::number;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Bytes<'a>),
    Moment(Moment),
    Duration(Duration),
    Address(IpAddr),
    Network(IpNet),
    List(List<'a>),
    Map(Map<'a>),
    /// The type of a value, by its CEL name.
    Kind(&'static str),
}

/// A string.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Owned(Arc<str>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

/// A sequence of bytes.
#[derive(Clone, Debug)]
pub(super) enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Owned(Arc<[u8]>),
}

impl Bytes<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl<'a> Value<'a> {
    pub(super) const fn text(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }

    pub(super) fn owned(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Owned(text.into()))
    }

    /// Text that may or may not be borrowed.
    pub(super) fn written(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::text(text),
            Cow::Owned(text) => Self::owned(text),
        }
    }

    pub(super) fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(Bytes::Owned(bytes.into()))
    }

    pub(super) fn list(values: Vec<Self>) -> Self {
        Self::List(List::Owned(values.into()))
    }

    /// A JSON value: whole numbers stay exact, all others are doubles.
    pub(super) fn json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Uint(value),
                (None, None) => number.as_f64().map_or(Self::Null, Self::Double),
            },
            Json::String(text) => Self::text(text),
            Json::Array(list) => Self::List(List::Json(list)),
            Json::Object(map) => Self::Map(Map::Json(map)),
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The CEL name of the value's type.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Moment(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Address(_) => "net.IP",
            Self::Network(_) => "net.CIDR",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Kind(_) => "type",
        }
    }

    /// The same value without its owner: cheap, and without touching a counter that other threads touch.
    pub(super) fn borrowed<'b: 'a>(value: &'b Value<'static>) -> Self {
        match value {
            Value::Text(text) => Self::text(text.as_str()),
            Value::Bytes(bytes) => Self::Bytes(Bytes::Borrowed(bytes.as_slice())),
            Value::List(List::Owned(list)) => Self::List(List::Borrowed(list)),
            Value::Map(Map::Owned(entries)) => Self::Map(Map::Borrowed(entries)),
            other => other.clone(),
        }
    }

    /// The same value, owning all that it holds: for constants, which outlive every request.
    pub(super) fn kept(&self) -> Result<Value<'static>, Fault> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::owned(text.as_str()),
            Self::Bytes(bytes) => Value::bytes(bytes.as_slice()),
            Self::Moment(value) => Value::Moment(*value),
            Self::Duration(value) => Value::Duration(*value),
            Self::Address(value) => Value::Address(*value),
            Self::Network(value) => Value::Network(*value),
            Self::Kind(name) => Value::Kind(name),
            Self::List(list) => Value::list(list.iter().map(|value| value.kept()).collect::<Result<_, _>>()?),
            Self::Map(map) => {
                let mut entries = Vec::new();
                for key in map.keys()? {
                    let value = map.entry(&key)?.ok_or(Fault::NoKey)?;
                    entries.push((key.kept()?, value.kept()?));
                }
                Value::Map(Map::new(entries)?)
            }
        })
    }
}

/// Equality: of numbers by value, of lists and maps by content; values of different types are never equal.
pub(super) fn equal(one: &Value<'_>, two: &Value<'_>, fuel: &Fuel) -> Result<bool, Fault> {
    Ok(match (one, two) {
        (Value::Text(one), Value::Text(two)) => one.as_str() == two.as_str(),
        (Value::Bool(one), Value::Bool(two)) => one == two,
        (Value::Null, Value::Null) => true,
        (Value::Bytes(one), Value::Bytes(two)) => one.as_slice() == two.as_slice(),
        (Value::Moment(one), Value::Moment(two)) => one == two,
        (Value::Duration(one), Value::Duration(two)) => one == two,
        (Value::Address(one), Value::Address(two)) => one.to_canonical() == two.to_canonical(),
        (Value::Network(one), Value::Network(two)) => one == two,
        (Value::Kind(one), Value::Kind(two)) => one == two,
        (Value::List(one), Value::List(two)) => one.len() == two.len() && equal_lists(one, two, fuel)?,
        (Value::Map(one), Value::Map(two)) => one.len() == two.len() && equal_maps(one, two, fuel)?,
        _ => number::order(one, two).is_some_and(Ordering::is_eq),
    })
}

fn equal_lists(one: &List<'_>, two: &List<'_>, fuel: &Fuel) -> Result<bool, Fault> {
    for (one, two) in one.iter().zip(two.iter()) {
        fuel.spend(1)?;
        if !equal(&one, &two, fuel)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(one: &Map<'_>, two: &Map<'_>, fuel: &Fuel) -> Result<bool, Fault> {
    for key in one.keys()? {
        fuel.spend(1)?;
        let (Some(left), Some(right)) = (one.entry(&key)?, two.entry(&key)?) else {
            return Ok(false);
        };
        if !equal(&left, &right, fuel)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Order, where there is one: `None` when NaN is involved.
pub(super) fn order(one: &Value<'_>, two: &Value<'_>) -> Result<Option<Ordering>, Fault> {
    Ok(Some(match (one, two) {
        (Value::Text(one), Value::Text(two)) => one.as_str().cmp(two.as_str()),
        (Value::Bool(one), Value::Bool(two)) => one.cmp(two),
        (Value::Bytes(one), Value::Bytes(two)) => one.as_slice().cmp(two.as_slice()),
        (Value::Moment(one), Value::Moment(two)) => one.cmp(two),
        (Value::Duration(one), Value::Duration(two)) => one.cmp(two),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            return Ok(number::order(one, two));
        }
        _ => return Err(Fault::NoOverload),
    }))
}
