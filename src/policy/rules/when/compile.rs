//! Typed tree to closures. A closure borrows from the request, allocates only for new text, lists and maps, and knows
//! its place in the source.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;

use super::collection::Map;
use super::environment::{Env, Fuel, Root};
use super::error::{EvalError, Fault};
use super::functions::{Clock, Native, Run};
use super::moment::{Moment, Zone};
use super::number::{self, Arithmetic};
use super::schema::{Member, Read, Table};
use super::syntax::Span;
use super::tree::{Form, Node};
use super::value::{self, Text, Value};
use super::{macros, shapes};
use crate::identity::PathParams;
use crate::policy::rules::{Facts, RequestFacts};

/// Gives the value of an expression.
pub(super) type Code = Box<dyn for<'e, 'a> Fn(&Env<'e, 'a>) -> Result<Value<'a>, EvalError> + Send + Sync>;
/// Gives the truth of an expression.
pub(super) type Test = Box<dyn for<'e, 'a> Fn(&Env<'e, 'a>) -> Result<bool, EvalError> + Send + Sync>;

/// Boxes a closure; the bound tells the compiler its lifetimes.
pub(super) fn code<F>(closure: F) -> Code
where
    F: for<'e, 'a> Fn(&Env<'e, 'a>) -> Result<Value<'a>, EvalError> + Send + Sync + 'static,
{
    Box::new(closure)
}

/// The same for a truth.
pub(super) fn test<F>(closure: F) -> Test
where
    F: for<'e, 'a> Fn(&Env<'e, 'a>) -> Result<bool, EvalError> + Send + Sync + 'static,
{
    Box::new(closure)
}

/// The most steps of working out one constant at load; they also bound its size.
const FOLDING: u32 = 4096;

/// The value of a node that reads no facts.
pub(super) fn constant(node: &Node) -> Result<Value<'static>, EvalError> {
    let mut compiler = Compiler::default();
    let code = compiler.value(node);
    let (params, headers) = (PathParams::default(), HeaderMap::new());
    let request = RequestFacts { method: "", host: "", path: "", query: None, params: &params, headers: &headers };
    let facts = Facts { request, token: None, peer: None, source: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let now = Moment::new(0, 0).map_err(|fault| fault.at(node.span))?;
    let root = Root { facts: &facts, now, constants: &compiler.constants, fuel: Fuel::of(FOLDING) };
    code(&Env::outermost(&root))?.kept().map_err(|fault| fault.at(node.span))
}

/// Lowers nodes, and keeps the constants that they borrow.
#[derive(Default)]
pub(super) struct Compiler {
    pub(super) constants: Vec<Value<'static>>,
}

