//! What an expression may name.

use std::collections::BTreeSet;

/// What an expression may name: `request`, `token`, `device`, `workload`, `source` and `now`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    path_params: Option<BTreeSet<Box<str>>>,
}

impl Schema {
    /// Everything that a request has, and path parameters of any name.
    pub fn request() -> Self {
        Self::default()
    }

    /// Only these path parameters exist: any other name is a fault.
    #[must_use]
    pub fn with_path_params<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.path_params = Some(names.into_iter().map(Box::from).collect());
        self
    }
}

/// What an expression looks at, for lint and for telling 401 from 403.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// `token`, even if only to ask whether there is one.
    pub token: bool,
    /// `device` or `workload`.
    pub peer: bool,
    /// `source.ip`.
    pub source: bool,
    /// `now`.
    pub now: bool,
    /// `request.path_params`.
    pub path_params: bool,
    /// `request.query` or `request.raw_query`.
    pub query: bool,
    /// `request.headers`.
    pub headers: bool,
    /// The claims of the top level that it names, as in `token.claims.NAME`.
    pub claims: BTreeSet<Box<str>>,
}
