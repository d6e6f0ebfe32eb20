//! From TOML to checked settings: every room's settings type is built here, and only here is TOML known.
//!
//! One file a room: it reads its tables with [`reader`], records every fault in [`Faults`], and gives the room's own
//! settings type, which is correct by construction. [`load()`] reads a whole directory and reports all faults at once;
//! nothing is bound, fetched or started here.

mod assertion;
mod audit;
mod client;
pub mod fault;
mod history;
pub mod introspection;
pub mod issuer;
pub mod listener;
mod load;
mod outbound;
mod policies;
pub mod policy;
pub mod reader;
pub mod route;
pub mod schema;
mod secret;
mod settings;
mod token;
pub mod trust;
pub mod upstream;

pub use fault::{At, Fault, Faults, Located, Source, digest};
pub use history::{History, Index, Kept};
pub use load::{Loaded, MAIN_FILE, Wanted, load};
pub use policies::Defined;
pub use settings::Settings;
