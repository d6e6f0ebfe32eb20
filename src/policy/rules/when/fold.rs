//! What can be worked out at load: constants, regular expressions, time zones.

use regex::RegexBuilder;

use super::compile;
use super::error::CompileError;
use super::functions::{Clock, Function, Run};
use super::moment::Zone;
use super::syntax::Span;
use super::tree::{Form, Loop, Node};
use super::types::Type;
use super::value::Value;

/// The most memory that one regular expression may take, compiled, in bytes.
const MAX_REGEX: usize = 128 * 1024;

/// Works out the constant parts of `node`.
pub(super) fn fold(node: Node, errors: &mut Vec<CompileError>) -> Node {
    let Node { span, kind, form } = node;
    let form = match form {
        Form::Call(function, parts) => {
            let parts: Vec<_> = parts.into_iter().map(|part| fold(part, errors)).collect();
            match function.run {
                Run::Pattern => return pattern(span, function, parts, errors),
                Run::Clock(clock) => return zoned(span, clock, parts, errors),
                Run::Native(_) | Run::Parse(_) => Form::Call(function, parts),
            }
        }
        other => parts(other, errors),
    };
    let node = Node { span, kind, form };
    match &node.form {
        Form::And(_) | Form::Or(_) => connective(node),
        Form::If(parts) if let [Node { form: Form::Constant(Value::Bool(condition)), .. }, ..] = **parts => {
            branch(node, condition)
        }
        Form::List(_)
        | Form::Map(_)
        | Form::Not(_)
        | Form::Negate(_)
        | Form::Index(..)
        | Form::Field(..)
        | Form::HasField(..)
        | Form::Equal(..)
        | Form::Order(..)
        | Form::In(..)
        | Form::Arithmetic(..)
        | Form::Call(..)
            if node.parts().iter().all(|part| part.constant().is_some()) =>
        {
            constant(node, errors)
        }
        _ => node,
    }
}

/// Folds the parts of a form that is no call.
fn parts(form: Form, errors: &mut Vec<CompileError>) -> Form {
    let mut one = |node: Box<Node>| Box::new(fold(*node, errors));
    match form {
        Form::HasField(of, key) => Form::HasField(one(of), key),
        Form::Field(of, key) => Form::Field(one(of), key),
        Form::Not(of) => Form::Not(one(of)),
        Form::Negate(of) => Form::Negate(one(of)),
        Form::Index(of, key) => Form::Index(one(of), one(key)),
        Form::Equal(not, left, right) => Form::Equal(not, one(left), one(right)),
        Form::Order(order, left, right) => Form::Order(order, one(left), one(right)),
        Form::In(left, right) => Form::In(one(left), one(right)),
        Form::Arithmetic(operator, left, right) => Form::Arithmetic(operator, one(left), one(right)),
        Form::List(parts) => Form::List(parts.into_iter().map(|part| fold(part, errors)).collect()),
        Form::And(parts) => Form::And(parts.into_iter().map(|part| fold(part, errors)).collect()),
        Form::Or(parts) => Form::Or(parts.into_iter().map(|part| fold(part, errors)).collect()),
        Form::Map(entries) => {
            Form::Map(entries.into_iter().map(|(key, value)| (fold(key, errors), fold(value, errors))).collect())
        }
        Form::If(parts) => Form::If(Box::new(parts.map(|part| fold(part, errors)))),
        Form::Loop(of) => {
            let Loop { mode, over, pair, filter, body } = *of;
            let over = fold(over, errors);
            let filter = filter.map(|filter| fold(filter, errors));
            Form::Loop(Box::new(Loop { mode, over, pair, filter, body: fold(body, errors) }))
        }
        whole => whole,
    }
}

/// The value of a node whose parts are constants. One that fails is left to fail when it is evaluated, where `||` may
/// absorb it; but a network, an address, a time that cannot be read is a fault of the text.
fn constant(node: Node, errors: &mut Vec<CompileError>) -> Node {
    match compile::constant(&node) {
        Ok(value) => Node::new(node.span, node.kind, Form::Constant(value)),
        Err(fault) => {
            if let Form::Call(Function { run: Run::Parse(_), name, .. }, _) = node.form {
                errors.push(
                    CompileError::new(node.span, format!("`{name}` cannot read this: {fault}"))
                        .with_hint(form_of(name)),
                );
            }
            node
        }
    }
}

