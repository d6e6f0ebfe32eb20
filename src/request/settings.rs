//! What intake must know of a listener.

use ipnet::IpNet;

/// The limits of a request head, and whose word counts for the source address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeSettings {
    /// The most header fields, repeated ones counted each time.
    pub max_header_fields: usize,
    /// The most bytes of target, names and values together.
    pub max_head_bytes: usize,
    /// The most bytes of the request target.
    pub max_target_bytes: usize,
    /// Whose `X-Forwarded-For` counts. Empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for IntakeSettings {
    /// 100 fields, 64 KiB of head, 8 KiB of target, no trusted proxy.
    fn default() -> Self {
        Self {
            max_header_fields: 100,
            max_head_bytes: 64 * 1024,
            max_target_bytes: 8 * 1024,
            trusted_proxies: Vec::new(),
        }
    }
}
