//! One final record of every request, on success, refusal, panic, cancellation and forced drain.
//!
//! A worker renders records into its own [`lane::Lane`]; the writer thread empties all lanes ten times a second and
//! writes each batch at once, so that at most a second of records is lost when the process is killed. An admitted
//! request reserves its place *before* it is forwarded ([`Recorder::reserve`]): what cannot be recorded is not
//! forwarded.

mod lane;
mod line;
mod record;
mod recorder;
mod search;
mod sink;
mod trail;
mod writer;

#[cfg(test)]
mod tests;

pub use lane::Lane;
pub use record::ConnectionRecord;
use record::{Durations, Record};
pub use recorder::{Recorder, Slot};
pub use search::find_record;
pub use sink::{Sink, SinkSettings};
pub use trail::{Stage, Trail};
pub use writer::{AuditHandle, AuditHealth, start};

/// What to do with admitted requests that cannot be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Refuse them with 503 `audit-unavailable`.
    #[default]
    Deny,
    /// Forward them and count what was lost.
    Count,
}

/// The checked settings of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where records go.
    pub sink: SinkSettings,
    /// What happens when they cannot go there.
    pub on_failure: OnFailure,
    /// How many records of admitted requests may wait, over all workers.
    pub capacity: u64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { sink: SinkSettings::Stdout, on_failure: OnFailure::Deny, capacity: 65_536 }
    }
}
