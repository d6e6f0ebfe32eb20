//! Builds a snapshot out of checked settings.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::authn::{Authenticator, Revocations};
use crate::config::Settings;
use crate::gateway::Snapshot;
use crate::telemetry::Clock;
use crate::upstream::Upstreams;

/// Builds a snapshot that takes over from `previous` whatever has not changed: keys, answers, connections, health.
/// Nothing is waited for: an identity provider that is down closes its own routes only.
pub(super) fn snapshot(
    settings: &Settings,
    revocations: &Arc<Revocations>,
    clock: &Clock,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, Vec<String>> {
    let before = previous.map(|previous| &previous.authenticator);
    let control = Handle::current();
    let authenticator = Authenticator::open(&settings.sources, revocations.clone(), &control, clock, before)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(Snapshot {
        intake: settings.intake.clone(),
        routes: settings.routes.clone(),
        authenticator,
        policy: settings.policy.clone(),
        upstreams: Upstreams::new(settings.upstreams.clone(), previous.map(|previous| &previous.upstreams)),
    })
}
