//! Functions over strings: CEL's own, and those of the strings extension.

use super::{Cost, Function, Gives, Native, Run, Style, Takes};
use crate::policy::rules::when::environment::{MATCHED, Root, SCANNED, WRITTEN};
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::schema::Size;
use crate::policy::rules::when::value::{Text, Value};

const fn method(
    name: &'static str,
    overloads: &'static [(&'static [Takes], Gives)],
    run: Native,
    cost: Cost,
) -> Function {
    Function { name, style: Style::Method, overloads, run: Run::Native(run), cost }
}

const SEARCH: &[(&[Takes], Gives)] = &[(&[Takes::Text, Takes::Text], Gives::Bool)];
const PLACE: &[(&[Takes], Gives)] =
    &[(&[Takes::Text, Takes::Text], Gives::Int), (&[Takes::Text, Takes::Text, Takes::Int], Gives::Int)];
const CHANGE: &[(&[Takes], Gives)] = &[(&[Takes::Text], Gives::Text)];

pub(super) static FUNCTIONS: &[Function] = &[
    method("contains", SEARCH, |root, of| search(root, of, |text, part| text.contains(part)), scanned),
    method("startsWith", SEARCH, |root, of| search(root, of, |text, part| text.starts_with(part)), scanned),
    method("endsWith", SEARCH, |root, of| search(root, of, |text, part| text.ends_with(part)), scanned),
    Function {
        name: "matches",
        style: Style::Method,
        overloads: SEARCH,
        run: Run::Pattern,
        cost: |sizes| (own(sizes, 0) / MATCHED + 1, Size::default()),
    },
    method("charAt", &[(&[Takes::Text, Takes::Int], Gives::Text)], char_at, scanned),
    method("indexOf", PLACE, |root, of| place(root, of, false), scanned),
    method("lastIndexOf", PLACE, |root, of| place(root, of, true), scanned),
    method(
        "substring",
        &[(&[Takes::Text, Takes::Int], Gives::Text), (&[Takes::Text, Takes::Int, Takes::Int], Gives::Text)],
        substring,
        changed,
    ),
    method("lowerAscii", CHANGE, |root, of| change(root, of, |text| text.to_ascii_lowercase()), changed),
    method("upperAscii", CHANGE, |root, of| change(root, of, |text| text.to_ascii_uppercase()), changed),
    method("reverse", CHANGE, |root, of| change(root, of, |text| text.chars().rev().collect()), changed),
    method("trim", CHANGE, trim, changed),
    method(
        "replace",
        &[
            (&[Takes::Text, Takes::Text, Takes::Text], Gives::Text),
            (&[Takes::Text, Takes::Text, Takes::Text, Takes::Int], Gives::Text),
        ],
        replace,
        replaced,
    ),
    method(
        "split",
        &[(&[Takes::Text, Takes::Text], Gives::Texts), (&[Takes::Text, Takes::Text, Takes::Int], Gives::Texts)],
        split,
        |sizes| (2 * own(sizes, 0) + 2, Size { own: own(sizes, 0) + 1, each: own(sizes, 0) }),
    ),
    method("join", &[(&[Takes::Texts], Gives::Text), (&[Takes::Texts, Takes::Text], Gives::Text)], join, |sizes| {
        let list = sizes.first().copied().unwrap_or_default();
        let whole = list.own * (list.each + own(sizes, 1));
        (list.own + whole / WRITTEN + 1, Size::text(whole))
    }),
    Function {
        name: "strings.quote",
        style: Style::Plain,
        overloads: CHANGE,
        run: Run::Native(quote),
        cost: |sizes| (own(sizes, 0) * 2 / WRITTEN + 1, Size::text(own(sizes, 0) * 2 + 2)),
    },
];

fn own(sizes: &[Size], index: usize) -> usize {
    sizes.get(index).map_or(0, |size| size.own)
}

/// Looks through the text.
fn scanned(sizes: &[Size]) -> (usize, Size) {
    (own(sizes, 0) / SCANNED, Size::text(4))
}

/// Writes the text anew.
fn changed(sizes: &[Size]) -> (usize, Size) {
    (own(sizes, 0) / SCANNED + own(sizes, 0) / WRITTEN + 1, Size::text(own(sizes, 0)))
}

fn replaced(sizes: &[Size]) -> (usize, Size) {
    let whole = own(sizes, 0) + (own(sizes, 0) + 1) * own(sizes, 2);
    (own(sizes, 0) / SCANNED + whole / WRITTEN + 1, Size::text(whole))
}

fn search<'a>(root: &Root<'a>, of: &[Value<'a>], found: fn(&str, &str) -> bool) -> Result<Value<'a>, Fault> {
    let [Value::Text(text), Value::Text(part)] = of else { return Err(Fault::NoOverload) };
    root.fuel.scan(text.as_str().len())?;
    Ok(Value::Bool(found(text.as_str(), part.as_str())))
}

/// The byte at which the character `index` starts; the end counts as a place.
fn byte_at(text: &str, index: i64) -> Result<usize, Fault> {
    let index = usize::try_from(index).map_err(|_| Fault::NoIndex)?;
    if text.is_ascii() {
        return if index <= text.len() { Ok(index) } else { Err(Fault::NoIndex) };
    }
    let places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    places.into_iter().nth(index).ok_or(Fault::NoIndex)
}

/// A part of a text, borrowed where the text is.
fn slice<'a>(root: &Root<'a>, text: &Text<'a>, from: usize, to: usize) -> Result<Value<'a>, Fault> {
    Ok(match text {
        Text::Borrowed(text) => Value::text(text.get(from..to).ok_or(Fault::NoIndex)?),
        Text::Owned(text) => {
            root.fuel.write(to.saturating_sub(from))?;
            Value::owned(text.get(from..to).ok_or(Fault::NoIndex)?)
        }
    })
}

fn char_at<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Text(text), Value::Int(index)] = of else { return Err(Fault::NoOverload) };
    root.fuel.scan(text.as_str().len())?;
    let from = byte_at(text.as_str(), *index)?;
    let length = text.as_str().get(from..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    Ok(Value::owned(text.as_str().get(from..from + length).ok_or(Fault::NoIndex)?))
}