impl Compiler {
    /// A closure for the value of a node.
    pub(super) fn value(&mut self, node: &Node) -> Code {
        let span = node.span;
        match &node.form {
            Form::Constant(value) => self.kept(value),
            Form::Now => code(|env| Ok(Value::Moment(env.root.now))),
            Form::Member(table, member) => read(*table, member, span),
            Form::Variable(0) => code(|env| Ok(env.variable.clone())),
            Form::Variable(hops) => {
                let hops = *hops;
                code(move |env| Ok(env.variable(hops)))
            }
            Form::Field(of, key) => {
                let (of, key) = (self.value(of), key.clone());
                code(move |env| field(env, &of(env)?, &key).map_err(|fault| fault.at(span)))
            }
            Form::Index(of, key) => {
                let (of, key) = (self.value(of), self.value(key));
                code(move |env| index(env, &of(env)?, &key(env)?).map_err(|fault| fault.at(span)))
            }
            Form::List(parts) => {
                let parts = self.values(parts);
                code(move |env| {
                    env.root.fuel.spend(parts.len()).map_err(|fault| fault.at(span))?;
                    Ok(Value::list(parts.iter().map(|part| part(env)).collect::<Result<_, _>>()?))
                })
            }
            Form::Map(entries) => {
                let entries: Box<[_]> =
                    entries.iter().map(|(key, value)| (self.value(key), self.value(value))).collect();
                code(move |env| {
                    env.root.fuel.spend(entries.len() * 2).map_err(|fault| fault.at(span))?;
                    let entries = entries.iter().map(|(key, value)| Ok((key(env)?, value(env)?)));
                    Map::new(entries.collect::<Result<_, _>>()?).map(Value::Map).map_err(|fault| fault.at(span))
                })
            }
            Form::Negate(of) => {
                let of = self.value(of);
                code(move |env| match of(env)? {
                    Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(|| Fault::Overflow.at(span)),
                    Value::Double(value) => Ok(Value::Double(-value)),
                    _ => Err(Fault::NoOverload.at(span)),
                })
            }
            Form::If(parts) => {
                let [condition, yes, no] = &**parts;
                let (condition, yes, no) = (self.test(condition), self.value(yes), self.value(no));
                code(move |env| if condition(env)? { yes(env) } else { no(env) })
            }
            Form::Arithmetic(operator, one, two) => {
                let (operator, one, two) = (*operator, self.value(one), self.value(two));
                code(move |env| arithmetic(env.root, operator, &one(env)?, &two(env)?).map_err(|fault| fault.at(span)))
            }
            Form::Call(function, parts) => match function.run {
                Run::Native(native) | Run::Parse(native) => self.call(native, parts, span),
                // Folding turned these into forms of their own, or refused the source.
                Run::Pattern | Run::Clock(_) => code(move |_| Err(Fault::NoOverload.at(span))),
            },
            Form::Clock(clock, of, zone) => {
                let (clock, of, zone) = (*clock, self.value(of), zone.clone());
                code(move |env| self::clock(clock, &of(env)?, &zone).map_err(|fault| fault.at(span)))
            }
            Form::Loop(of) if of.collects() => macros::collect(self, of, span),
            Form::HasTable(_)
            | Form::HasMember(..)
            | Form::HasField(..)
            | Form::Not(_)
            | Form::And(_)
            | Form::Or(_)
            | Form::Equal(..)
            | Form::Order(..)
            | Form::In(..)
            | Form::Matches(..)
            | Form::Loop(_) => {
                let test = self.test(node);
                code(move |env| test(env).map(Value::Bool))
            }
        }
    }

    /// A closure for the truth of a node.
    pub(super) fn test(&mut self, node: &Node) -> Test {
        if let Some(shape) = shapes::test_of(self, node) {
            return shape;
        }
        let span = node.span;
        match &node.form {
            Form::Constant(Value::Bool(value)) => {
                let value = *value;
                test(move |_| Ok(value))
            }
            Form::HasTable(table) => {
                let table = *table;
                test(move |env| Ok(table.is_there(env.root.facts)))
            }
            Form::HasMember(table, member) => {
                let (table, member) = (*table, *member);
                test(move |env| match member.read.value(env.root.facts) {
                    Some(Value::List(list)) => Ok(list.len() > 0),
                    Some(_) => Ok(true),
                    None => match absence(env, table, member) {
                        Fault::Absent => Ok(false),
                        fault => Err(fault.at(span)),
                    },
                })
            }
            Form::HasField(of, key) => {
                let (of, key) = (self.value(of), key.clone());
                test(move |env| has(env, &of(env)?, &key).map_err(|fault| fault.at(span)))
            }
            Form::Not(of) => {
                let of = self.test(of);
                test(move |env| of(env).map(|value| !value))
            }
            Form::And(parts) => self.connective(parts, false),
            Form::Or(parts) => self.connective(parts, true),
            Form::If(parts) => {
                let [condition, yes, no] = &**parts;
                let (condition, yes, no) = (self.test(condition), self.test(yes), self.test(no));
                test(move |env| if condition(env)? { yes(env) } else { no(env) })
            }
            Form::Equal(not, one, two) => {
                let (not, one, two) = (*not, self.value(one), self.value(two));
                test(move |env| {
                    let equal = value::equal(&one(env)?, &two(env)?, &env.root.fuel);
                    equal.map(|equal| equal != not).map_err(|fault| fault.at(span))
                })
            }
            Form::Order(comparison, one, two) => {
                let (comparison, one, two) = (*comparison, self.value(one), self.value(two));
                test(move |env| {
                    let order = value::order(&one(env)?, &two(env)?).map_err(|fault| fault.at(span))?;
                    Ok(order.is_some_and(|order| comparison.holds(order)))
                })
            }
            Form::In(one, two) => {
                let (one, two) = (self.value(one), self.value(two));
                test(move |env| within(env.root, &one(env)?, &two(env)?).map_err(|fault| fault.at(span)))
            }
            Form::Matches(of, regex) => {
                let (of, regex) = (self.value(of), regex.clone());
                test(move |env| {
                    let text = of(env)?;
                    let text = text.as_str().ok_or_else(|| Fault::NoOverload.at(span))?;
                    let steps = text.len() / super::environment::MATCHED + 1;
                    env.root.fuel.spend(steps).map_err(|fault| fault.at(span))?;
                    Ok(regex.is_match(text))
                })
            }
            Form::Loop(of) if !of.collects() => macros::decide(self, of, span),
            _ => {
                let value = self.value(node);
                test(move |env| match value(env)? {
                    Value::Bool(value) => Ok(value),
                    _ => Err(Fault::NoOverload.at(span)),
                })
            }
        }
    }

