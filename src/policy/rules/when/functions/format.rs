//! `"%s has %d".format([name, count])` of the strings extension.

use std::fmt::Write as _;

use super::{Function, Gives, Run, Style, Takes};
use crate::policy::rules::when::collection::{List, Map};
use crate::policy::rules::when::environment::{Fuel, Root, WRITTEN};
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::number;
use crate::policy::rules::when::schema::Size;
use crate::policy::rules::when::value::Value;

/// The most digits after the point.
const MAX_PRECISION: usize = 64;
/// What a number takes at most, written with all of its digits.
const NUMBER: usize = 400;

pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "format",
    style: Style::Method,
    overloads: &[(&[Takes::Text, Takes::List], Gives::Text)],
    run: Run::Native(format),
    cost: |sizes| {
        let size = |index: usize| sizes.get(index).copied().unwrap_or_default();
        let whole = size(0).own + size(1).own * (2 * size(1).each + NUMBER);
        (whole / WRITTEN + size(1).own + 1, Size::text(whole))
    },
}];

fn format<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Text(text), Value::List(arguments)] = of else { return Err(Fault::NoOverload) };
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = text.as_str();
    root.fuel.write(rest.len())?;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(after)?;
        let clause = after.chars().next().ok_or(Fault::Format)?;
        let argument = arguments.next().ok_or(Fault::Format)?;
        write_one(clause, precision, &argument, &mut out, &root.fuel)?;
        rest = after.get(clause.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(Value::owned(out))
}

/// `.3` before a clause.
fn precision(text: &str) -> Result<(usize, &str), Fault> {
    let Some(digits) = text.strip_prefix('.') else { return Ok((6, text)) };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = digits.split_at_checked(length).ok_or(Fault::Format)?;
    let precision = digits.parse().ok().filter(|precision| *precision <= MAX_PRECISION).ok_or(Fault::Format)?;
    Ok((precision, rest))
}

fn write_one(clause: char, precision: usize, value: &Value<'_>, out: &mut String, fuel: &Fuel) -> Result<(), Fault> {
    fuel.spend(1)?;
    let before = out.len();
    let written = match (clause, value) {
        ('s', value) => return string(value, out, fuel),
        ('d' | 'e' | 'f', Value::Double(value)) if !value.is_finite() => write!(out, "{}", number::spelled(*value)),
        ('d', Value::Int(value)) => write!(out, "{value}"),
        ('d', Value::Uint(value)) => write!(out, "{value}"),
        ('b', Value::Bool(value)) => write!(out, "{}", u8::from(*value)),
        ('b', Value::Uint(value)) => write!(out, "{value:b}"),
        ('o', Value::Uint(value)) => write!(out, "{value:o}"),
        ('x', Value::Uint(value)) => write!(out, "{value:x}"),
        ('X', Value::Uint(value)) => write!(out, "{value:X}"),
        ('b' | 'o' | 'x' | 'X', Value::Int(value)) => {
            out.push_str(if *value < 0 { "-" } else { "" });
            return write_one(clause, precision, &Value::Uint(value.unsigned_abs()), out, fuel);
        }
        ('x' | 'X', Value::Text(text)) => return hexadecimal(text.as_str().as_bytes(), clause == 'X', out, fuel),
        ('x' | 'X', Value::Bytes(bytes)) => return hexadecimal(bytes.as_slice(), clause == 'X', out, fuel),
        ('f', Value::Double(_) | Value::Int(_) | Value::Uint(_)) => {
            write!(out, "{:.precision$}", number::rounded(value))
        }
        ('e', Value::Double(_) | Value::Int(_) | Value::Uint(_)) => {
            let text = format!("{:.precision$e}", number::rounded(value));
            let (digits, power) = text.split_once('e').ok_or(Fault::Format)?;
            let power: i32 = power.parse().map_err(|_| Fault::Format)?;
            write!(out, "{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
        }
        _ => return Err(Fault::Format),
    };
    written.map_err(|_| Fault::Format)?;
    fuel.spend((out.len() - before) / WRITTEN)
}

fn hexadecimal(bytes: &[u8], upper: bool, out: &mut String, fuel: &Fuel) -> Result<(), Fault> {
    fuel.write(bytes.len() * 2)?;
    for byte in bytes {
        let written = if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") };
        written.map_err(|_| Fault::Format)?;
    }
    Ok(())
}

/// `%s`: any value; strings inside of lists and maps stand without quotes.
fn string(value: &Value<'_>, out: &mut String, fuel: &Fuel) -> Result<(), Fault> {
    fuel.spend(1)?;
    let written = match value {
        Value::Text(text) => {
            fuel.spend(text.as_str().len() / WRITTEN)?;
            out.push_str(text.as_str());
            Ok(())
        }
        Value::Bytes(bytes) => {
            fuel.spend(bytes.as_slice().len() / WRITTEN)?;
            out.push_str(std::str::from_utf8(bytes.as_slice()).map_err(|_| Fault::Conversion)?);
            Ok(())
        }
        Value::Null => write!(out, "null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Uint(value) => write!(out, "{value}"),
        Value::Double(value) => write!(out, "{}", number::spelled(*value)),
        Value::Moment(value) => write!(out, "{value}"),
        Value::Duration(value) => write!(out, "{value}"),
        Value::Address(value) => write!(out, "{value}"),
        Value::Network(value) => write!(out, "{value}"),
        Value::Kind(name) => write!(out, "{name}"),
        Value::List(list) => return elements(list, out, fuel),
        Value::Map(map) => return entries(map, out, fuel),
    };
    written.map_err(|_| Fault::Format)
}

fn elements(list: &List<'_>, out: &mut String, fuel: &Fuel) -> Result<(), Fault> {
    out.push('[');
    for (index, element) in list.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        string(&element, out, fuel)?;
    }
    out.push(']');
    Ok(())
}

/// The entries in the order of their keys as they are written.
fn entries(map: &Map<'_>, out: &mut String, fuel: &Fuel) -> Result<(), Fault> {
    let mut entries = Vec::new();
    for key in map.keys()? {
        let mut name = String::new();
        string(&key, &mut name, fuel)?;
        entries.push((name, map.entry(&key)?.ok_or(Fault::NoKey)?));
    }
    entries.sort_by(|(one, _), (two, _)| one.cmp(two));
    out.push('{');
    for (index, (name, value)) in entries.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        out.push_str(name);
        out.push_str(": ");
        string(value, out, fuel)?;
    }
    out.push('}');
    Ok(())
}
