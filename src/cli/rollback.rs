//! `portcullis rollback`: back to a version of the policy that was in force before.

use std::process::ExitCode;

use super::control::{self, send};
use super::output::Terminal;
use crate::admin::RollbackOrder;

/// Put the version of the policy before this one back in force
///
/// Routes, rules, sets and conditions go back, and nothing else: trust bundles, revocation lists, issuers, upstreams and
/// revocations stay as they are, so nothing that is no longer trusted comes back. The policy files on disk are not written;
/// they are set aside, over reloads and restarts, until they change. Needs a `state` directory, where the last ten versions
/// are kept; `portcullis status` lists them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis rollback --config /etc/portcullis
  portcullis rollback --config /etc/portcullis --to 9f86d081884c")]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    gate: control::Args,
    /// Another version than the one before, as audit records and `portcullis status` name it
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let order = RollbackOrder { to: args.to.clone() };
    send(&args.gate, terminal, "/rollback", serde_json::to_vec(&order).unwrap_or_default().into())
}
