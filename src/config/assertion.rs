//! Reads `[assertion]`: the JWT of our own that services are told by who asks.

use std::time::Duration;

use super::fault::Located;
use super::outbound::duration;
use super::reader::{Table, Value};
use crate::identity::Name;
use crate::listener::{self, ClientPolicy, Door};
use crate::state::StateDirectory;
use crate::upstream::AssertionSettings;
use crate::upstream::settings::{IdentityValue, Settings};

const LIFETIME: Duration = Duration::from_secs(300);
const LEAST: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(3_600);

/// Reads `[assertion]` of `root`. Upstreams that send assertions need it, and it needs a state directory.
pub(super) fn read(
    root: &Table<'_>,
    state: Option<&StateDirectory>,
    listeners: &[listener::Settings],
    upstreams: &[(Located<Name>, Option<Settings>)],
) -> Option<AssertionSettings> {
    let Some(table) = root.table("assertion") else {
        for (name, _) in upstreams.iter().filter(|(_, settings)| settings.as_ref().is_some_and(sends)) {
            let hint = String::from("write [assertion] with an issuer and a listener");
            root.faults().error(
                &name.at,
                format!("[upstream.{}] sends assertions, and there is no [assertion]", name.value),
                hint,
            );
        }
        return None;
    };
    let issuer = table.require("issuer").and_then(|value| value.string());
    if state.is_none() {
        let hint =
            String::from("write state = \"state\" before the first table: a directory for what outlives the process");
        root.faults().error(&table.at(), "[assertion] needs a state directory for its keys", hint);
    }
    let listener = table.require("listener").and_then(|value| listener_of(&value, listeners));
    let lifetime = duration(&table, "lifetime", LEAST, MOST).unwrap_or(LIFETIME);
    Some(AssertionSettings { issuer: issuer?.into(), state: state?.clone(), listener: listener?, lifetime })
}

fn sends(settings: &Settings) -> bool {
    settings.identity.fields.iter().any(|(_, value)| matches!(value, IdentityValue::Assertion(_)))
}

fn listener_of(value: &Value<'_>, listeners: &[listener::Settings]) -> Option<Name> {
    let text = value.string()?;
    let Some(listener) = listeners.iter().find(|listener| listener.name.as_str() == text) else {
        let known: Vec<_> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        value.fault(format!("there is no listener `{text}`"), format!("known are: {}", known.join(", ")));
        return None;
    };
    match &listener.door {
        Door::Redirect { .. } => value.fault(format!("`{text}` only redirects, and can publish nothing"), None),
        Door::Tls(tls) if matches!(tls.client, ClientPolicy::Required(_)) => value.fault(
            format!("`{text}` wants a client certificate"),
            String::from("services fetch the keys before they know us: name a listener with mode optional or off"),
        ),
        Door::Tls(_) | Door::Plain => return Some(listener.name.clone()),
    }
    None
}
