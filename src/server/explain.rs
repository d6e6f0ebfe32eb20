//! Explains a decision under the policy in force, for `portcullis policy explain --socket`.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::reload::Keeper;
use crate::admin::ExplainOrder;
use crate::audit::{SinkSettings, find_record};
use crate::config::policy::describe::read_described;
use crate::config::{Defined, Faults};
use crate::gateway::Snapshot;
use crate::policy::replay::{Record, Replay};
use crate::request::CanonicalPath;

impl Keeper {
    /// Explains off to the side: an audit log is long, and orders go on meanwhile.
    pub(super) fn explain(&self, order: ExplainOrder, reply: oneshot::Sender<Result<Value, String>>) {
        let snapshot = self.overview.snapshot.load_full();
        let (names, sink) = (self.loaded.names.clone(), self.loaded.settings.audit.sink.clone());
        tokio::task::spawn_blocking(move || {
            let explained = match (order.decision, order.request, &sink) {
                (Some(id), None, SinkSettings::File(log)) => recorded(&id, log, &snapshot),
                (Some(_), None, SinkSettings::Stdout) => {
                    Err("the audit log goes to standard output: name the file that it ends up in (--decisions)".into())
                }
                (None, Some(text), _) => described(&text, &names, &snapshot),
                _ => Err("name one: `decision`, or `request`".into()),
            };
            let _ = reply.send(explained);
        });
    }
}

fn recorded(id: &str, log: &Path, snapshot: &Snapshot) -> Result<Value, String> {
    let line = find_record(log, id).map_err(|error| format!("{} cannot be read: {error}", log.display()))?;
    let line = line.ok_or_else(|| format!("{} has no record of request {id}", log.display()))?;
    let record = Record::parse(&line).map_err(|unreadable| unreadable.told(&line))?;
    let (policy, version) = (&snapshot.policy, snapshot.policy.version());
    let replay = Replay { routes: &snapshot.routes, rules: policy.rules(), old: (policy.rules(), version) };
    serde_json::to_value(replay.recall(&record, version)).map_err(|error| error.to_string())
}

fn described(text: &str, names: &Defined, snapshot: &Arc<Snapshot>) -> Result<Value, String> {
    let faults = Faults::default();
    let case = read_described(text, &names.issuers, &names.trusts, &faults);
    let case = case.ok_or_else(|| super::rollback::shown(&faults.into_sorted()).join("\n"))?;
    match case.explain(&snapshot.routes, snapshot.policy.rules()) {
        Ok((meant, explanation)) => Ok(json!({
            "route": meant.route.name.as_str(),
            "rewritten": meant.rewritten.as_ref().map(CanonicalPath::as_str),
            "decision": explanation,
        })),
        Err(error) => Err(format!("no route: {error}")),
    }
}
