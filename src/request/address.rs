//! An IP address as text, without the formatter: it stands in every record and in every request that is forwarded.

use std::io::Write as _;
use std::net::IpAddr;

/// The text of an IP address, as `Display` shows it.
#[derive(Clone, Copy)]
pub struct AddressText {
    /// The longest: eight groups, or six and an IPv4 address.
    text: [u8; 45],
    length: usize,
}

impl AddressText {
    /// Writes the address.
    pub fn of(address: IpAddr) -> Self {
        let mut written = Self { text: [0; 45], length: 0 };
        match address {
            IpAddr::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        written.push(b'.');
                    }
                    written.decimal(octet);
                }
            }
            IpAddr::V6(address) => {
                let mut rest = written.text.as_mut_slice();
                // There is room for every address.
                let _ = write!(rest, "{address}");
                written.length = 45 - rest.len();
            }
        }
        written
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text: ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    fn decimal(&mut self, octet: u8) {
        if octet >= 100 {
            self.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.push(b'0' + octet / 10 % 10);
        }
        self.push(b'0' + octet % 10);
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::AddressText;

    #[test]
    fn an_address_is_written_as_it_is_shown() {
        for octet in 0..=u8::MAX {
            let address = IpAddr::V4(Ipv4Addr::new(octet, 0, 255 - octet, 9));
            assert_eq!(AddressText::of(address).as_str(), address.to_string());
        }
        for address in ["::", "::1", "2001:db8::7", "::ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
        {
            let address: Ipv6Addr = address.parse().unwrap();
            assert_eq!(AddressText::of(address.into()).as_str(), address.to_string());
        }
    }
}
