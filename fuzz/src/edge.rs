//! What stands before a request, and what a rule may touch of one.

use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use portcullis::listener::parse_proxy_header;
use portcullis::upstream::is_owned;

/// A PROXY header that is accepted states two addresses of one family, and says the same when it is written again.
pub fn proxy_header(input: &[u8]) -> bool {
    let Ok(stated) = parse_proxy_header(input) else { return false };
    let Some((from, to)) = stated else { return true };
    assert!(from.ip() == from.ip().to_canonical() && to.ip() == to.ip().to_canonical());
    let again = written(from, to);
    assert!(parse_proxy_header(again.as_bytes()).is_ok_and(|read| read == stated), "{again:?}");
    // Nothing behind a header is a part of it.
    assert!(parse_proxy_header(&[input, b"x"].concat()).is_err());
    true
}

/// Version 1. Two addresses of different families are both written as IPv6, as version 2 may have carried them.
fn written(from: SocketAddr, to: SocketAddr) -> String {
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let (family, one, other) = if from.is_ipv4() && to.is_ipv4() {
        ("TCP4", from.ip().to_string(), to.ip().to_string())
    } else {
        ("TCP6", mapped(from.ip()).to_string(), mapped(to.ip()).to_string())
    };
    format!("PROXY {family} {one} {other} {} {}\r\n", from.port(), to.port())
}

/// A field that rules may not touch has no spelling under which they may: services fold what is no letter or digit.
pub fn header_rule(input: &[u8]) -> bool {
    let Ok(name) = HeaderName::from_bytes(input) else { return false };
    let folded: String = name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let Ok(folded) = HeaderName::from_bytes(folded.as_bytes()) else { return false };
    assert_eq!(is_owned(&name), is_owned(&folded), "{name} and {folded}");
    let upper = name.as_str().to_ascii_uppercase();
    assert!(HeaderName::from_bytes(upper.as_bytes()).is_ok_and(|upper| is_owned(&upper) == is_owned(&name)));
    true
}