    fn values(&mut self, nodes: &[Node]) -> Box<[Code]> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    /// A constant: small ones are copied, large ones borrowed from where the expression keeps them.
    fn kept(&mut self, value: &Value<'static>) -> Code {
        match *value {
            Value::Null => code(|_| Ok(Value::Null)),
            Value::Bool(value) => code(move |_| Ok(Value::Bool(value))),
            Value::Int(value) => code(move |_| Ok(Value::Int(value))),
            _ => {
                let place = self.constants.len();
                self.constants.push(value.clone());
                code(move |env| Ok(env.root.constants.get(place).map_or(Value::Null, Value::borrowed)))
            }
        }
    }

    /// `&&` and `||`: one decisive part decides, whatever the others do; an error counts only when none is decisive.
    fn connective(&mut self, parts: &[Node], decisive: bool) -> Test {
        let parts: Box<[Test]> = parts.iter().map(|part| self.test(part)).collect();
        test(move |env| {
            let mut error = None;
            for part in &parts {
                match part(env) {
                    Ok(value) if value == decisive => return Ok(decisive),
                    Ok(_) => {}
                    Err(found) => error = error.or(Some(found)),
                }
            }
            error.map_or(Ok(!decisive), Err)
        })
    }

    fn call(&mut self, native: Native, parts: &[Node], span: Span) -> Code {
        let at = move |fault: Fault| fault.at(span);
        match parts {
            [one] => {
                let one = self.value(one);
                code(move |env| native(env.root, &[one(env)?]).map_err(at))
            }
            [one, two] => {
                let (one, two) = (self.value(one), self.value(two));
                code(move |env| native(env.root, &[one(env)?, two(env)?]).map_err(at))
            }
            _ => {
                let parts = self.values(parts);
                code(move |env| {
                    let values = parts.iter().map(|part| part(env)).collect::<Result<Vec<_>, _>>()?;
                    native(env.root, &values).map_err(at)
                })
            }
        }
    }
}

fn read(table: Table, member: &'static Member, span: Span) -> Code {
    if matches!(member.read, Read::Written(_)) {
        return code(move |env| {
            let value = member.read.value(env.root.facts).ok_or_else(|| absence(env, table, member).at(span))?;
            if let Value::Text(Text::Owned(text)) = &value {
                env.root.fuel.write(text.len()).map_err(|fault| fault.at(span))?;
            }
            Ok(value)
        });
    }
    code(move |env| match member.read.value(env.root.facts) {
        Some(value) => Ok(value),
        None => Err(absence(env, table, member).at(span)),
    })
}

/// Why a member cannot be read.
pub(super) fn absence(env: &Env<'_, '_>, table: Table, member: &Member) -> Fault {
    match table {
        _ if member.is_malformed(env.root.facts) => Fault::Malformed,
        _ if table.is_there(env.root.facts) => Fault::Absent,
        Table::Token => Fault::NoToken,
        _ => Fault::NoPeer,
    }
}

/// What a look into a map costs: a query is read anew each time.
fn look(env: &Env<'_, '_>, map: &Map<'_>) -> Result<(), Fault> {
    if let Map::Query(query) = map { env.root.fuel.spend(query.len() / 8) } else { Ok(()) }
}

fn field<'a>(env: &Env<'_, 'a>, of: &Value<'a>, key: &str) -> Result<Value<'a>, Fault> {
    let Value::Map(map) = of else { return Err(Fault::NoOverload) };
    look(env, map)?;
    map.member(key)?.ok_or(Fault::NoKey)
}

