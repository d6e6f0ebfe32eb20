//! A request and the route that it is for.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::Route;
use crate::identity::PathParams;
use crate::request::{CanonicalPath, Received};

/// What a request of some host, path and method is meant for.
#[derive(Clone, Debug)]
pub struct Meant {
    /// The route.
    pub route: Arc<Route>,
    /// What its pattern matched.
    pub params: PathParams,
    /// The path that is decided on and forwarded, when it is another one than the client asked for.
    pub rewritten: Option<CanonicalPath>,
}

/// A request whose route is known. Made by [`Routes::resolve`](super::Routes::resolve) alone.
#[derive(Debug)]
pub struct Routed {
    pub(super) request: Received,
    pub(super) route: Arc<Route>,
    pub(super) params: PathParams,
}

impl Routed {
    /// The request.
    pub const fn request(&self) -> &Received {
        &self.request
    }

    /// The route.
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// What the route's pattern matched.
    pub const fn params(&self) -> &PathParams {
        &self.params
    }

    /// Request, route and parameters.
    pub(crate) fn into_parts(self) -> (Received, Arc<Route>, PathParams) {
        (self.request, self.route, self.params)
    }

    /// What the route's pattern matched, for who keeps it.
    pub(crate) fn take_params(&mut self) -> PathParams {
        std::mem::take(&mut self.params)
    }

    /// Removes a header field and gives the first of its values.
    pub(crate) fn take_header(&mut self, name: &HeaderName) -> Option<HeaderValue> {
        self.request.take_header(name)
    }
}
