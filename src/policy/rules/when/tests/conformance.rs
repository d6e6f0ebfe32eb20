//! The CEL conformance vectors: every applicable case is answered as specified, or refused at load by a rule that
//! `docs/when.md` states. Which are refused, and why, is an exact list: a case that starts or stops passing fails here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use http::HeaderMap;

use super::textproto::{Field, Message};
use crate::identity::PathParams;
use crate::policy::rules::when::collection::Map;
use crate::policy::rules::when::compile::Compiler;
use crate::policy::rules::when::environment::{Env, FUEL, Fuel, Root};
use crate::policy::rules::when::moment::{Duration, Moment};
use crate::policy::rules::when::types::Type;
use crate::policy::rules::when::value::{Value, equal};
use crate::policy::rules::when::{Schema, typed};
use crate::policy::rules::{Facts, RequestFacts};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/cel");

/// How many cases the vectors have.
const CASES: usize = 1699;

/// What became of a case.
#[derive(Debug)]
enum Outcome {
    Passed,
    /// A value was specified, and the text was refused at load for this reason.
    Refused(String),
    /// It needs protobuf messages, enumerations, or functions that the harness declares.
    NotApplicable,
    /// Another answer than the specified one. Only numbers that are exact here may be listed so.
    Otherwise(String),
}

#[test]
fn every_applicable_case_is_answered_as_specified_or_refused_by_a_stated_rule() {
    let mut outcomes = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(VECTORS).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "textproto"));
    for path in &files {
        cases(path, &mut outcomes);
    }
    assert_eq!(outcomes.len(), CASES, "the reader lost cases");
    let (mut refused, mut elsewhere, mut otherwise) = (String::new(), String::new(), String::new());
    for (name, outcome) in &outcomes {
        match outcome {
            Outcome::Passed => {}
            Outcome::Refused(reason) => writeln!(refused, "{name}: {reason}").unwrap(),
            Outcome::NotApplicable => writeln!(elsewhere, "{name}").unwrap(),
            Outcome::Otherwise(answer) => writeln!(otherwise, "{name}: {answer}").unwrap(),
        }
    }
    assert_same(&otherwise, "otherwise.txt");
    assert_same(&refused, "refused.txt");
    assert_same(&elsewhere, "not-applicable.txt");
}

/// Two lists must be equal, line by line; what differs is printed as lines to add and to take away.
fn assert_same(found: &str, file: &str) {
    let known = std::fs::read_to_string(Path::new(VECTORS).join(file)).unwrap();
    let differing: Vec<_> = found
        .lines()
        .filter(|line| !known.lines().any(|other| other == *line))
        .map(|line| format!("+{line}"))
        .chain(known.lines().filter(|line| !found.lines().any(|other| other == *line)).map(|line| format!("-{line}")))
        .collect();
    assert!(differing.is_empty(), "{file} is not what happens:\n{}", differing.join("\n"));
}

fn cases(path: &Path, outcomes: &mut BTreeMap<String, Outcome>) {
    let file = Message::parse(&std::fs::read_to_string(path).unwrap());
    let file_name = path.file_stem().unwrap().to_str().unwrap();
    for section in file.messages("section") {
        let section_name = section.text("name").unwrap();
        for case in section.messages("test") {
            let base = format!("{file_name}/{section_name}/{}", case.text("name").unwrap());
            let repeated = (2..).map(|count| format!("{base}#{count}"));
            let name = std::iter::once(base.clone()).chain(repeated).find(|name| !outcomes.contains_key(name)).unwrap();
            outcomes.insert(name, outcome(case));
        }
    }
}

