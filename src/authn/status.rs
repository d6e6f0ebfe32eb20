//! What is known of each token source, for readiness, metrics and the status page. No tokens, no addresses.

use jiff::Timestamp;

use crate::identity::Name;

/// The state of one token source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// `[issuer.NAME]`, `[introspection.NAME]`, or `[upstream.NAME]` with `exchange`.
    pub name: Name,
    /// Which of the three.
    pub kind: SourceKind,
    /// How it stands.
    pub state: SourceState,
    /// For an issuer: how many keys can verify tokens.
    pub keys: usize,
    /// For an issuer: how many keys of its set cannot, such as keys for encryption or RSA keys that are too short.
    pub skipped_keys: usize,
    /// When it last answered well.
    pub last_success: Option<Timestamp>,
    /// What went wrong since, as one word.
    pub last_error: Option<&'static str>,
}

/// The kind of a token source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Signs tokens.
    Issuer,
    /// Is asked about tokens.
    Introspection,
    /// Exchanges tokens for those of a service.
    Exchange,
}

/// How a token source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It has not answered since the start. A server that was never asked stands here too.
    Never,
    /// Its last answer was good.
    Fresh,
    /// Its last answer was not good; what it said before still counts for a limited time.
    Stale,
    /// Its last answer was not good, and nothing of it counts any more: its routes answer 503.
    Down,
}

impl SourceKind {
    /// A word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Introspection => "introspection",
            Self::Exchange => "exchange",
        }
    }
}

impl SourceState {
    /// A word for metrics and the status page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
}
