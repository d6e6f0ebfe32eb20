//! Everything on this machine: a development authority, an embedded identity provider, an echo upstream, a tour.
//!
//! A cargo feature that shipping builds leave out. Nothing that serves requests can reach this room: only `cli` stands
//! to its right. Integration tests use its parts, each by itself: [`IdentityProvider`], [`Echo`], [`Authority`].

mod authority;
mod certificates;

pub use authority::{Authority, AuthorityError, Issued, Leaf, Purpose, Validity};
pub use certificates::{Certificates, Names, WriteError};
