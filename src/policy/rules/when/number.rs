//! Numbers: exact arithmetic within a type, and exact comparison across types.

use std::cmp::Ordering;

use super::error::Fault;
use super::value::Value;

/// The order of two numbers of any types, exactly. `None` for what is no number, NaN included.
pub(super) fn order(one: &Value<'_>, two: &Value<'_>) -> Option<Ordering> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => Some(one.cmp(two)),
        (Value::Double(one), Value::Double(two)) => one.partial_cmp(two),
        (Value::Double(one), two) => whole(two).and_then(|two| against(*one, two)),
        (one, Value::Double(two)) => whole(one).and_then(|one| against(*two, one)).map(Ordering::reverse),
        (one, two) => Some(whole(one)?.cmp(&whole(two)?)),
    }
}

/// An integer of either type.
fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    }
}

/// The order of a double and an integer of at most 65 bits.
fn against(double: f64, whole: i128) -> Option<Ordering> {
    /// Beyond every integer of either type, and exact.
    const BEYOND: f64 = 36_893_488_147_419_103_232.0;
    if double.is_nan() {
        return None;
    }
    if double.abs() >= BEYOND {
        return Some(if double > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the absolute value is under 2^65, and the fraction is put back"
    )]
    let floor = double.floor() as i128;
    let fraction = double > double.floor();
    Some(floor.cmp(&whole).then(if fraction { Ordering::Greater } else { Ordering::Equal }))
}

/// The arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Arithmetic on two numbers of one type. Whole numbers overflow into an error, doubles into infinity.
pub(super) fn arithmetic<'a>(operator: Arithmetic, one: &Value<'_>, two: &Value<'_>) -> Result<Value<'a>, Fault> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => signed(operator, *one, *two).map(Value::Int),
        (Value::Uint(one), Value::Uint(two)) => unsigned(operator, *one, *two).map(Value::Uint),
        (Value::Double(one), Value::Double(two)) => double(operator, *one, *two).map(Value::Double),
        _ => Err(Fault::NoOverload),
    }
}

fn signed(operator: Arithmetic, one: i64, two: i64) -> Result<i64, Fault> {
    match operator {
        Arithmetic::Add => one.checked_add(two),
        Arithmetic::Subtract => one.checked_sub(two),
        Arithmetic::Multiply => one.checked_mul(two),
        Arithmetic::Divide | Arithmetic::Remainder if two == 0 => return Err(Fault::DivisionByZero),
        Arithmetic::Divide => one.checked_div(two),
        Arithmetic::Remainder => one.checked_rem(two),
    }
    .ok_or(Fault::Overflow)
}

fn unsigned(operator: Arithmetic, one: u64, two: u64) -> Result<u64, Fault> {
    match operator {
        Arithmetic::Add => one.checked_add(two),
        Arithmetic::Subtract => one.checked_sub(two),
        Arithmetic::Multiply => one.checked_mul(two),
        Arithmetic::Divide => one.checked_div(two).map_or(Err(Fault::DivisionByZero), |value| Ok(Some(value)))?,
        Arithmetic::Remainder => one.checked_rem(two).map_or(Err(Fault::DivisionByZero), |value| Ok(Some(value)))?,
    }
    .ok_or(Fault::Overflow)
}

fn double(operator: Arithmetic, one: f64, two: f64) -> Result<f64, Fault> {
    match operator {
        Arithmetic::Add => Ok(one + two),
        Arithmetic::Subtract => Ok(one - two),
        Arithmetic::Multiply => Ok(one * two),
        Arithmetic::Divide => Ok(one / two),
        Arithmetic::Remainder => Err(Fault::NoOverload),
    }
}

/// The whole part of a double. The bounds of the type are open, as CEL has them.
pub(super) fn truncated(value: f64) -> Result<i64, Fault> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if value > -BOUND && value < BOUND {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "within the bounds of the type; the fraction is meant to go"
        )]
        return Ok(value as i64);
    }
    Err(Fault::Overflow)
}

/// The whole part of a double that is not negative.
pub(super) fn truncated_unsigned(value: f64) -> Result<u64, Fault> {
    const BOUND: f64 = 18_446_744_073_709_551_616.0;
    if (0.0..BOUND).contains(&value) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds of the type; the fraction is meant to go"
        )]
        return Ok(value as u64);
    }
    Err(Fault::Overflow)
}

/// The double nearest to a number.
pub(super) fn rounded(value: &Value<'_>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rounding is what a conversion to double does")]
    match value {
        Value::Int(value) => *value as f64,
        Value::Uint(value) => *value as f64,
        Value::Double(value) => *value,
        _ => f64::NAN,
    }
}

/// A double inside of a formatted text, where infinity is a word.
pub(super) fn spelled(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    written(value)
}

/// A double as text: the shortest that reads back as the same, with an exponent when it is very large or small.
pub(super) fn written(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(power) if value != 0.0 && !(-4..21).contains(&power) => {
            format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
        }
        _ => value.to_string(),
    }
}
