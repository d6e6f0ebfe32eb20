//! Portcullis: a Zero Trust authenticating reverse proxy.
//!
//! A request walks through rooms. Each room takes the previous room's output by value and returns a richer type, or a
//! refusal. The rooms stand here in the order of the journey, and a room imports only rooms above it:
//!
//! | room | takes | gives |
//! |---|---|---|
//! | [`request`] | bytes, as the HTTP layer parsed them | [`request::Received`]: one meaning, or 400 |
//! | [`route`] | `Received` | [`route::Routed`]: the route that host, path and method name, or 404, 405, 421 |
//! | [`credential`] | `Routed` | [`credential::Presented`]: at most one credential, taken out of the request |
//! | [`authn`] | `Presented` | [`authn::Identified`]: who asks, proved, or 401 |
//! | [`policy`] | `Identified` | [`policy::Allowed`]: the only thing that can be forwarded, or 403 |
//! | [`upstream`] | `Allowed` | the upstream's answer, or 502, 504 |
//!
//! [`gateway`] is that walk on one screen. [`rejection`] turns every refusal into one answer, [`audit`] leaves one
//! record of every request.

pub mod identity;
pub mod telemetry;
pub mod state;
pub mod outbound;
pub mod request;
pub mod route;
pub mod credential;
pub mod authn;
pub mod policy;
pub mod lease;
pub mod upstream;
pub mod rejection;
pub mod audit;
pub mod gateway;
pub mod listener;
pub mod admin;
pub mod config;
pub mod server;
#[cfg(feature = "demo")]
pub mod demo;
pub mod cli;
