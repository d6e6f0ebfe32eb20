//! The math extension: `math.greatest(a, b)`, rounding, signs, bits.

use super::{Function, Gives, Native, Run, Style, Takes, small};
use crate::policy::rules::when::environment::Root;
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::number;
use crate::policy::rules::when::schema::Size;
use crate::policy::rules::when::value::Value;

type Overloads = &'static [(&'static [Takes], Gives)];

const EXTREME: Overloads = &[(&[Takes::Number, Takes::Numbers], Gives::Joined), (&[Takes::List], Gives::Dyn)];
const DOUBLE: Overloads = &[(&[Takes::Double], Gives::Double)];
const IS: Overloads = &[(&[Takes::Double], Gives::Bool)];
const SAME: Overloads =
    &[(&[Takes::Int], Gives::Int), (&[Takes::Uint], Gives::Uint), (&[Takes::Double], Gives::Double)];
const BIT: Overloads = &[(&[Takes::Int], Gives::Int), (&[Takes::Uint], Gives::Uint)];
const BITS: Overloads = &[(&[Takes::Int, Takes::Int], Gives::Int), (&[Takes::Uint, Takes::Uint], Gives::Uint)];
const SHIFT: Overloads = &[(&[Takes::Int, Takes::Int], Gives::Int), (&[Takes::Uint, Takes::Int], Gives::Uint)];

const fn plain(name: &'static str, overloads: Overloads, run: Native) -> Function {
    Function { name, style: Style::Plain, overloads, run: Run::Native(run), cost: small }
}

const fn extreme(name: &'static str, run: Native) -> Function {
    let cost = |sizes: &[Size]| (sizes.first().map_or(0, |size| size.own), Size::text(8));
    Function { name, style: Style::Plain, overloads: EXTREME, run: Run::Native(run), cost }
}

pub(super) static FUNCTIONS: &[Function] = &[
    extreme("math.greatest", |root, of| furthest(root, of, std::cmp::Ordering::Greater)),
    extreme("math.least", |root, of| furthest(root, of, std::cmp::Ordering::Less)),
    plain("math.ceil", DOUBLE, |_, of| double(of, f64::ceil)),
    plain("math.floor", DOUBLE, |_, of| double(of, f64::floor)),
    plain("math.round", DOUBLE, |_, of| double(of, f64::round)),
    plain("math.trunc", DOUBLE, |_, of| double(of, f64::trunc)),
    plain("math.isNaN", IS, |_, of| is(of, f64::is_nan)),
    plain("math.isInf", IS, |_, of| is(of, f64::is_infinite)),
    plain("math.isFinite", IS, |_, of| is(of, f64::is_finite)),
    plain("math.abs", SAME, absolute),
    plain("math.sign", SAME, sign),
    plain("math.bitAnd", BITS, |_, of| bits(of, |one, two| one & two)),
    plain("math.bitOr", BITS, |_, of| bits(of, |one, two| one | two)),
    plain("math.bitXor", BITS, |_, of| bits(of, |one, two| one ^ two)),
    plain("math.bitNot", BIT, |_, of| match of {
        [Value::Int(value)] => Ok(Value::Int(!value)),
        [Value::Uint(value)] => Ok(Value::Uint(!value)),
        _ => Err(Fault::NoOverload),
    }),
    plain("math.bitShiftLeft", SHIFT, |_, of| shift(of, |bits, by| bits.checked_shl(by).unwrap_or(0))),
    plain("math.bitShiftRight", SHIFT, |_, of| shift(of, |bits, by| bits.checked_shr(by).unwrap_or(0))),
];

/// The greatest or least of the arguments, or of the elements of a list.
fn furthest<'a>(root: &Root<'a>, of: &[Value<'a>], way: std::cmp::Ordering) -> Result<Value<'a>, Fault> {
    let values = match of {
        [Value::List(list)] => {
            root.fuel.spend(list.len())?;
            list.iter().collect()
        }
        _ => of.to_vec(),
    };
    let mut best: Option<Value<'a>> = None;
    for value in values {
        if !matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_)) {
            return Err(Fault::NoOverload);
        }
        let further = best.as_ref().is_none_or(|best| number::order(&value, best) == Some(way));
        best = if further { Some(value) } else { best };
    }
    best.ok_or(Fault::NoOverload)
}

fn double<'a>(of: &[Value<'a>], change: fn(f64) -> f64) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Double(value)] => Ok(Value::Double(change(*value))),
        _ => Err(Fault::NoOverload),
    }
}

fn is<'a>(of: &[Value<'a>], holds: fn(f64) -> bool) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Double(value)] => Ok(Value::Bool(holds(*value))),
        _ => Err(Fault::NoOverload),
    }
}

fn absolute<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Int(value)] => value.checked_abs().map(Value::Int).ok_or(Fault::Overflow),
        [Value::Uint(value)] => Ok(Value::Uint(*value)),
        [Value::Double(value)] => Ok(Value::Double(value.abs())),
        _ => Err(Fault::NoOverload),
    }
}

fn sign<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Int(value)] => Ok(Value::Int(value.signum())),
        [Value::Uint(value)] => Ok(Value::Uint(u64::from(*value > 0))),
        [Value::Double(value)] if *value == 0.0 || value.is_nan() => Ok(Value::Double(*value)),
        [Value::Double(value)] => Ok(Value::Double(value.signum())),
        _ => Err(Fault::NoOverload),
    }
}

fn bits<'a>(of: &[Value<'a>], combine: fn(u64, u64) -> u64) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Int(one), Value::Int(two)] => {
            Ok(Value::Int(combine(one.cast_unsigned(), two.cast_unsigned()).cast_signed()))
        }
        [Value::Uint(one), Value::Uint(two)] => Ok(Value::Uint(combine(*one, *two))),
        _ => Err(Fault::NoOverload),
    }
}

/// Shifts bits, zeros coming in from both ends; by a whole word or more, nothing is left.
fn shift<'a>(of: &[Value<'a>], shifted: fn(u64, u32) -> u64) -> Result<Value<'a>, Fault> {
    let [bits, Value::Int(by)] = of else { return Err(Fault::NoOverload) };
    let by = u64::try_from(*by).map_err(|_| Fault::Overflow)?;
    let by = u32::try_from(by).unwrap_or(u32::MAX);
    match bits {
        Value::Int(bits) => Ok(Value::Int(shifted(bits.cast_unsigned(), by).cast_signed())),
        Value::Uint(bits) => Ok(Value::Uint(shifted(*bits, by))),
        _ => Err(Fault::NoOverload),
    }
}