fn has(env: &Env<'_, '_>, of: &Value<'_>, key: &str) -> Result<bool, Fault> {
    let Value::Map(map) = of else { return Err(Fault::NoOverload) };
    look(env, map)?;
    map.has(key)
}

fn index<'a>(env: &Env<'_, 'a>, of: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, Fault> {
    let list = match of {
        Value::List(list) => list,
        Value::Map(map) => {
            look(env, map)?;
            return map.entry(key)?.ok_or(Fault::NoKey);
        }
        _ => return Err(Fault::NoOverload),
    };
    let place = match key {
        Value::Int(place) => usize::try_from(*place).ok(),
        Value::Uint(place) => usize::try_from(*place).ok(),
        Value::Double(place) if place.fract() == 0.0 => usize::try_from(number::truncated(*place)?).ok(),
        Value::Double(_) => return Err(Fault::NoIndex),
        _ => return Err(Fault::NoOverload),
    };
    place.and_then(|place| list.at(place)).ok_or(Fault::NoIndex)
}

fn arithmetic<'a>(root: &Root<'a>, operator: Arithmetic, one: &Value<'a>, two: &Value<'a>) -> Result<Value<'a>, Fault> {
    match (operator, one, two) {
        (Arithmetic::Add, Value::Text(one), Value::Text(two)) => {
            root.fuel.write(one.as_str().len() + two.as_str().len())?;
            Ok(Value::owned([one.as_str(), two.as_str()].concat()))
        }
        (Arithmetic::Add, Value::Bytes(one), Value::Bytes(two)) => {
            root.fuel.write(one.as_slice().len() + two.as_slice().len())?;
            Ok(Value::bytes([one.as_slice(), two.as_slice()].concat()))
        }
        (Arithmetic::Add, Value::List(one), Value::List(two)) => {
            root.fuel.spend(one.len() + two.len() + 1)?;
            Ok(Value::list(one.iter().chain(two.iter()).collect()))
        }
        (Arithmetic::Add, Value::Moment(moment), Value::Duration(span))
        | (Arithmetic::Add, Value::Duration(span), Value::Moment(moment)) => moment.plus(*span).map(Value::Moment),
        (Arithmetic::Add, Value::Duration(one), Value::Duration(two)) => one.plus(*two).map(Value::Duration),
        (Arithmetic::Subtract, Value::Moment(one), Value::Moment(two)) => one.since(*two).map(Value::Duration),
        (Arithmetic::Subtract, Value::Moment(moment), Value::Duration(span)) => moment.minus(*span).map(Value::Moment),
        (Arithmetic::Subtract, Value::Duration(one), Value::Duration(two)) => one.minus(*two).map(Value::Duration),
        _ => number::arithmetic(operator, one, two),
    }
}

/// `one in two`
fn within<'a>(root: &Root<'a>, one: &Value<'a>, two: &Value<'a>) -> Result<bool, Fault> {
    match (one, two) {
        (Value::Text(text), Value::List(list)) => {
            root.fuel.spend(list.len())?;
            Ok(list.holds(text.as_str()))
        }
        (one, Value::List(list)) => {
            for element in list.iter() {
                root.fuel.spend(1)?;
                if value::equal(one, &element, &root.fuel)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Text(text), Value::Map(map)) => {
            if let Map::Query(query) = map {
                root.fuel.spend(query.len() / 8)?;
            }
            map.has(text.as_str())
        }
        (key, Value::Map(map)) => Ok(map.entry(key)?.is_some()),
        _ => Err(Fault::NoOverload),
    }
}

fn clock<'a>(clock: Clock, of: &Value<'a>, zone: &Zone) -> Result<Value<'a>, Fault> {
    match (of, clock.nanos) {
        (Value::Moment(moment), _) => Ok(Value::Int((clock.read)(&moment.civil(zone)?))),
        // The milliseconds of a duration are those of its last second, as they are for a moment.
        (Value::Duration(span), Some(1_000_000)) => Ok(Value::Int(span.0 % 1_000_000_000 / 1_000_000)),
        (Value::Duration(span), Some(nanos)) => Ok(Value::Int(span.0 / nanos)),
        _ => Err(Fault::NoOverload),
    }
}
