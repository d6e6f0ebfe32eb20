//! Functions over lists, maps, header fields and query parameters.

use super::{Function, Gives, Run, Style, Takes, small};
use crate::policy::rules::when::collection::Map;
use crate::policy::rules::when::environment::{Root, SCANNED};
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::schema::Size;
use crate::policy::rules::when::value::Value;

const SIZED: &[(&[Takes], Gives)] = &[
    (&[Takes::Text], Gives::Int),
    (&[Takes::Bytes], Gives::Int),
    (&[Takes::List], Gives::Int),
    (&[Takes::Map], Gives::Int),
];

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "size", style: Style::Plain, overloads: SIZED, run: Run::Native(size), cost: scanned },
    Function { name: "size", style: Style::Method, overloads: SIZED, run: Run::Native(size), cost: scanned },
    Function {
        name: "values",
        style: Style::Method,
        overloads: &[(&[Takes::Fields, Takes::Text], Gives::Texts)],
        run: Run::Native(values),
        cost: |_| (8192, Size { own: 128, each: 1024 }),
    },
    Function {
        name: "type",
        style: Style::Plain,
        overloads: &[(&[Takes::Any], Gives::Kind)],
        run: Run::Native(|_, of| of.first().map(|value| Value::Kind(value.kind())).ok_or(Fault::NoOverload)),
        cost: small,
    },
    Function {
        name: "dyn",
        style: Style::Plain,
        overloads: &[(&[Takes::Any], Gives::Dyn)],
        run: Run::Native(|_, of| of.first().cloned().ok_or(Fault::NoOverload)),
        cost: |sizes| (0, sizes.first().copied().unwrap_or_default()),
    },
];

fn scanned(sizes: &[Size]) -> (usize, Size) {
    (sizes.first().map_or(0, |size| size.own / SCANNED), Size::text(8))
}

/// Characters of a string, bytes of bytes, elements of a list, entries of a map.
fn size<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let size = match of {
        [Value::Text(text)] => {
            root.fuel.scan(text.as_str().len())?;
            text.as_str().chars().count()
        }
        [Value::Bytes(bytes)] => bytes.as_slice().len(),
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(Fault::NoOverload),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| Fault::Overflow)
}

/// Every value under a name, in the order of the request.
fn values<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Map(map), Value::Text(name)] = of else { return Err(Fault::NoOverload) };
    if let Map::Query(query) = map {
        root.fuel.spend(query.len())?;
    }
    Ok(Value::list(map.every(name.as_str())?))
}
