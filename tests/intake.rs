//! The promise of intake: a request has one meaning or is refused, over HTTP/1.1 as raw bytes and over HTTP/2 as
//! requests, and what is forwarded is what was decided on.
#![expect(clippy::unwrap_used, reason = "a test: a broken assumption should stop it")]

#[path = "intake/advisories.rs"]
mod advisories;
#[path = "intake/gate.rs"]
mod gate;
#[path = "intake/http1.rs"]
mod http1;
#[path = "intake/http2.rs"]
mod http2;
#[path = "intake/journey.rs"]
mod journey;