fn outcome(case: &Message) -> Outcome {
    let source = case.text("expr").unwrap();
    let foreign = ["abstract_type", "function", "enum_value", "wrapper", "unknown", "any_unknowns"];
    let messages = ["TestAllTypes", "Value{", "optional.", "proto2", "proto3"];
    let typed_messages = case.mentions(&[
        "[type.googleapis.com/google.protobuf.Any]",
        "[type.googleapis.com/cel.expr.conformance.proto3.TestAllTypes]",
        "[type.googleapis.com/cel.expr.conformance.proto2.TestAllTypes]",
    ]);
    let objects = case
        .messages("type_env")
        .filter_map(|declared| declared.message("ident")?.message("type")?.text("message_type"));
    let known = ["google.protobuf.Duration", "google.protobuf.Timestamp"];
    let foreign_objects = objects.into_iter().any(|name| !known.contains(&name.as_str()));
    if foreign_objects
        || case.mentions(&foreign)
        || typed_messages
        || messages.iter().any(|message| source.contains(message))
    {
        return Outcome::NotApplicable;
    }
    let bindings: Vec<(String, Value<'static>)> = case
        .messages("bindings")
        .map(|binding| {
            let value = binding.message("value").and_then(|value| value.message("value"));
            (binding.text("key").unwrap(), value_of(value.unwrap()))
        })
        .collect();
    let declared: BTreeMap<_, _> = case
        .messages("type_env")
        .map(|declared| {
            let ident = declared.message("ident").and_then(|ident| ident.message("type"));
            (declared.text("name").unwrap(), type_of(ident.unwrap()))
        })
        .collect();
    let variables =
        bindings.iter().map(|(name, _)| (name.as_str().into(), declared.get(name).cloned().unwrap_or(Type::Dyn)));
    let error = case.mentions(&["eval_error"]);
    let node = match typed(&source, &Schema::request(), variables.collect()) {
        Ok((node, _)) => node,
        Err(_) if error => return Outcome::Passed,
        Err(errors) => return Outcome::Refused(errors[0].message.clone()),
    };
    let result = case.message("typed_result");
    if let Some(deduced) = result.and_then(|result| result.message("deduced_type")) {
        let (deduced, kind) = (type_of(deduced), settled(&node.kind));
        if deduced != kind {
            return Outcome::Otherwise(format!("the type is {kind}, not {deduced}"));
        }
    }
    if case.mentions(&["check_only"]) {
        return Outcome::Passed;
    }
    let expected = case.message("value").or_else(|| result.and_then(|result| result.message("result")));
    let expected = expected.map_or(Value::Bool(true), value_of);
    let mut compiler = Compiler::default();
    let code = compiler.value(&node);
    let (params, headers) = (PathParams::default(), HeaderMap::new());
    let request = RequestFacts { method: "", host: "", path: "", query: None, params: &params, headers: &headers };
    let facts = Facts { request, token: None, peer: None, source: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let root =
        Root { facts: &facts, now: Moment::new(0, 0).unwrap(), constants: &compiler.constants, fuel: Fuel::of(FUEL) };
    let answer = bound(&Env::outermost(&root), &bindings, &mut |env| match code(env) {
        Ok(value) => Ok(value.kept().unwrap()),
        Err(error) => Err(error),
    });
    match answer {
        Ok(value) if !error && same(&value, &expected) => Outcome::Passed,
        Err(_) if error => Outcome::Passed,
        other => Outcome::Otherwise(format!("{source} gives {other:?}, not {expected:?}")),
    }
}

type Answer = Result<Value<'static>, crate::policy::rules::when::EvalError>;

/// Runs `body` with the bindings as variables around it.
fn bound<'a>(
    env: &Env<'_, 'a>,
    bindings: &[(String, Value<'a>)],
    body: &mut dyn FnMut(&Env<'_, 'a>) -> Answer,
) -> Answer {
    match bindings.split_first() {
        None => body(env),
        Some(((_, value), rest)) => bound(&env.with(value.clone()), rest, body),
    }
}

/// Equal, of one type, and with the same sign of zero.
fn same(one: &Value<'_>, two: &Value<'_>) -> bool {
    match (one, two) {
        (Value::Double(one), Value::Double(two)) if one.is_nan() => two.is_nan(),
        (Value::Double(one), Value::Double(two)) => one.to_bits() == two.to_bits(),
        (Value::List(one), Value::List(two)) => {
            one.len() == two.len() && one.iter().zip(two.iter()).all(|(one, two)| same(&one, &two))
        }
        _ => one.kind() == two.kind() && equal(one, two, &Fuel::of(FUEL)).unwrap(),
    }
}

fn value_of(message: &Message) -> Value<'static> {
    let [(name, field)] = message.0.as_slice() else { panic!("no value: {message:?}") };
    match (name.as_str(), field) {
        ("null_value", _) => Value::Null,
        ("bool_value", Field::Scalar(text)) => Value::Bool(text == "true"),
        ("int64_value", Field::Scalar(text)) => Value::Int(text.parse().unwrap()),
        ("uint64_value", Field::Scalar(text)) => Value::Uint(text.parse().unwrap()),
        ("double_value", Field::Scalar(text)) => Value::Double(text.parse().unwrap()),
        ("string_value", Field::Text(text)) => Value::owned(String::from_utf8(text.clone()).unwrap()),
        ("bytes_value", Field::Text(text)) => Value::bytes(text.clone()),
        ("type_value", Field::Text(text)) => {
            let name = String::from_utf8(text.clone()).unwrap();
            let known = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
            let times = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
            Value::Kind(known.into_iter().chain(times).find(|known| *known == name).unwrap_or("another"))
        }
        ("list_value", Field::Message(list)) => Value::list(list.messages("values").map(value_of).collect()),
        ("map_value", Field::Message(map)) => {
            let part = |entry: &Message, name| value_of(entry.message(name).unwrap());
            let entries = map.messages("entries").map(|entry| (part(entry, "key"), part(entry, "value")));
            Value::Map(Map::new(entries.collect()).unwrap())
        }
        ("object_value", Field::Message(object)) => {
            let (name, Field::Message(parts)) = &object.0[0] else { panic!("no object: {object:?}") };
            let number = |part: &str| match parts.all(part).next() {
                Some(Field::Scalar(text)) => text.parse().unwrap(),
                _ => 0_i64,
            };
            let (seconds, nanos) = (number("seconds"), number("nanos"));
            match name.as_str() {
                "[type.googleapis.com/google.protobuf.Duration]" => {
                    Value::Duration(Duration(seconds * 1_000_000_000 + nanos))
                }
                "[type.googleapis.com/google.protobuf.Timestamp]" => {
                    Value::Moment(Moment::new(seconds, nanos).unwrap())
                }
                _ => panic!("no known object: {name}"),
            }
        }
        other => panic!("no known value: {other:?}"),
    }
}

fn type_of(message: &Message) -> Type {
    let [(name, field)] = message.0.as_slice() else { panic!("no type: {message:?}") };
    match (name.as_str(), field) {
        ("primitive", Field::Scalar(name)) => match name.as_str() {
            "BOOL" => Type::Bool,
            "INT64" => Type::Int,
            "UINT64" => Type::Uint,
            "DOUBLE" => Type::Double,
            "STRING" => Type::Text,
            "BYTES" => Type::Bytes,
            other => panic!("no known type: {other}"),
        },
        ("message_type", Field::Text(name)) if name == b"google.protobuf.Duration" => Type::Duration,
        ("message_type", Field::Text(name)) if name == b"google.protobuf.Timestamp" => Type::Moment,
        ("well_known", Field::Scalar(name)) if name == "DURATION" => Type::Duration,
        ("well_known", Field::Scalar(name)) if name == "TIMESTAMP" => Type::Moment,
        ("null", _) => Type::Null,
        ("dyn", _) => Type::Dyn,
        ("list_type", Field::Message(list)) => Type::list(list.message("elem_type").map_or(Type::Dyn, type_of)),
        ("map_type", Field::Message(map)) => {
            let part = |name| map.message(name).map_or(Type::Dyn, type_of);
            Type::map(part("key_type"), part("value_type"))
        }
        other => panic!("no known type: {other:?}"),
    }
}

/// What an empty list holds is `dyn` once nothing says otherwise.
fn settled(kind: &Type) -> Type {
    match kind {
        Type::Free => Type::Dyn,
        Type::List(of) => Type::list(settled(of)),
        Type::Map(key, value) => Type::map(settled(key), settled(value)),
        other => other.clone(),
    }
}
