//! One listener while it runs: what the next connection meets, swapped as a whole on reload.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;

use super::settings::{Door, Settings};
use super::tls::ListenerTls;
use crate::identity::Name;
use crate::telemetry::Clock;

/// One listener, shared by all workers.
pub(super) struct Entrance {
    pub(super) name: Name,
    opening: ArcSwap<Opening>,
}

/// What a new connection meets.
pub(super) struct Opening {
    pub(super) door: OpenDoor,
    proxy_protocol: Vec<IpNet>,
}

/// A [`Door`], ready to be passed.
pub(super) enum OpenDoor {
    Tls(ListenerTls),
    Plain,
    Redirect { port: u16 },
}

impl Entrance {
    pub(super) fn new(settings: &Settings, clock: &Clock) -> Result<Self, ListenerError> {
        let opening = Opening::build(settings, clock)?;
        Ok(Self { name: settings.name.clone(), opening: ArcSwap::from_pointee(opening) })
    }

    /// What a connection that is accepted now meets.
    pub(super) fn opening(&self) -> Guard<Arc<Opening>> {
        self.opening.load()
    }

    pub(super) fn swap(&self, opening: Opening) {
        self.opening.store(Arc::new(opening));
    }
}

impl Opening {
    pub(super) fn build(settings: &Settings, clock: &Clock) -> Result<Self, ListenerError> {
        let door = match &settings.door {
            Door::Plain => OpenDoor::Plain,
            Door::Redirect { port } => OpenDoor::Redirect { port: *port },
            Door::Tls(tls) => {
                let tls = ListenerTls::build(&settings.name, tls, clock)
                    .map_err(|error| ListenerError { listener: settings.name.clone(), error })?;
                OpenDoor::Tls(tls)
            }
        };
        Ok(Self { door, proxy_protocol: settings.proxy_protocol.clone() })
    }

    /// Whether connections from `address` start with a PROXY header.
    pub(super) fn expects_proxy_header(&self, address: IpAddr) -> bool {
        self.proxy_protocol.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// A listener whose TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("listener `{listener}` cannot speak TLS: {error}")]
pub struct ListenerError {
    /// The listener.
    pub listener: Name,
    /// What rustls said.
    #[source]
    pub error: rustls::Error,
}
