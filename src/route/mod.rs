//! Room 2: host, path and method name a route, or 404, 405, 421.
//!
//! Takes a [`Received`](crate::request::Received), gives a [`Routed`] or one of the gateway's own endpoints, which can
//! never reach an upstream. The most specific host pattern owns its hosts and the most specific path pattern its paths:
//! there is no falling through to a wider one.

mod cors;
mod host_pattern;
mod options;
mod own;
mod path_pattern;
mod prefix_rewrite;
mod resolve;
mod routed;
mod routes;
mod tree;

pub use cors::Cors;
pub use host_pattern::HostPattern;
pub use options::{Authorization, Binding, HeaderCondition, Methods, Route};
pub use own::{OwnEndpoint, ProtectedResource};
pub use path_pattern::{PathPattern, PatternError};
pub use prefix_rewrite::{PrefixRewrite, RewriteError};
pub use resolve::{Resolved, RouteError};
pub use routed::{Meant, Routed};
pub use routes::{Overlap, Routes};
