//! Accepts connections, finishes TLS, speaks HTTP/1.1 and HTTP/2, drains.
//!
//! In come bytes from strangers; out go requests with the [`Connection`](crate::request::Connection) they came over,
//! to a service that the caller gives. [`Sockets::bind`] claims every address before anything else runs;
//! [`Workers::start`] serves them, one thread and one runtime a worker, until [`Workers::drain`].

mod accept;
mod answer;
mod attend;
mod census;
mod crowd;
mod entrance;
mod event;
mod fragment;
mod greeting;
mod guests;
mod hall;
mod limits;
mod pace;
mod proxy_header;
mod redirect;
mod resident;
mod rest;
mod serve;
mod service;
mod settings;
mod sockets;
mod stream;
mod tls;
mod trust;
mod workers;

pub use entrance::ListenerError;
pub use event::{ConnectionEvent, EventKind, Observer};
pub use limits::Limits;
pub use proxy_header::{ProxyHeaderError, Stated, parse as parse_proxy_header};
pub use service::Service;
pub use settings::{ClientPolicy, Door, HostSettings, Hsts, Settings, TlsSettings, TlsVersion};
pub use sockets::{BindError, Inherited, Sockets};
pub use tls::{CertificateError, ServerCertificate, Untimely, Validity};
pub use trust::{AuthorityFault, Freshness, RevocationFault, Sources, TrustBundle, TrustError, WhenExpired};
pub use workers::{Drained, Opened, Phase, Plan, ReloadError, StartError, WorkerSeat, Workers};
