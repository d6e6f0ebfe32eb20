//! Lists and maps as expressions see them: views of what the request, the token and the certificate hold.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::Value as Json;

use super::error::Fault;
use super::number;
use super::query::Query;
use super::value::Value;
use crate::identity::{Audience, PathParams, Scope, is_same_field, occurrences, plain_field};

/// A list.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Names(&'a [Arc<str>]),
    Strings(&'a [Box<str>]),
    Scopes(&'a [Scope]),
    Audiences(&'a [Audience]),
    Json(&'a [Json]),
    Borrowed(&'a [Value<'a>]),
    Owned(Arc<[Value<'a>]>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Names(list) => list.len(),
            Self::Strings(list) => list.len(),
            Self::Scopes(list) => list.len(),
            Self::Audiences(list) => list.len(),
            Self::Json(list) => list.len(),
            Self::Borrowed(list) => list.len(),
            Self::Owned(list) => list.len(),
        }
    }

    pub(super) fn at(&self, index: usize) -> Option<Value<'a>> {
        Some(match self {
            Self::Names(list) => Value::text(list.get(index)?),
            Self::Strings(list) => Value::text(list.get(index)?),
            Self::Scopes(list) => Value::text(list.get(index)?.as_str()),
            Self::Audiences(list) => Value::text(list.get(index)?.as_str()),
            Self::Json(list) => Value::json(list.get(index)?),
            Self::Borrowed(list) => list.get(index)?.clone(),
            Self::Owned(list) => list.get(index)?.clone(),
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.at(index))
    }

    /// Whether one element is this text.
    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Names(list) => list.iter().any(|name| **name == *text),
            Self::Strings(list) => list.iter().any(|name| **name == *text),
            Self::Scopes(list) => list.iter().any(|name| name.as_str() == text),
            Self::Audiences(list) => list.iter().any(|name| name.as_str() == text),
            Self::Json(list) => list.iter().any(|json| json.as_str() == Some(text)),
            Self::Borrowed(list) => list.iter().any(|value| value.as_str() == Some(text)),
            Self::Owned(list) => list.iter().any(|value| value.as_str() == Some(text)),
        }
    }
}

