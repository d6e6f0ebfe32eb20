//! The listener over real sockets: who gets in with which certificate, and what strangers cannot do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]
#![expect(unreachable_pub, reason = "the modules are one program")]

mod authorities;
mod certificates;
mod clients;
mod drain;
mod farewell;
mod fetch;
mod floods;
mod hello;
mod hsts;
mod idle;
mod limits;
mod moves;
mod open;
mod proxied;
mod revocation;
mod sessions;
mod slow;
mod support;
mod targets;
