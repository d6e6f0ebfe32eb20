//! The PROXY protocol, versions 1 and 2: a trusted load balancer states whose connection it passes on.
//!
//! From an address that is trusted the header is mandatory, from any other it is not looked for: then it is whatever
//! the listener speaks, and fails as that. Nothing is read past the header's end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The first bytes of version 2; no version 1 header can start like that.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// The longest addresses and extensions of version 2 that are accepted.
const LONGEST_BLOCK: usize = 4096;

/// The client's address and the one that it connected to. `None` when the sender speaks for itself.
pub type Stated = Option<(SocketAddr, SocketAddr)>;

/// Why there is no PROXY header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The connection ended or broke.
    #[error("the connection ended in the PROXY header")]
    Ended(#[source] io::Error),
    /// The bytes are no PROXY header.
    #[error("no PROXY header of version 1 or 2, or one that is malformed")]
    Malformed,
}

/// Reads the header, and not one byte more.
pub(super) async fn read(socket: &mut TcpStream) -> Result<Stated, ProxyHeaderError> {
    let mut start = [0; 12];
    socket.read_exact(&mut start).await.map_err(ProxyHeaderError::Ended)?;
    let mut header = start.to_vec();
    if start == *SIGNATURE {
        let mut rest = [0; 4];
        socket.read_exact(&mut rest).await.map_err(ProxyHeaderError::Ended)?;
        let [.., high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST_BLOCK {
            return Err(ProxyHeaderError::Malformed);
        }
        header.extend(rest);
        header.resize(header.len() + length, 0);
        let block = header.get_mut(16..).unwrap_or_default();
        socket.read_exact(block).await.map_err(ProxyHeaderError::Ended)?;
        return parse(&header);
    }
    // Checked first, so that another protocol fails at once and not when it has sent a line.
    if !header.starts_with(b"PROXY ") {
        return Err(ProxyHeaderError::Malformed);
    }
    while header.last() != Some(&b'\n') {
        if header.len() == LONGEST_LINE {
            return Err(ProxyHeaderError::Malformed);
        }
        header.push(socket.read_u8().await.map_err(ProxyHeaderError::Ended)?);
    }
    parse(&header)
}

/// Reads a whole header of either version.
///
/// # Errors
/// [`ProxyHeaderError::Malformed`].
pub fn parse(header: &[u8]) -> Result<Stated, ProxyHeaderError> {
    let parsed = match header.strip_prefix(SIGNATURE) {
        Some(binary) => parse_binary(binary),
        None => parse_line(header),
    };
    parsed.ok_or(ProxyHeaderError::Malformed)
}

fn parse_line(line: &[u8]) -> Option<Stated> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let rest = line.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = rest.split(' ');
    let mut next = || words.next();
    let family = next()?;
    let (from, to) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let (from_port, to_port) = (port(next()?)?, port(next()?)?);
    let fits =
        matches!((family, from, to), ("TCP4", IpAddr::V4(_), IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_), IpAddr::V6(_)));
    (fits && next().is_none()).then(|| stated(from, from_port, to, to_port))
}

fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

fn parse_binary(binary: &[u8]) -> Option<Stated> {
    let (&[version_and_command, family, high, low], block) = binary.split_first_chunk()?;
    if block.len() != usize::from(u16::from_be_bytes([high, low])) {
        return None;
    }
    match (version_and_command, family) {
        // LOCAL, such as a health check of the load balancer's own; or a family that it does not state.
        (0x20, _) | (0x21, 0x00) => Some(None),
        (0x21, 0x11) => {
            let (from, rest) = block.split_first_chunk::<4>()?;
            let (to, rest) = rest.split_first_chunk::<4>()?;
            ports(rest, Ipv4Addr::from(*from).into(), Ipv4Addr::from(*to).into())
        }
        (0x21, 0x21) => {
            let (from, rest) = block.split_first_chunk::<16>()?;
            let (to, rest) = rest.split_first_chunk::<16>()?;
            ports(rest, Ipv6Addr::from(*from).into(), Ipv6Addr::from(*to).into())
        }
        _ => None,
    }
}

fn ports(rest: &[u8], from: IpAddr, to: IpAddr) -> Option<Stated> {
    let (&[a, b, c, d], _extensions) = rest.split_first_chunk()?;
    Some(stated(from, u16::from_be_bytes([a, b]), to, u16::from_be_bytes([c, d])))
}

const fn stated(from: IpAddr, from_port: u16, to: IpAddr, to_port: u16) -> Stated {
    Some((SocketAddr::new(from.to_canonical(), from_port), SocketAddr::new(to.to_canonical(), to_port)))
}

#[cfg(test)]
mod tests {
    use super::{SIGNATURE, parse};

    #[test]
    fn both_versions_state_the_same() {
        let expected = Some(("192.0.2.1:4711".parse().unwrap(), "192.0.2.2:443".parse().unwrap()));
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n").unwrap(), expected);
        let binary = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 1, 0xbb]].concat();
        assert_eq!(parse(&binary).unwrap(), expected);
        let mapped = b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 4711 443\r\n";
        assert_eq!(parse(mapped).unwrap(), expected, "an IPv4-mapped address is the IPv4 address");
    }

    #[test]
    fn a_sender_may_speak_for_itself() {
        for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"] {
            assert_eq!(parse(header).unwrap(), None);
        }
        let local = [&SIGNATURE[..], &[0x20, 0x11, 0, 0]].concat();
        assert_eq!(parse(&local).unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "PROXY",
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443",
            "PROXY TCP4  192.0.2.1 192.0.2.2 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 04711 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +471 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 4711 443\r\n",
            "PROXY TCP4 ::1 ::2 4711 443\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 4711 443\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 4711 443\r\n",
            "PROXY UNKNOWNX\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 4711 443\r\n",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
        for binary in [
            &[][..],
            &[0x21, 0x11, 0, 12],
            &[0x21, 0x11, 0, 4, 192, 0, 2, 1],
            &[0x21, 0x21, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2],
            &[0x21, 0x12, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2],
            &[0x21, 0x31, 0, 0],
            &[0x11, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2],
            &[0x22, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2],
        ] {
            assert!(parse(&[&SIGNATURE[..], binary].concat()).is_err(), "{binary:?}");
        }
    }
}
