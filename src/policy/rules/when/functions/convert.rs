//! Conversions between types: `int(x)`, `uint(x)`, `double(x)`, `string(x)`, `bytes(x)`, `bool(x)`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Cost, Function, Gives, Native, Run, Style, Takes};
use crate::policy::rules::when::environment::{Root, WRITTEN};
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::number;
use crate::policy::rules::when::schema::Size;
use crate::policy::rules::when::value::Value;

const fn conversion(name: &'static str, overloads: &'static [(&'static [Takes], Gives)], run: Native) -> Function {
    Function { name, style: Style::Plain, overloads, run: Run::Native(run), cost: SAME }
}

/// Base64 makes three bytes four, and padding more.
const SAME: Cost = |sizes| {
    let own = sizes.first().map_or(0, |size| size.own);
    (own * 2 / WRITTEN + 1, Size::text((own * 2).max(64)))
};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) static FUNCTIONS: &[Function] = &[
    conversion(
        "int",
        &[
            (&[Takes::Int], Gives::Int),
            (&[Takes::Uint], Gives::Int),
            (&[Takes::Double], Gives::Int),
            (&[Takes::Text], Gives::Int),
            (&[Takes::Moment], Gives::Int),
        ],
        int,
    ),
    conversion(
        "uint",
        &[
            (&[Takes::Uint], Gives::Uint),
            (&[Takes::Int], Gives::Uint),
            (&[Takes::Double], Gives::Uint),
            (&[Takes::Text], Gives::Uint),
        ],
        uint,
    ),
    conversion(
        "double",
        &[
            (&[Takes::Double], Gives::Double),
            (&[Takes::Int], Gives::Double),
            (&[Takes::Uint], Gives::Double),
            (&[Takes::Text], Gives::Double),
        ],
        double,
    ),
    conversion(
        "string",
        &[
            (&[Takes::Text], Gives::Text),
            (&[Takes::Bool], Gives::Text),
            (&[Takes::Int], Gives::Text),
            (&[Takes::Uint], Gives::Text),
            (&[Takes::Double], Gives::Text),
            (&[Takes::Bytes], Gives::Text),
            (&[Takes::Moment], Gives::Text),
            (&[Takes::Duration], Gives::Text),
            (&[Takes::Address], Gives::Text),
            (&[Takes::Network], Gives::Text),
        ],
        string,
    ),
    conversion("bytes", &[(&[Takes::Bytes], Gives::Bytes), (&[Takes::Text], Gives::Bytes)], bytes),
    conversion("base64.encode", &[(&[Takes::Bytes], Gives::Text)], encode),
    conversion("base64.decode", &[(&[Takes::Text], Gives::Bytes)], decode),
    conversion("bool", &[(&[Takes::Bool], Gives::Bool), (&[Takes::Text], Gives::Bool)], boolean),
];

fn int<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Ok(Value::Int(match of {
        [Value::Int(value)] => *value,
        [Value::Uint(value)] => i64::try_from(*value).map_err(|_| Fault::Overflow)?,
        [Value::Double(value)] => number::truncated(*value)?,
        [Value::Text(text)] => text.as_str().parse().map_err(|_| Fault::Conversion)?,
        [Value::Moment(moment)] => moment.seconds(),
        _ => return Err(Fault::NoOverload),
    }))
}

fn uint<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Ok(Value::Uint(match of {
        [Value::Uint(value)] => *value,
        [Value::Int(value)] => u64::try_from(*value).map_err(|_| Fault::Overflow)?,
        [Value::Double(value)] => number::truncated_unsigned(*value)?,
        [Value::Text(text)] => text.as_str().parse().map_err(|_| Fault::Conversion)?,
        _ => return Err(Fault::NoOverload),
    }))
}

fn double<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Ok(Value::Double(match of {
        [Value::Double(value)] => *value,
        [Value::Int(_) | Value::Uint(_)] => of.first().map_or(0.0, number::rounded),
        [Value::Text(text)] => text.as_str().parse().map_err(|_| Fault::Conversion)?,
        _ => return Err(Fault::NoOverload),
    }))
}

fn string<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Ok(match of {
        [Value::Text(text)] => Value::Text(text.clone()),
        [Value::Bool(value)] => Value::text(if *value { "true" } else { "false" }),
        [Value::Int(value)] => Value::owned(value.to_string()),
        [Value::Uint(value)] => Value::owned(value.to_string()),
        [Value::Double(value)] => Value::owned(number::written(*value)),
        [Value::Bytes(bytes)] => {
            root.fuel.write(bytes.as_slice().len())?;
            Value::owned(std::str::from_utf8(bytes.as_slice()).map_err(|_| Fault::Conversion)?)
        }
        [Value::Moment(moment)] => Value::owned(moment.to_string()),
        [Value::Duration(duration)] => Value::owned(duration.to_string()),
        [Value::Address(address)] => Value::owned(address.to_string()),
        [Value::Network(network)] => Value::owned(network.to_string()),
        _ => return Err(Fault::NoOverload),
    })
}

fn bytes<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::Text(text)] => {
            root.fuel.write(text.as_str().len())?;
            Ok(Value::bytes(text.as_str().as_bytes()))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn boolean<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        [Value::Text(text)] => match text.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(Fault::Conversion),
        },
        _ => Err(Fault::NoOverload),
    }
}

fn encode<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Bytes(bytes)] = of else { return Err(Fault::NoOverload) };
    root.fuel.write(bytes.as_slice().len() * 3 / 2)?;
    Ok(Value::owned(BASE64.encode(bytes.as_slice())))
}

fn decode<'a>(root: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Text(text)] = of else { return Err(Fault::NoOverload) };
    root.fuel.write(text.as_str().len())?;
    BASE64.decode(text.as_str()).map(Value::bytes).map_err(|_| Fault::Conversion)
}
