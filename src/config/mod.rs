//! From TOML to checked settings: every room's settings type is built here, and only here is TOML known.
//!
//! One file a room: it reads its tables with [`reader`], records every fault in [`fault::Faults`], and gives the
//! room's own settings type, which is correct by construction.

pub mod fault;
pub mod introspection;
pub mod issuer;
pub mod listener;
mod outbound;
pub mod policy;
pub mod reader;
pub mod route;
pub mod secret;
mod token;
pub mod trust;
pub mod upstream;
