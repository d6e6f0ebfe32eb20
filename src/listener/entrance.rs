//! One listener while it runs: what the next connection meets, swapped as a whole on reload.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;
use ipnet::IpNet;
use tokio::sync::watch;

use super::settings::{Door, Settings, TlsSettings};
use super::tls::ListenerTls;
use crate::identity::Name;
use crate::telemetry::Clock;

/// One listener, shared by all workers.
pub(super) struct Entrance {
    pub(super) name: Name,
    /// Where the configuration puts it.
    pub(super) address: SocketAddr,
    opening: ArcSwap<Opening>,
    closed: watch::Sender<bool>,
}

/// What a new connection meets.
pub(super) struct Opening {
    /// Another one for each configuration: a connection that knows it has nothing to ask.
    pub(super) generation: u64,
    pub(super) door: OpenDoor,
    /// What every answer says in `Strict-Transport-Security`.
    pub(super) hsts: Option<HeaderValue>,
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
        let opening = ArcSwap::from_pointee(Opening::build(settings, clock)?);
        let closed = watch::Sender::new(false);
        Ok(Self { name: settings.name.clone(), address: settings.address, opening, closed })
    }

    /// What a connection that is accepted now meets.
    pub(super) fn opening(&self) -> Guard<Arc<Opening>> {
        self.opening.load()
    }

    pub(super) fn swap(&self, opening: Opening) {
        self.opening.store(Arc::new(opening));
    }

    /// Nothing is accepted here any more; connections end after their next answer.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }
}

impl Opening {
    pub(super) fn build(settings: &Settings, clock: &Clock) -> Result<Self, ListenerError> {
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        let door = match &settings.door {
            Door::Plain => OpenDoor::Plain,
            Door::Redirect { port } => OpenDoor::Redirect { port: *port },
            Door::Tls(tls) => {
                let tls = ListenerTls::build(&settings.name, tls, clock)
                    .map_err(|error| ListenerError { listener: settings.name.clone(), error })?;
                OpenDoor::Tls(tls)
            }
        };
        let hsts = match &settings.door {
            Door::Tls(TlsSettings { hsts: Some(hsts), .. }) => {
                let subdomains = if hsts.subdomains { "; includeSubDomains" } else { "" };
                let preload = if hsts.preload { "; preload" } else { "" };
                HeaderValue::try_from(format!("max-age={}{subdomains}{preload}", hsts.max_age.as_secs())).ok()
            }
            _ => None,
        };
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Ok(Self { generation, door, hsts, proxy_protocol: settings.proxy_protocol.clone() })
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
