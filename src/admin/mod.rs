//! Two surfaces for operators, never on a public listener.
//!
//! *Probes* are read-only HTTP on an address of their own, loopback by default, with no identities in them: `/livez`,
//! `/readyz`, `/metrics`, `/status`. *Control* is a Unix socket of mode 0600 that takes orders: reload, revoke, status.

mod control;
mod metrics;
mod notes;
mod overview;
mod probes;
mod revoke;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use control::{ExplainOrder, Order, Reply, RollbackOrder, bind_control, call, serve_control};
pub use notes::{DenialNote, VersionNote, VersionsNote};
pub use overview::{Overview, Readiness, ReloadNote, Status};
pub use probes::serve_probes;
pub use revoke::RevokeOrder;

/// Where the admin surfaces listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address of the probes; `None` switches them off.
    pub probes: Option<SocketAddr>,
    /// The path of the control socket, when there is one.
    pub control: Option<PathBuf>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { probes: Some(SocketAddr::from(([127, 0, 0, 1], 9090))), control: None }
    }
}
