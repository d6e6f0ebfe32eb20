//! Builds a snapshot out of checked settings.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::handover::Common;
use crate::authn::Authenticator;
use crate::config::Settings;
use crate::gateway::Snapshot;
use crate::telemetry::Clock;
use crate::upstream::{Signer, Upstreams};

/// Builds a snapshot that takes over from `previous` whatever has not changed: keys, answers, connections, health.
/// Nothing is waited for: an identity provider that is down closes its own routes only.
pub(super) fn snapshot(
    settings: &Settings,
    common: &Common,
    clock: &Clock,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, Vec<String>> {
    let before = previous.map(|previous| &previous.authenticator);
    let control = Handle::current();
    let (revocations, proofs) = (common.revocations.clone(), common.proofs.clone());
    let authenticator = Authenticator::open(&settings.sources, revocations, proofs, &control, clock, before)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    // Connections of a listener that is gone are served until they have been told to close.
    let mut intake = previous.map(|previous| previous.intake.clone()).unwrap_or_default();
    intake.extend(settings.intake.clone());
    let before = previous.map(|previous| &previous.upstreams);
    let upstreams = Upstreams::new(settings.upstreams.clone(), before).exchanging(&control, clock, before)?;
    Ok(Snapshot {
        intake,
        routes: settings.routes.clone(),
        authenticator,
        policy: settings.policy.clone(),
        upstreams: upstreams.signed_by(signer(settings, clock, before)?),
    })
}

/// The signer of assertions: the one that runs, unless its settings changed.
fn signer(settings: &Settings, clock: &Clock, before: Option<&Upstreams>) -> Result<Option<Arc<Signer>>, Vec<String>> {
    let Some(wanted) = &settings.assertion else { return Ok(None) };
    if let Some(running) = before.and_then(Upstreams::signer).filter(|running| running.settings() == wanted) {
        return Ok(Some(running.clone()));
    }
    let clock = clock.clone();
    Signer::open(wanted, move || clock.now()).map(Some).map_err(|error| vec![error.to_string()])
}
