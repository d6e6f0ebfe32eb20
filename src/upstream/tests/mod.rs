//! The room against real sockets: raw clients in front, raw services behind, bytes compared as they arrived.

mod harness;
mod head;
