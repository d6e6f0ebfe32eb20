//! The one HTTP client for identity providers: deadlines, body caps, no redirects.
//!
//! Only addresses that the configuration names, or that a discovery document of such an address names within its
//! bounds, are ever called. Everything here runs on the control runtime, never on a worker.

mod client;
mod endpoint;

pub use client::{Answer, ClientIdentity, Outbound, OutboundError, OutboundSettings, Roots};
pub use endpoint::{Endpoint, EndpointError, PlainHttp};
