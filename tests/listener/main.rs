//! The listener over real sockets: who gets in with which certificate, and what strangers cannot do.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]
#![expect(unreachable_pub, reason = "the modules are one program")]

mod certificates;
mod certificates_of_clients;
mod support;
