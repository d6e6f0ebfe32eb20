//! Closures for the shapes that most conditions have, without a detour through general values.

use super::compile::{Compiler, Test, absence, test};
use super::error::Fault;
use super::schema::{Member, Read, Table};
use super::syntax::Span;
use super::tree::{Form, Mode, Node};
use super::value::Value;

/// A closure for `node`, when it has one of the shapes.
pub(super) fn test_of(compiler: &mut Compiler, node: &Node) -> Option<Test> {
    match &node.form {
        Form::Equal(not, one, two) => {
            let (other, text) = beside_text(one, two)?;
            Some(equals(compiler, other, text, *not))
        }
        Form::In(one, two) => match (one.constant(), &two.form) {
            (Some(Value::Text(text)), Form::Member(table, member)) => holds(*table, member, text.as_str(), two.span),
            (None, Form::Constant(Value::List(list))) => {
                let mut texts: Vec<Box<str>> =
                    list.iter().map(|value| value.as_str().map(Box::from)).collect::<Option<_>>()?;
                texts.sort_unstable();
                let one = compiler.value(one);
                Some(test(move |env| {
                    let found = one(env)?.as_str().map(|text| texts.binary_search_by(|known| (**known).cmp(text)));
                    Ok(matches!(found, Some(Ok(_))))
                }))
            }
            _ => None,
        },
        // `list.exists(x, x == "text")` asks what `"text" in list` asks.
        Form::Loop(of) if of.mode == Mode::Exists && !of.pair => {
            let (Form::Member(table, member), Form::Equal(false, one, two)) = (&of.over.form, &of.body.form) else {
                return None;
            };
            let (other, text) = beside_text(one, two)?;
            let variable = matches!(other.form, Form::Variable(0));
            variable.then(|| holds(*table, member, text, of.over.span)).flatten()
        }
        Form::Call(function, parts) => {
            let search: fn(&str, &str) -> bool = match function.name {
                "startsWith" => |text, part| text.starts_with(part),
                "endsWith" => |text, part| text.ends_with(part),
                _ => return None,
            };
            let [Node { form: Form::Member(table, member), span, .. }, part] = parts.as_slice() else { return None };
            let part: Box<str> = part.constant()?.as_str()?.into();
            let (table, member, span, Read::Text(read)) = (*table, *member, *span, &member.read) else { return None };
            let read = *read;
            Some(test(move |env| match read(env.root.facts) {
                Some(text) => Ok(search(text, &part)),
                None => Err(absence(env, table, member).at(span)),
            }))
        }
        _ => None,
    }
}

/// The other of two operands, when one is a constant text.
fn beside_text<'n>(one: &'n Node, two: &'n Node) -> Option<(&'n Node, &'n str)> {
    let text = |node: &'n Node| node.constant().and_then(Value::as_str);
    match (text(one), text(two)) {
        (None, Some(text)) => Some((one, text)),
        (Some(text), None) => Some((two, text)),
        _ => None,
    }
}

/// `other == "text"`; a value that is no text differs.
fn equals(compiler: &mut Compiler, other: &Node, text: &str, not: bool) -> Test {
    let text: Box<str> = text.into();
    if let Form::Member(table, member) = &other.form
        && let (table, member, span, Read::Text(read)) = (*table, *member, other.span, &member.read)
    {
        let read = *read;
        return test(move |env| match read(env.root.facts) {
            Some(found) => Ok((*found == *text) != not),
            None => Err(absence(env, table, member).at(span)),
        });
    }
    let other = compiler.value(other);
    test(move |env| Ok((other(env)?.as_str() == Some(&text)) != not))
}

/// `"text" in list`
fn holds(table: Table, member: &'static Member, text: &str, span: Span) -> Option<Test> {
    let Read::Texts(read) = member.read else { return None };
    let text: Box<str> = text.into();
    Some(test(move |env| {
        let list = read(env.root.facts).ok_or_else(|| absence(env, table, member).at(span))?;
        env.root.fuel.spend(list.len()).map_err(|fault: Fault| fault.at(span))?;
        Ok(list.holds(&text))
    }))
}
