//! What the parts of an expression are, for a person who asks why.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::compile::Compiler;
use super::environment::{Env, FUEL, Fuel, Root};
use super::schema::Schema;
use super::tree::{Form, Node};
use super::value::Value;
use crate::policy::rules::Facts;

/// How many characters of a value are shown.
const MAX_SHOWN: usize = 200;
/// How many elements of a list or map are shown.
const MAX_ELEMENTS: usize = 20;

/// The parts of `source` that mean something on their own, and their values.
pub(super) fn explain(source: &str, schema: &Schema, facts: &Facts<'_>, now: Timestamp) -> Vec<(String, String)> {
    let Ok((node, _)) = super::typed(source, schema, Vec::new()) else { return Vec::new() };
    let mut parts = Vec::new();
    atoms(&node, &mut parts);
    let mut shown: Vec<(String, String)> = Vec::new();
    for part in parts {
        let text = source.get(part.span.range()).unwrap_or_default();
        if shown.iter().any(|(known, _)| known == text) {
            continue;
        }
        let mut compiler = Compiler::default();
        let code = compiler.value(part);
        let root = Root { facts, now: now.into(), constants: &compiler.constants, fuel: Fuel::of(FUEL) };
        let value = match code(&Env::outermost(&root)) {
            Ok(value) => rendered(&value),
            Err(error) => format!("error: {error}"),
        };
        shown.push((text.to_owned(), value));
    }
    shown
}

/// The comparisons between `&&`, `||`, `!` and `?:`, each after what it reads.
fn atoms<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.form {
        Form::And(_) | Form::Or(_) | Form::Not(_) | Form::If(_) => {
            for part in node.parts() {
                atoms(part, found);
            }
        }
        Form::Constant(_) => {}
        _ => {
            readings(node, found);
            if !found.iter().any(|known| known.span == node.span) {
                found.push(node);
            }
        }
    }
}

/// What is read from the facts, as far up as it is only read: `token.claims.realm.roles`, not `token.claims`.
fn readings<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.form {
        Form::Member(..) | Form::Now => found.push(node),
        Form::Field(..) if is_path(node) => found.push(node),
        // What stands inside of a macro depends on its variable.
        Form::Loop(of) => readings(&of.over, found),
        _ => {
            for part in node.parts() {
                readings(part, found);
            }
        }
    }
}

fn is_path(node: &Node) -> bool {
    match &node.form {
        Form::Member(..) => true,
        Form::Field(of, _) => is_path(of),
        _ => false,
    }
}

/// A value as it would be written in an expression, cut when it is long.
fn rendered(value: &Value<'_>) -> String {
    let mut text = String::new();
    render(value, &mut text);
    if text.chars().count() > MAX_SHOWN {
        text = text.chars().take(MAX_SHOWN).chain(['\u{2026}']).collect();
    }
    text
}

fn render(value: &Value<'_>, text: &mut String) {
    if text.len() > MAX_SHOWN * 4 {
        return;
    }
    let _ = match value {
        Value::Null => write!(text, "null"),
        Value::Bool(value) => write!(text, "{value}"),
        Value::Int(value) => write!(text, "{value}"),
        Value::Uint(value) => write!(text, "{value}u"),
        Value::Double(value) => write!(text, "{value:?}"),
        // Debug escapes control characters, so that a value cannot draw on a terminal.
        Value::Text(value) => write!(text, "{:?}", value.as_str()),
        Value::Bytes(value) => write!(text, "{} bytes", value.as_slice().len()),
        Value::Moment(value) => write!(text, "{value}"),
        Value::Duration(value) => write!(text, "{value}"),
        Value::Address(value) => write!(text, "{value}"),
        Value::Network(value) => write!(text, "{value}"),
        Value::Kind(name) => write!(text, "{name}"),
        Value::List(list) => {
            text.push('[');
            for (index, element) in list.iter().take(MAX_ELEMENTS).enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                render(&element, text);
            }
            text.push_str(if list.len() > MAX_ELEMENTS { ", \u{2026}" } else { "" });
            write!(text, "]")
        }
        Value::Map(map) => {
            text.push('{');
            let keys = map.keys().unwrap_or_default();
            for (index, key) in keys.iter().take(MAX_ELEMENTS).enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                render(key, text);
                text.push_str(": ");
                match map.entry(key) {
                    Ok(Some(value)) => render(&value, text),
                    _ => text.push('?'),
                }
            }
            text.push_str(if keys.len() > MAX_ELEMENTS { ", \u{2026}" } else { "" });
            write!(text, "}}")
        }
    };
}
