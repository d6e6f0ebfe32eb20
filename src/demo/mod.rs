//! Everything on this machine: a development authority, an embedded identity provider, an echo upstream, a tour.
//!
//! A cargo feature that shipping builds leave out. Nothing that serves requests can reach this room: only `cli` stands
//! to its right. Integration tests use its parts, each by itself: [`IdentityProvider`], [`Echo`], [`Authority`].

mod authority;
mod caller;
mod certificates;
mod echo;
mod identity_provider;
mod loopback;
mod stage;
pub mod tour;

pub use authority::{Authority, AuthorityError, Issued, Leaf, Purpose, Validity};
pub use caller::{CallError, Caller};
pub use certificates::{Certificates, Names, WriteError};
pub use echo::Echo;
pub use identity_provider::{
    Endpoint, FormerKeys, IdentityProvider, Mood, OPAQUE_PREFIX, Order, PEOPLE_CLIENT, PERSON_GRANT, Signing,
};
pub use stage::{Stage, StageError};
