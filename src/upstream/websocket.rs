//! Where one WebSocket frame ends and the next begins (RFC 6455 section 5.2): only there can a close frame be put in.

/// Follows the frames that go to the client. It reads lengths and nothing else, so that a service that speaks nonsense
/// spoils its own connection only.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    head: [u8; 10],
    filled: usize,
    payload: u64,
}

impl Boundary {
    /// These bytes went to the client.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= u64::try_from(skipped).unwrap_or(self.payload);
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { return };
            if let Some(slot) = self.head.get_mut(self.filled) {
                *slot = *first;
            }
            self.filled += 1;
            bytes = rest;
            if let Some(length) = self.length() {
                self.payload = length;
                self.filled = 0;
            }
        }
    }

    /// Whether the last byte that went to the client was the last of a frame.
    pub(super) const fn between_frames(&self) -> bool {
        self.payload == 0 && self.filled == 0
    }

    /// "Policy violation" (1008), as a server sends it: not masked.
    pub(super) const fn close_frame() -> [u8; 4] {
        [0x88, 2, 0x03, 0xf0]
    }

    /// What follows a whole head: the payload, and its mask where a service sends one against the rules.
    fn length(&self) -> Option<u64> {
        let second = *self.head.get(1).filter(|_| self.filled >= 2)?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            short => return Some(u64::from(short) + mask),
        };
        let bytes = self.head.get(2..2 + extended).filter(|_| self.filled >= 2 + extended)?;
        Some(bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)).saturating_add(mask))
    }
}
