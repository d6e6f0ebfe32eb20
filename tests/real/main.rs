//! The journey among real components: a certified OpenID provider, nginx, curl and h2load, on loopback.
//!
//! `./test` installs them and sets `PORTCULLIS_REAL=1`: then a missing one is a failure. Without it the tests say what
//! is missing and pass.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a broken assumption stops them"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod bound;
mod dropped;
mod faults;
mod frames;
mod grpc;
mod journey;
mod peers;
mod scanners;
mod streams;
mod support;
mod tokens;
mod websocket;
