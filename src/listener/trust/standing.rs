//! What a verified chain rests on: enough to ask again, without its signatures, whether it still holds.

use webpki::VerifiedPath;

use super::authority::Signer;
use crate::identity::{Name, TrustDomain};

/// A verified chain in short.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::listener) struct Standing {
    /// The bundle that verified it.
    pub(in crate::listener) bundle: Name,
    /// SHA-256 of the leaf.
    pub(in crate::listener) fingerprint: [u8; 32],
    /// The trust domain of the leaf's SPIFFE ID.
    pub(super) domain: Option<TrustDomain>,
    pub(super) anchor: Signer,
    /// Leaf first, then every intermediate.
    pub(super) links: Box<[Link]>,
    /// The first end of validity in the chain, the anchor's included; seconds since 1970.
    pub(super) not_after: i64,
}

impl Standing {
    /// Whether it is about this very leaf.
    pub(in crate::listener) fn is_of(&self, leaf: &[u8]) -> bool {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf).as_ref() == self.fingerprint
    }
}

/// One certificate of the chain: who signed it, and its number there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) signer: Signer,
    pub(super) serial: Serial,
    pub(super) is_leaf: bool,
}

/// A serial number, left-padded to the longest that RFC 5280 section 4.1.2.2 allows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Serial([u8; 20]);

impl Serial {
    /// `None` when it is longer than 20 bytes.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let significant = bytes.get(zeros..)?;
        let mut padded = [0; 20];
        let start = padded.len().checked_sub(significant.len())?;
        padded.get_mut(start..)?.copy_from_slice(significant);
        Some(Self(padded))
    }
}

/// Every certificate of a verified path with its signer. `None` when a serial number is longer than allowed.
pub(super) fn links(path: &VerifiedPath<'_>, anchor: Signer) -> Option<Box<[Link]>> {
    let signers = path.intermediate_certificates().map(|certificate| Signer::of(certificate)).chain([anchor]);
    let leaf: &webpki::Cert<'_> = path.end_entity();
    let certificates = std::iter::once(leaf).chain(path.intermediate_certificates());
    let pairs = certificates.zip(signers).enumerate();
    pairs
        .map(|(index, (certificate, signer))| {
            Some(Link { signer, serial: Serial::new(certificate.serial())?, is_leaf: index == 0 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Serial;

    #[test]
    fn leading_zeros_do_not_make_another_serial_number() {
        assert_eq!(Serial::new(&[0, 0x80, 1]).map(|serial| serial.0), Serial::new(&[0x80, 1]).map(|serial| serial.0));
        assert!(Serial::new(&[1; 21]).is_none());
        assert!(Serial::new(&[0; 64]).is_some_and(|serial| serial.0 == [0; 20]));
    }
}
