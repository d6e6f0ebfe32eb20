//! What the gateway answers itself: RFC 9728 metadata, the keys of its assertions and, on routes that say so, preflights. No request is inside, so
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
    /// `/.well-known/portcullis/jwks.json`: the keys that assertions are signed with.
    AssertionKeys,
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

/// The names below `/.well-known/` that are the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WellKnown {
    /// RFC 9728 section 3.
    ProtectedResource,
    /// What the gateway says of itself.
    Portcullis,
}

/// Which of the gateway's own names a path, given as decoded segments, lies under.
pub(super) fn well_known<'a>(mut segments: impl Iterator<Item = Option<&'a str>>) -> Option<WellKnown> {
    if segments.next() != Some(Some(".well-known")) {
        return None;
    }
    match segments.next() {
        Some(Some("oauth-protected-resource")) => Some(WellKnown::ProtectedResource),
        Some(Some("portcullis")) => Some(WellKnown::Portcullis),
        _ => None,
    }
}
