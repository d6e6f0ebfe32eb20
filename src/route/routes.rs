//! All routes, arranged so that one look-up finds the one that is meant.

use std::sync::Arc;

use super::Route;
use super::host_pattern::HostMap;
use super::tree::Node;
use crate::identity::Name;

/// The routes of a configuration.
#[derive(Debug)]
pub struct Routes {
    pub(super) hosts: HostMap<HostRoutes>,
    all: Vec<Arc<Route>>,
    pub(super) keys_published_on: Option<Name>,
}

/// The routes of one host pattern.
#[derive(Debug, Default)]
pub(super) struct HostRoutes {
    pub(super) paths: Node,
    /// The token sources of routes that do not conceal themselves.
    pub(super) tokens: Vec<Name>,
}

/// Two routes that could mean the same request, with nothing to tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the routes `{first}` and `{second}` overlap: same host, same path, a method in common")]
pub struct Overlap {
    /// The earlier one.
    pub first: Name,
    /// The later one.
    pub second: Name,
    /// Their places in the list that [`Routes::new`] was given.
    pub places: (usize, usize),
}

impl Routes {
    /// Arranges the routes; all overlaps are reported at once.
    pub fn new(routes: Vec<Route>) -> Result<Self, Vec<Overlap>> {
        let mut hosts = HostMap::<HostRoutes>::default();
        let all: Vec<_> = routes.into_iter().map(Arc::new).collect();
        let mut overlaps = Vec::new();
        for (number, route) in all.iter().enumerate() {
            let host = hosts.entry(&route.host, HostRoutes::default);
            if let Err(earlier) = host.paths.insert(number, route) {
                let first = all.get(earlier).unwrap_or(route).name.clone();
                overlaps.push(Overlap { first, second: route.name.clone(), places: (earlier, number) });
            }
            if !route.conceal {
                let unknown = route.tokens.iter().filter(|token| !host.tokens.contains(token)).cloned();
                let unknown: Vec<_> = unknown.collect();
                host.tokens.extend(unknown);
            }
        }
        if overlaps.is_empty() { Ok(Self { hosts, all, keys_published_on: None }) } else { Err(overlaps) }
    }

    /// With the keys of assertions on one listener, whatever host is asked for.
    #[must_use]
    pub fn publishing_keys_on(self, listener: Option<Name>) -> Self {
        Self { keys_published_on: listener, ..self }
    }

    /// Every route, in the order of the list that [`Routes::new`] was given.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.all.iter()
    }
}
