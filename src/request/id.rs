//! The number of one request: the same in the answer, in every record of it, and in what the service behind is told.

use std::cell::RefCell;
use std::fmt;

use http::HeaderValue;

/// 128 random bits, written as 32 lower-case hexadecimal digits. It says nothing of the request and opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Hex<16>);

impl RequestId {
    /// A new one.
    pub fn random() -> Self {
        Self(Hex::of(random_bytes()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The digits as they are sent: ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The digits as the value of a header field.
    pub fn to_header(self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `N` bytes in lower-case hexadecimal digits, kept as text: a request shows its numbers more often than it makes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hex<const N: usize>(pub(super) [[u8; 2]; N]);

impl<const N: usize> Hex<N> {
    pub(super) fn of(bytes: [u8; N]) -> Self {
        Self(bytes.map(|byte| [digit(byte >> 4), digit(byte & 0xf)]))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    pub(super) fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Random bytes that may be known to everybody: they are drawn ahead and lie in memory until they are used.
pub(super) fn random_bytes<const N: usize>() -> [u8; N] {
    STOCK.with_borrow_mut(Stock::take)
}

/// One draw of many bytes costs what one of a few does.
struct Stock {
    bytes: [u8; 1024],
    left: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; 1024], left: 0 }) };
}

impl Stock {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        if self.left < N {
            #[expect(
                clippy::expect_used,
                reason = "AWS-LC ends the process itself when the system gives no randomness"
            )]
            aws_lc_rs::rand::fill(&mut self.bytes).expect("the system gives randomness");
            self.left = self.bytes.len();
        }
        let (rest, _) = self.bytes.split_at(self.left);
        self.left -= N;
        rest.last_chunk().copied().unwrap_or([0; N])
    }
}

const fn digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

#[cfg(test)]
mod tests {
    use super::{Hex, RequestId, Stock};

    #[test]
    fn no_byte_is_given_twice() {
        let mut stock = Stock { bytes: [0; 1024], left: 0 };
        let given: std::collections::HashSet<[u8; 24]> = (0..1000).map(|_| stock.take()).collect();
        assert_eq!(given.len(), 1000);
        assert!(given.iter().all(|bytes| *bytes != [0; 24]));
        stock.bytes = std::array::from_fn(|index| u8::try_from(index % 256).unwrap());
        stock.left = 48;
        let (first, second): ([u8; 24], [u8; 24]) = (stock.take(), stock.take());
        assert!(first.iter().all(|byte| (24..48).contains(byte)) && second.iter().all(|byte| *byte < 24));
        assert_eq!(stock.left, 0, "the next draws anew");
    }

    #[test]
    fn every_byte_has_its_two_digits() {
        let id = RequestId(Hex::of(std::array::from_fn(|index| u8::try_from(index * 17).unwrap())));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(id.to_header(), "00112233445566778899aabbccddeeff");
        assert_eq!(Hex::of([0x0f; 8]).as_str(), "0f".repeat(8));
    }

    #[test]
    fn ids_differ_and_are_32_lower_case_digits() {
        let (one, other) = (RequestId::random().to_string(), RequestId::random().to_string());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)), "{one}");
    }
}