/// The index of the first or last occurrence, in characters; -1 when there is none.
fn place<'a>(root: &Root<'a>, of: &[Value<'a>], last: bool) -> Result<Value<'a>, Fault> {
    let (Value::Text(text), Value::Text(part), from) = (match of {
        [text, part] => (text, part, None),
        [text, part, Value::Int(from)] => (text, part, Some(*from)),
        _ => return Err(Fault::NoOverload),
    }) else {
        return Err(Fault::NoOverload);
    };
    let (text, part) = (text.as_str(), part.as_str());
    root.fuel.scan(text.len())?;
    let found = match (from, last) {
        (None, false) => text.find(part),
        (None, true) => text.rfind(part),
        (Some(from), false) => {
            let from = byte_at(text, from)?;
            text.get(from..).and_then(|rest| rest.find(part)).map(|found| from + found)
        }
        (Some(from), true) => {
            // The match may start at `from` and reach beyond it; a cut character is no part of it.
            let mut end = (byte_at(text, from)? + part.len()).min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.get(..end).and_then(|head| head.rfind(part))
        }
    };
    let Some(found) = found else { return Ok(Value::Int(-1)) };
    let index = text.get(..found).map_or(0, |head| head.chars().count());
    i64::try_from(index).map(Value::Int).map_err(|_| Fault::Overflow)
}

fn substring<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let (text, from, to) = match of {
        [Value::Text(text), Value::Int(from)] => (text, *from, None),
        [Value::Text(text), Value::Int(from), Value::Int(to)] => (text, *from, Some(*to)),
        _ => return Err(Fault::NoOverload),
    };
    root.fuel.scan(text.as_str().len())?;
    let from = byte_at(text.as_str(), from)?;
    let to = to.map_or(Ok(text.as_str().len()), |to| byte_at(text.as_str(), to))?;
    if from > to { Err(Fault::NoIndex) } else { slice(root, text, from, to) }
}

fn change<'a>(root: &Root<'a>, of: &[Value<'a>], changed: fn(&str) -> String) -> Result<Value<'a>, Fault> {
    let [Value::Text(text)] = of else { return Err(Fault::NoOverload) };
    root.fuel.write(text.as_str().len())?;
    Ok(Value::owned(changed(text.as_str())))
}

fn trim<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Text(text)] = of else { return Err(Fault::NoOverload) };
    let whole = text.as_str();
    root.fuel.scan(whole.len())?;
    let from = whole.len() - whole.trim_start().len();
    slice(root, text, from, from + whole.trim().len())
}

fn replace<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let (text, old, new, most) = match of {
        [Value::Text(text), Value::Text(old), Value::Text(new)] => (text, old, new, -1),
        [Value::Text(text), Value::Text(old), Value::Text(new), Value::Int(most)] => (text, old, new, *most),
        _ => return Err(Fault::NoOverload),
    };
    let (text, old, new) = (text.as_str(), old.as_str(), new.as_str());
    root.fuel.scan(text.len())?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = text.matches(old).count().min(most);
    root.fuel.write(text.len().saturating_add(times.saturating_mul(new.len())))?;
    Ok(Value::owned(text.replacen(old, new, most)))
}

fn split<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let (text, by, most) = match of {
        [Value::Text(text), Value::Text(by)] => (text, by, -1),
        [Value::Text(text), Value::Text(by), Value::Int(most)] => (text, by, *most),
        _ => return Err(Fault::NoOverload),
    };
    let whole = text.as_str();
    root.fuel.spend(whole.len())?;
    let mut parts = Vec::new();
    let mut from = 0;
    while most < 0 || parts.len() < usize::try_from(most).unwrap_or(usize::MAX) {
        let rest = whole.get(from..).unwrap_or_default();
        let last = i64::try_from(parts.len()).is_ok_and(|count| count + 1 == most);
        // Without a separator the parts are characters.
        let found = if by.as_str().is_empty() {
            rest.chars().next().map(|c| (c.len_utf8(), 0)).filter(|(length, _)| *length < rest.len())
        } else {
            rest.find(by.as_str()).map(|found| (found, by.as_str().len()))
        };
        let Some((length, gap)) = found.filter(|_| !last) else {
            if !(rest.is_empty() && by.as_str().is_empty()) {
                parts.push(slice(root, text, from, whole.len())?);
            }
            break;
        };
        parts.push(slice(root, text, from, from + length)?);
        from += length + gap;
    }
    Ok(Value::list(parts))
}

fn join<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let (list, by) = match of {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::Text(by)] => (list, by.as_str()),
        _ => return Err(Fault::NoOverload),
    };
    root.fuel.spend(list.len())?;
    let mut whole = String::new();
    for (index, part) in list.iter().enumerate() {
        let part = part.as_str().ok_or(Fault::NoOverload)?;
        root.fuel.spend((part.len() + by.len()) / WRITTEN)?;
        if index > 0 {
            whole.push_str(by);
        }
        whole.push_str(part);
    }
    Ok(Value::owned(whole))
}

fn quote<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Text(text)] = of else { return Err(Fault::NoOverload) };
    root.fuel.write(text.as_str().len() * 2)?;
    let mut quoted = String::from('"');
    for c in text.as_str().chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    Ok(Value::owned(quoted))
}