/// How the argument of a conversion is written.
fn form_of(name: &str) -> Option<String> {
    let text = match name {
        "timestamp" => "write `timestamp(\"2026-01-31T08:00:00Z\")`",
        "duration" => "write a number and one of h, m, s, ms, us, ns, as in `duration(\"1h30m\")`",
        "ip" => "write `ip(\"192.0.2.1\")` or `ip(\"2001:db8::1\")`",
        "cidr" => "write `cidr(\"192.0.2.0/24\")` or `cidr(\"2001:db8::/32\")`",
        _ => return None,
    };
    Some(text.to_owned())
}

/// `&&` and `||` without the parts that cannot matter.
fn connective(node: Node) -> Node {
    let Node { span, kind, form } = node;
    let (parts, decisive) = match form {
        Form::And(parts) => (parts, false),
        Form::Or(parts) => (parts, true),
        form => return Node { span, kind, form },
    };
    let is = |part: &Node, value: bool| matches!(part.constant(), Some(Value::Bool(constant)) if *constant == value);
    if parts.iter().any(|part| is(part, decisive)) {
        return Node::new(span, kind, Form::Constant(Value::Bool(decisive)));
    }
    let mut parts: Vec<_> = parts.into_iter().filter(|part| !is(part, !decisive)).collect();
    match parts.len() {
        0 => Node::new(span, kind, Form::Constant(Value::Bool(!decisive))),
        1 if parts.first().is_some_and(|part| part.kind == Type::Bool) => parts.remove(0),
        _ => Node::new(span, kind, if decisive { Form::Or(parts) } else { Form::And(parts) }),
    }
}

/// The outcome that a constant condition chooses.
fn branch(node: Node, condition: bool) -> Node {
    match node.form {
        Form::If(parts) => {
            let [_, yes, no] = *parts;
            let chosen = if condition { yes } else { no };
            Node { kind: node.kind, ..chosen }
        }
        form => Node { form, ..node },
    }
}

/// `text.matches(pattern)`: the pattern is compiled once, within a limit on its size.
fn pattern(span: Span, function: &'static Function, mut parts: Vec<Node>, errors: &mut Vec<CompileError>) -> Node {
    let place = parts.last().map_or(span, |part| part.span);
    let regex = match parts.last().and_then(|part| part.constant()).and_then(|value| value.as_str()) {
        Some(text) => {
            RegexBuilder::new(text).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(32).build().map_err(
                |error| match error {
                    regex::Error::CompiledTooBig(_) => "the regular expression takes too much memory".to_owned(),
                    other => format!("this is no regular expression: {}", last_line(&other.to_string())),
                },
            )
        }
        None => Err("a regular expression must be constant".to_owned()),
    };
    match regex {
        Ok(regex) if parts.len() == 2 => Node::new(span, Type::Bool, Form::Matches(Box::new(parts.remove(0)), regex)),
        Ok(_) => Node::new(span, Type::Bool, Form::Call(function, parts)),
        Err(message) => {
            errors.push(CompileError::new(place, message));
            Node::new(span, Type::Bool, Form::Call(function, parts))
        }
    }
}

/// The regex crate draws the pattern first and says what is wrong last.
fn last_line(message: &str) -> &str {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

/// `moment.getHours(zone)`: the zone is looked up once.
fn zoned(span: Span, clock: Clock, mut parts: Vec<Node>, errors: &mut Vec<CompileError>) -> Node {
    let zone = match parts.get(1) {
        None => Some(Zone::UTC),
        Some(zone) => {
            let known = zone.constant().and_then(|value| value.as_str()).map(Zone::parse);
            let message = match known {
                Some(Some(zone)) => Ok(zone),
                Some(None) => Err("this is no time zone"),
                None => Err("a time zone must be constant"),
            };
            message
                .map_err(|message| {
                    let hint = "write a name such as \"Europe/Berlin\", or an offset such as \"+02:00\"".to_owned();
                    errors.push(CompileError::new(zone.span, message).with_hint(Some(hint)));
                })
                .ok()
        }
    };
    let of = parts.remove(0);
    Node::new(span, Type::Int, Form::Clock(clock, Box::new(of), zone.unwrap_or(Zone::UTC)))
}
