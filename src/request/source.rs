//! Where a request comes from: the connection's address, or the one that a trusted proxy states in `X-Forwarded-For`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Longer chains of proxies than this are not followed.
const MOST_HOPS: usize = 32;

/// The source address. Walks `X-Forwarded-For` from the right for as long as the address that vouches is trusted; an
/// element that is no address ends the walk, and the last trusted address counts.
///
/// An empty list trusts nobody. An IPv4-mapped IPv6 address is the IPv4 address that it contains.
pub fn source_address(connection: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut source = connection.to_canonical();
    if trusted.is_empty() {
        return source;
    }
    let fields = headers.get_all(FORWARDED_FOR);
    let elements = fields.iter().rev().flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    for element in elements.take(MOST_HOPS) {
        if !trusted.iter().any(|network| network.contains(&source)) {
            break;
        }
        let Some(stated) = parse_element(element) else { break };
        source = stated;
    }
    source
}

/// Reads one element of `X-Forwarded-For`: an IP address, in brackets or not when it is IPv6, with or without a port.
pub fn parse_element(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim_matches([' ', '\t']);
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    // A zone (`fe80::1%eth0`) means something on one machine only; the standard parser refuses it for bare addresses.
    if text.contains('%') {
        return None;
    }
    Some(bare().or_else(with_port).or_else(bracketed)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderValue};

    use super::{FORWARDED_FOR, parse_element, source_address};

    fn source(connection: &str, fields: &[&[u8]], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(field).unwrap());
        }
        let trusted: Vec<_> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        source_address(connection.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_source_is_what_the_nearest_untrusted_address_is() {
        let lan = &["10.0.0.0/8", "2001:db8::/32"][..];
        let none: &[&[u8]] = &[];
        for (connection, fields, trusted, expected) in [
            ("192.0.2.1", none, lan, "192.0.2.1"),
            ("192.0.2.1", &[b"198.51.100.7"], lan, "192.0.2.1"),
            ("192.0.2.1", &[b"198.51.100.7"], &[], "192.0.2.1"),
            ("10.0.0.1", none, lan, "10.0.0.1"),
            ("10.0.0.1", &[b"198.51.100.7"], &[], "10.0.0.1"),
            ("10.0.0.1", &[b"198.51.100.7"], lan, "198.51.100.7"),
            ("10.0.0.1", &[b"203.0.113.9, 198.51.100.7"], lan, "198.51.100.7"),
            ("10.0.0.1", &[b"203.0.113.9, 198.51.100.7,10.0.0.2"], lan, "198.51.100.7"),
            ("10.0.0.1", &[b"203.0.113.9", b"198.51.100.7", b"10.0.0.2"], lan, "198.51.100.7"),
            ("10.0.0.1", &[b"10.0.0.3, 10.0.0.2"], lan, "10.0.0.3"),
            ("10.0.0.1", &[b"[2001:db8::7]:4711"], lan, "2001:db8::7"),
            ("10.0.0.1", &[b"198.51.100.7:4711"], lan, "198.51.100.7"),
            ("::ffff:10.0.0.1", &[b"::ffff:198.51.100.7"], lan, "198.51.100.7"),
        ] {
            assert_eq!(source(connection, fields, trusted), expected, "{connection} {fields:?} {trusted:?}");
        }
    }

    #[test]
    fn advisory_22_junk_ends_trust_and_the_last_trusted_address_counts() {
        for junk in [
            &b"unknown"[..],
            b"",
            b"198.51.100.7,",
            b"198.51.100.7, , ",
            b"198.51.100.7 10.0.0.9",
            b"198.51.100.7\xff",
            b"\"198.51.100.7\"",
            b"for=198.51.100.7",
            b"127.1",
            b"0198.51.100.7",
            b"fe80::1%eth0",
            b"[fe80::1%1]:80",
            b"[198.51.100.7]",
            b"[::1",
        ] {
            assert_eq!(source("10.0.0.1", &[b"203.0.113.9", junk], &["10.0.0.0/8"]), "10.0.0.1", "{junk:?}");
        }
        assert_eq!(source("10.0.0.1", &[b"198.51.100.7, junk, 10.0.0.2"], &["10.0.0.0/8"]), "10.0.0.2");
    }

    #[test]
    fn a_chain_without_end_is_not_followed() {
        let chain = [b"198.51.100.7, ".as_slice(), &b"10.0.0.2, ".repeat(40), b"10.0.0.2"].concat();
        assert_eq!(source("10.0.0.1", &[&chain], &["10.0.0.0/8"]), "10.0.0.2");
    }

    #[test]
    fn any_bytes_are_an_address_or_none() {
        assert_eq!(parse_element(b" 192.0.2.1\t"), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(parse_element(&[0xff; 40]), None);
    }
}