/// A map. Keys are bool, int, uint or string, and numbers that are equal are one key.
#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>),
    Headers(&'a HeaderMap),
    Params(&'a PathParams),
    Query(Query<'a>),
    /// Sorted by [`order`].
    Borrowed(&'a [(Value<'a>, Value<'a>)]),
    /// Sorted by [`order`].
    Owned(Arc<[(Value<'a>, Value<'a>)]>),
}

impl<'a> Map<'a> {
    /// Sorts the entries; a key that occurs twice is an error.
    pub(super) fn new(mut entries: Vec<(Value<'a>, Value<'a>)>) -> Result<Self, Fault> {
        if !entries.iter().all(|(key, _)| is_key(key)) {
            return Err(Fault::NoOverload);
        }
        entries.sort_by(|(one, _), (two, _)| order(one, two));
        if entries.windows(2).any(|pair| matches!(pair, [(one, _), (two, _)] if order(one, two).is_eq())) {
            return Err(Fault::RepeatedKey);
        }
        Ok(Self::Owned(entries.into()))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Headers(headers) => field_names(headers).len(),
            Self::Params(params) => params.iter().count(),
            Self::Query(query) => query.names().map_or(0, |names| names.len()),
            Self::Borrowed(entries) => entries.len(),
            Self::Owned(entries) => entries.len(),
        }
    }

    /// What stands under a text.
    pub(super) fn member(&self, key: &str) -> Result<Option<Value<'a>>, Fault> {
        match self {
            Self::Json(map) => Ok(map.get(key).map(Value::json)),
            Self::Headers(headers) => header(headers, key),
            Self::Params(params) => Ok(params.get(key).map(Value::text)),
            Self::Query(query) => Ok(query.one(key)?.map(Value::written)),
            Self::Borrowed(entries) => Ok(find(entries, &Value::text(key))),
            Self::Owned(entries) => Ok(find(entries, &Value::text(key))),
        }
    }

    /// What stands under any key. A double is looked up as the integer that it equals.
    pub(super) fn entry(&self, key: &Value<'_>) -> Result<Option<Value<'a>>, Fault> {
        if let Some(text) = key.as_str() {
            return self.member(text);
        }
        if !is_key(key) && !matches!(key, Value::Double(_)) {
            return Err(Fault::NoOverload);
        }
        Ok(match self {
            Self::Borrowed(entries) => find(entries, key),
            Self::Owned(entries) => find(entries, key),
            _ => None,
        })
    }

    /// Whether there is something under a text, even if it cannot be read.
    pub(super) fn has(&self, key: &str) -> Result<bool, Fault> {
        match self {
            Self::Headers(headers) => Ok(!is_secret(key) && occurrences(headers, key).next().is_some()),
            Self::Query(query) => query.has(key),
            _ => Ok(self.member(key)?.is_some()),
        }
    }

    /// The keys, in an order that does not change.
    pub(super) fn keys(&self) -> Result<Vec<Value<'a>>, Fault> {
        Ok(match self {
            Self::Json(map) => map.keys().map(|key| Value::text(key)).collect(),
            Self::Headers(headers) => field_names(headers).into_iter().map(Value::written).collect(),
            Self::Params(params) => params.iter().map(|(name, _)| Value::text(name)).collect(),
            Self::Query(query) => query.names()?.into_iter().map(Value::written).collect(),
            Self::Borrowed(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Owned(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        })
    }

    /// Every value that the request has under a name, in its order: for header fields and query parameters.
    pub(super) fn every(&self, key: &str) -> Result<Vec<Value<'a>>, Fault> {
        match self {
            Self::Headers(_) if is_secret(key) => Ok(Vec::new()),
            Self::Headers(headers) => occurrences(headers, key).map(readable).collect(),
            Self::Query(query) => Ok(query.every(key)?.into_iter().map(Value::written).collect()),
            _ => Err(Fault::NoOverload),
        }
    }
}

/// The names of a request's fields, each once, whatever the spelling in which it was sent.
fn field_names(headers: &HeaderMap) -> Vec<Cow<'_, str>> {
    let shown = headers.keys().map(http::HeaderName::as_str).filter(|name| !is_secret(name));
    let mut names: Vec<_> = shown
        .map(|name| {
            if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                plain_field(name).into()
            } else {
                name.into()
            }
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Header fields that hold secrets. No rule reads them, so no explanation shows them.
pub(super) fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "dpop", "proxy-authorization"].iter().any(|secret| is_same_field(secret, name))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<Value<'a>>, Fault> {
    let mut values = occurrences(headers, name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        _ if is_secret(name) => Ok(None),
        (Some(_), Some(_)) => Err(Fault::Repeated),
        (Some(value), None) => readable(value).map(Some),
    }
}

fn readable(value: &http::HeaderValue) -> Result<Value<'_>, Fault> {
    std::str::from_utf8(value.as_bytes()).map(Value::text).map_err(|_| Fault::NotText)
}

const fn is_key(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_))
}

fn find<'a>(entries: &[(Value<'a>, Value<'a>)], key: &Value<'_>) -> Option<Value<'a>> {
    let place = entries.binary_search_by(|(known, _)| order(known, key)).ok()?;
    entries.get(place).map(|(_, value)| value.clone())
}

/// The order of keys: numbers by value, whatever their type, then booleans, then texts.
fn order(one: &Value<'_>, two: &Value<'_>) -> Ordering {
    let rank = |value: &Value<'_>| match value {
        Value::Bool(_) => 1,
        Value::Text(_) => 2,
        _ => 0,
    };
    rank(one).cmp(&rank(two)).then_with(|| match (one, two) {
        (Value::Bool(one), Value::Bool(two)) => one.cmp(two),
        (Value::Text(one), Value::Text(two)) => one.as_str().cmp(two.as_str()),
        // A key is never a double; a double that is looked up and not a number equals none of them.
        _ => number::order(one, two).unwrap_or(Ordering::Less),
    })
}
