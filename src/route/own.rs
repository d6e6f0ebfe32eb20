//! What the gateway answers itself: RFC 9728 metadata and, on routes that say so, preflights. No request is inside, so
//! nothing here can reach an upstream.

use std::sync::Arc;

use http::HeaderMap;

use super::Route;
use crate::identity::Name;
use crate::request::Host;

/// An endpoint of the gateway itself.
#[derive(Clone, Debug)]
pub enum OwnEndpoint {
    /// `/.well-known/oauth-protected-resource`.
    ProtectedResource(ProtectedResource),
    /// A browser asks whether a page of another origin may send a request. 204 with these header fields.
    Preflight {
        /// The route that the request would be for.
        route: Arc<Route>,
        /// The fields of the answer.
        headers: HeaderMap,
    },
}

/// Whose metadata is asked for (RFC 9728 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The host of the resource.
    pub host: Host,
    /// Its port, when one was stated.
    pub port: Option<u16>,
    /// Its path, empty for the whole host.
    pub path: Box<str>,
    /// The token sources that count there. Never empty; routes that conceal themselves are left out.
    pub tokens: Vec<Name>,
}

const WELL_KNOWN: [&str; 2] = [".well-known", "oauth-protected-resource"];

/// Whether a path, given as decoded segments, is one that the gateway answers itself.
pub(super) fn is_own<'a>(mut segments: impl Iterator<Item = Option<&'a str>>) -> bool {
    WELL_KNOWN.iter().all(|known| segments.next() == Some(Some(known)))
}
