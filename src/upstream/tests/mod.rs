//! The room against real sockets: raw clients in front, raw services behind, bytes compared as they arrived.

mod balance;
mod dials;
mod faults;
pub(super) mod harness;
mod head;
mod health;
mod pool;
mod retry;
mod slow;
mod streams;
mod through;
mod tls;
mod token_exchange;
mod trailers;
