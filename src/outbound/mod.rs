//! The one HTTP client for identity providers: deadlines, body caps, no redirects.
//!
//! Only addresses that the configuration names, or that a discovery document of such an address names within its
//! bounds, are ever called. Everything here runs on the control runtime, never on a worker.

mod breaker;
mod client;
mod endpoint;
mod flights;
mod service;

pub use client::{Answer, ClientIdentity, Outbound, OutboundError, OutboundSettings, Question, Roots};
pub use endpoint::{Endpoint, EndpointError, PlainHttp};
pub use flights::{Flights, Subject};
pub use service::{CallError, Service, Standing};
