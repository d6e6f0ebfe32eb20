//! Moments and durations: their making, and their parts in a time zone.

use jiff::civil::DateTime;

use super::{Clock, Function, Gives, Run, Style, Takes, small};
use crate::policy::rules::when::environment::Root;
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::moment::{Duration, Moment};
use crate::policy::rules::when::value::Value;

const MOMENT: &[(&[Takes], Gives)] = &[(&[Takes::Moment], Gives::Int), (&[Takes::Moment, Takes::Text], Gives::Int)];
const BOTH: &[(&[Takes], Gives)] =
    &[(&[Takes::Moment], Gives::Int), (&[Takes::Moment, Takes::Text], Gives::Int), (&[Takes::Duration], Gives::Int)];

const fn part(name: &'static str, read: fn(&DateTime) -> i64) -> Function {
    let run = Run::Clock(Clock { read, nanos: None });
    Function { name, style: Style::Method, overloads: MOMENT, run, cost: small }
}

const fn measure(name: &'static str, read: fn(&DateTime) -> i64, nanos: i64) -> Function {
    let run = Run::Clock(Clock { read, nanos: Some(nanos) });
    Function { name, style: Style::Method, overloads: BOTH, run, cost: small }
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "timestamp",
        style: Style::Plain,
        overloads: &[
            (&[Takes::Text], Gives::Moment),
            (&[Takes::Int], Gives::Moment),
            (&[Takes::Moment], Gives::Moment),
        ],
        run: Run::Parse(timestamp),
        cost: small,
    },
    Function {
        name: "duration",
        style: Style::Plain,
        overloads: &[(&[Takes::Text], Gives::Duration), (&[Takes::Duration], Gives::Duration)],
        run: Run::Parse(duration),
        cost: small,
    },
    part("getFullYear", |civil| i64::from(civil.year())),
    part("getMonth", |civil| i64::from(civil.month()) - 1),
    part("getDate", |civil| i64::from(civil.day())),
    part("getDayOfMonth", |civil| i64::from(civil.day()) - 1),
    part("getDayOfWeek", |civil| i64::from(civil.weekday().to_sunday_zero_offset())),
    part("getDayOfYear", |civil| i64::from(civil.day_of_year()) - 1),
    measure("getHours", |civil| i64::from(civil.hour()), 3_600_000_000_000),
    measure("getMinutes", |civil| i64::from(civil.minute()), 60_000_000_000),
    measure("getSeconds", |civil| i64::from(civil.second()), 1_000_000_000),
    Function {
        name: "getMilliseconds",
        style: Style::Method,
        overloads: BOTH,
        run: Run::Clock(Clock { read: |civil| i64::from(civil.millisecond()), nanos: Some(1_000_000) }),
        cost: small,
    },
];

fn timestamp<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Ok(Value::Moment(match of {
        [Value::Moment(moment)] => *moment,
        [Value::Int(seconds)] => Moment::new(*seconds, 0)?,
        [Value::Text(text)] => {
            root.fuel.scan(text.as_str().len())?;
            Moment::parse(text.as_str()).ok_or(Fault::Conversion)?
        }
        _ => return Err(Fault::NoOverload),
    }))
}

fn duration<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Ok(Value::Duration(match of {
        [Value::Duration(duration)] => *duration,
        [Value::Text(text)] => {
            root.fuel.scan(text.as_str().len())?;
            Duration::parse(text.as_str())?
        }
        _ => return Err(Fault::NoOverload),
    }))
}
