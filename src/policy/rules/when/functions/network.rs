//! Addresses and networks: the network extension.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Function, Gives, Native, Run, Style, Takes, small};
use crate::policy::rules::when::environment::Root;
use crate::policy::rules::when::error::Fault;
use crate::policy::rules::when::value::Value;

const TEXT_TO_BOOL: &[(&[Takes], Gives)] = &[(&[Takes::Text], Gives::Bool)];
const ADDRESS_TO_BOOL: &[(&[Takes], Gives)] = &[(&[Takes::Address], Gives::Bool)];

const fn plain(name: &'static str, overloads: &'static [(&'static [Takes], Gives)], run: Run) -> Function {
    Function { name, style: Style::Plain, overloads, run, cost: small }
}

const fn method(name: &'static str, overloads: &'static [(&'static [Takes], Gives)], run: Native) -> Function {
    Function { name, style: Style::Method, overloads, run: Run::Native(run), cost: small }
}

pub(super) static FUNCTIONS: &[Function] = &[
    plain("ip", &[(&[Takes::Text], Gives::Address), (&[Takes::Address], Gives::Address)], Run::Parse(ip)),
    plain("cidr", &[(&[Takes::Text], Gives::Network), (&[Takes::Network], Gives::Network)], Run::Parse(cidr)),
    plain("isIP", TEXT_TO_BOOL, Run::Native(|root, of| is(root, of, |text| address(text).is_some()))),
    plain("isCIDR", TEXT_TO_BOOL, Run::Native(|root, of| is(root, of, |text| network(text).is_some()))),
    plain("ip.isCanonical", TEXT_TO_BOOL, Run::Parse(is_canonical)),
    method("family", &[(&[Takes::Address], Gives::Int)], |_, of| match of {
        [Value::Address(address)] => Ok(Value::Int(if address.to_canonical().is_ipv4() { 4 } else { 6 })),
        _ => Err(Fault::NoOverload),
    }),
    method("isUnspecified", ADDRESS_TO_BOOL, |_, of| property(of, |address| address.is_unspecified())),
    method("isLoopback", ADDRESS_TO_BOOL, |_, of| property(of, |address| address.is_loopback())),
    method("isGlobalUnicast", ADDRESS_TO_BOOL, |_, of| property(of, is_global_unicast)),
    method("isLinkLocalUnicast", ADDRESS_TO_BOOL, |_, of| property(of, is_link_local_unicast)),
    method("isLinkLocalMulticast", ADDRESS_TO_BOOL, |_, of| property(of, is_link_local_multicast)),
    method(
        "containsIP",
        &[(&[Takes::Network, Takes::Address], Gives::Bool), (&[Takes::Network, Takes::Text], Gives::Bool)],
        contains_ip,
    ),
    method(
        "containsCIDR",
        &[(&[Takes::Network, Takes::Network], Gives::Bool), (&[Takes::Network, Takes::Text], Gives::Bool)],
        contains_cidr,
    ),
    method("ip", &[(&[Takes::Network], Gives::Address)], |_, of| match of {
        [Value::Network(network)] => Ok(Value::Address(network.addr())),
        _ => Err(Fault::NoOverload),
    }),
    method("masked", &[(&[Takes::Network], Gives::Network)], |_, of| match of {
        [Value::Network(network)] => Ok(Value::Network(network.trunc())),
        _ => Err(Fault::NoOverload),
    }),
    method("prefixLength", &[(&[Takes::Network], Gives::Int)], |_, of| match of {
        [Value::Network(network)] => Ok(Value::Int(i64::from(network.prefix_len()))),
        _ => Err(Fault::NoOverload),
    }),
];

/// An address; not one with a zone, and no IPv4 address in IPv6 dress with dots.
fn address(text: &str) -> Option<IpAddr> {
    let dressed = text.contains(':') && text.contains('.');
    text.parse().ok().filter(|_| !dressed)
}

/// A network in CIDR notation. One of IPv4 addresses in IPv6 dress is the network of IPv4 that it contains.
fn network(text: &str) -> Option<IpNet> {
    let dressed = text.contains(':') && text.contains('.');
    let network: IpNet = text.parse().ok().filter(|_| !dressed)?;
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (canonical @ IpAddr::V4(_), Some(length)) if canonical != network.addr() => IpNet::new(canonical, length).ok(),
        _ => Some(network),
    }
}

fn ip<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Address(address)] => Ok(Value::Address(*address)),
        [Value::Text(text)] => address(text.as_str()).map(Value::Address).ok_or(Fault::Conversion),
        _ => Err(Fault::NoOverload),
    }
}

fn cidr<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Network(network)] => Ok(Value::Network(*network)),
        [Value::Text(text)] => network(text.as_str()).map(Value::Network).ok_or(Fault::Conversion),
        _ => Err(Fault::NoOverload),
    }
}

fn is<'a>(root: &Root<'a>, of: &[Value<'a>], holds: fn(&str) -> bool) -> Result<Value<'a>, Fault> {
    let [Value::Text(text)] = of else { return Err(Fault::NoOverload) };
    root.fuel.scan(text.as_str().len())?;
    Ok(Value::Bool(holds(text.as_str())))
}

fn is_canonical<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::Text(text)] = of else { return Err(Fault::NoOverload) };
    let address = address(text.as_str()).ok_or(Fault::Conversion)?;
    Ok(Value::Bool(address.to_string() == text.as_str()))
}

fn property<'a>(of: &[Value<'a>], holds: fn(&IpAddr) -> bool) -> Result<Value<'a>, Fault> {
    match of {
        [Value::Address(address)] => Ok(Value::Bool(holds(&address.to_canonical()))),
        _ => Err(Fault::NoOverload),
    }
}

/// Neither unspecified, loopback, multicast, link-local nor broadcast; private addresses count.
fn is_global_unicast(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let reserved = address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast;
    !reserved && !is_link_local_unicast(address)
}

fn is_link_local_unicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments().first().is_some_and(|first| first & 0xffc0 == 0xfe80),
    }
}

fn is_link_local_multicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => address.segments().first().is_some_and(|first| first & 0xff0f == 0xff02),
    }
}

fn contains_ip<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let (network, address) = match of {
        [Value::Network(network), Value::Address(address)] => (network, *address),
        [Value::Network(network), Value::Text(text)] => (network, address(text.as_str()).ok_or(Fault::Conversion)?),
        _ => return Err(Fault::NoOverload),
    };
    Ok(Value::Bool(network.contains(&address.to_canonical())))
}

fn contains_cidr<'a>(_: &Root<'a>, of: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let (outer, inner) = match of {
        [Value::Network(outer), Value::Network(inner)] => (outer, *inner),
        [Value::Network(outer), Value::Text(text)] => (outer, network(text.as_str()).ok_or(Fault::Conversion)?),
        _ => return Err(Fault::NoOverload),
    };
    Ok(Value::Bool(outer.contains(&inner)))
}
