//! The static bound: how many steps an evaluation takes at most, while facts stay within their declared sizes.
//!
//! It mirrors what the closures spend. Work outside of macros is bounded by the length of the source and costs nothing
//! here; only what grows with the facts is counted.

use super::environment::{FUEL, MATCHED, WRITTEN};
use super::error::CompileError;
use super::functions::Run;
use super::number::Arithmetic;
use super::schema::{Member, Read, Size};
use super::tree::{Form, Loop, Mode, Node};
use super::types::Type;
use super::value::Value;

/// Refuses an expression whose bound is too high.
pub(super) fn check(node: &Node) -> Result<(), CompileError> {
    let (steps, _) = bound(node, &mut Vec::new());
    if steps <= FUEL as usize {
        return Ok(());
    }
    let message = format!("this may take {steps} steps for one request, and at most {FUEL} are allowed");
    let hint = "put fewer macros inside of each other, or loop over a shorter list".to_owned();
    Err(CompileError::new(node.span, message).with_hint(Some(hint)))
}

/// The steps of evaluating `node` and the size of its value. `variables` are the sizes of the macros' variables,
/// outermost first.
pub(super) fn bound(node: &Node, variables: &mut Vec<Size>) -> (usize, Size) {
    if let Form::Loop(of) = &node.form {
        return repeated(of, variables);
    }
    let parts: Vec<_> = node.parts().into_iter().map(|part| bound(part, variables)).collect();
    let sizes: Vec<_> = parts.iter().map(|(_, size)| *size).collect();
    let inner = parts.iter().fold(0_usize, |sum, (steps, _)| sum.saturating_add(*steps));
    let size = |index: usize| sizes.get(index).copied().unwrap_or_default();
    let small = Size::text(64);
    let (own, size) = match &node.form {
        Form::Constant(value) => (0, measured(value)),
        Form::Now | Form::HasTable(_) | Form::HasMember(..) | Form::Not(_) | Form::Negate(_) | Form::Clock(..) => {
            (0, small)
        }
        Form::Member(_, Member { read: Read::Written(_), size, .. }) => (size.own / WRITTEN + 1, *size),
        Form::Member(_, member) => (0, member.size),
        Form::Variable(hops) => (0, variables.iter().rev().nth(*hops).copied().unwrap_or(Size::DYN)),
        Form::Field(of, _) | Form::Index(of, _) => (lookup(of), element(&node.kind, size(0))),
        Form::HasField(of, _) => (lookup(of), small),
        Form::List(_) | Form::Map(_) => {
            let each = sizes.iter().map(|size| size.own.max(size.each)).max().unwrap_or(0);
            (sizes.len(), Size { own: sizes.len(), each })
        }
        Form::And(_) | Form::Or(_) => (0, small),
        Form::If(_) => (0, Size { own: size(1).own.max(size(2).own), each: size(1).each.max(size(2).each) }),
        Form::Equal(_, one, two) => (compared(one, size(0)).min(compared(two, size(1))), small),
        Form::Order(..) => (0, small),
        Form::In(wanted, list) => (searched(wanted, list, size(1)), small),
        Form::Arithmetic(Arithmetic::Add, ..) if !node.kind.is_number() => {
            let sum = Size { own: size(0).own.saturating_add(size(1).own), each: size(0).each.max(size(1).each) };
            let steps = if matches!(node.kind, Type::Text | Type::Bytes) { sum.own / WRITTEN + 1 } else { sum.own + 1 };
            (steps, sum)
        }
        Form::Arithmetic(..) => (0, small),
        Form::Call(function, _) => match function.run {
            Run::Clock(_) => (0, small),
            _ => (function.cost)(&sizes),
        },
        Form::Matches(..) => (size(0).own / MATCHED + 1, small),
        Form::Loop(_) => (0, small),
    };
    (inner.saturating_add(own), size)
}

/// Looking something up reads a query anew each time.
fn lookup(of: &Node) -> usize {
    if of.kind == Type::Fields { 8192 / 8 } else { 0 }
}

/// The size of an element of a list, or of a value of a map.
fn element(kind: &Type, of: Size) -> Size {
    match kind {
        Type::Text | Type::Bytes => Size::text(of.each),
        _ => Size { own: of.each, each: of.each },
    }
}

/// Comparing lists and maps compares what they hold.
fn compared(node: &Node, size: Size) -> usize {
    match node.kind {
        Type::List(_) | Type::Map(..) | Type::Fields | Type::Dyn | Type::Free => {
            size.own.saturating_mul(1 + if holds_more(&node.kind) { size.each } else { 0 })
        }
        _ => 0,
    }
}

fn holds_more(kind: &Type) -> bool {
    let inner = |kind: &Type| matches!(kind, Type::List(_) | Type::Map(..) | Type::Dyn | Type::Free);
    match kind {
        Type::List(of) => inner(of),
        Type::Map(_, value) => inner(value),
        _ => kind.is_dyn(),
    }
}

/// What is looked for decides how deep a comparison can go: what has no parts differs from a list at once.
fn searched(wanted: &Node, list: &Node, size: Size) -> usize {
    let deep = matches!(wanted.kind, Type::List(_) | Type::Map(..) | Type::Fields | Type::Dyn | Type::Free);
    match &list.kind {
        Type::Fields => lookup(list),
        Type::Map(..) => 1,
        kind => {
            let each = if deep && holds_more(kind) { size.each } else { 0 };
            size.own.saturating_mul(1 + each).saturating_add(lookup(list))
        }
    }
}

/// The size of a constant, exactly.
fn measured(value: &Value<'_>) -> Size {
    match value {
        Value::Text(text) => Size::text(text.as_str().len()),
        Value::Bytes(bytes) => Size::text(bytes.as_slice().len()),
        Value::List(list) => {
            let inner = list.iter().map(|value| measured(&value)).map(|size| size.own.max(size.each));
            Size { own: list.len(), each: inner.max().unwrap_or(0) }
        }
        Value::Map(map) => {
            let keys = map.keys().unwrap_or_default();
            let values = keys.iter().filter_map(|key| map.entry(key).ok().flatten());
            let inner =
                keys.iter().cloned().chain(values).map(|value| measured(&value)).map(|size| size.own.max(size.each));
            Size { own: map.len(), each: inner.max().unwrap_or(0) }
        }
        _ => Size::text(64),
    }
}

fn repeated(of: &Loop, variables: &mut Vec<Size>) -> (usize, Size) {
    let (before, over) = bound(&of.over, variables);
    let outside = variables.len();
    let inside = match &of.over.kind {
        Type::List(kind) => element(kind, over),
        _ => Size { own: over.each, each: over.each },
    };
    if of.pair {
        variables.push(Size { own: over.each.max(64), each: 0 });
    }
    variables.push(inside);
    let filter = of.filter.as_ref().map_or(0, |filter| bound(filter, variables).0);
    let (body, result) = bound(&of.body, variables);
    variables.truncate(outside);
    let value = if of.pair { lookup(&of.over) } else { 0 };
    let each = turn(of).saturating_add(filter).saturating_add(body).saturating_add(value);
    let steps = before.saturating_add(over.own.saturating_mul(each)).saturating_add(over.own);
    let size = match of.mode {
        Mode::All | Mode::Exists | Mode::ExistsOne => Size::text(64),
        Mode::Collect | Mode::Remap => Size { own: over.own, each: result.own.max(result.each) },
    };
    (steps, size)
}

/// What each turn of a macro spends on itself.
pub(super) fn turn(of: &Loop) -> usize {
    1 + of.filter.as_ref().map_or(0, Node::weight) + of.body.weight()
}
