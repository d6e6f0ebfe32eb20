//! The paths of one host as a tree of segments. A look-up costs as much as the path is deep, however many routes there are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Route;
use super::path_pattern::Segment;
use crate::request::{CanonicalPath, decode};

/// A place in the tree: what follows a literal segment, what follows any segment, and the routes that end here.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: HashMap<Box<str>, Node, RandomState>,
    param: Option<Box<Node>>,
    tail: Vec<Numbered>,
    ends: Vec<Numbered>,
}

/// A route and its place in the list that it was loaded from.
pub(super) type Numbered = (usize, Arc<Route>);

/// The routes whose path pattern is the most specific one, and what its variable segments matched.
pub(super) struct Found<'t, 'p> {
    pub(super) routes: &'t [Numbered],
    pub(super) values: Vec<Cow<'p, str>>,
}

impl Node {
    /// Adds a route, and gives the number of one that could mean the same requests.
    pub(super) fn insert(&mut self, number: usize, route: &Arc<Route>) -> Result<(), usize> {
        let mut node = self;
        for segment in route.path.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
                Segment::Tail(_) => return place(&mut node.tail, number, route),
            };
        }
        place(&mut node.ends, number, route)
    }

    /// The routes for a path: at the first segment in which patterns differ a literal wins over a parameter, and a
    /// parameter over a tail. Each node of the tree is seen at most once.
    pub(super) fn find<'t, 'p>(&'t self, path: &'p CanonicalPath) -> Option<Found<'t, 'p>> {
        let mut values = Vec::new();
        let rest = path.as_str().strip_prefix('/')?;
        let routes = self.descend(Some(rest), &mut values)?;
        Some(Found { routes, values })
    }

    fn descend<'t, 'p>(&'t self, rest: Option<&'p str>, values: &mut Vec<Cow<'p, str>>) -> Option<&'t [Numbered]> {
        let Some(rest) = rest else {
            return (!self.ends.is_empty()).then_some(&*self.ends);
        };
        let slash = rest.bytes().position(|byte| byte == b'/');
        let (segment, next) = match slash.and_then(|slash| rest.split_at_checked(slash)) {
            Some((segment, next)) => (segment, next.strip_prefix('/')),
            None => (rest, None),
        };
        let segment = decode(segment);
        if let Some(node) = self.literals.get(&*segment)
            && let Some(found) = node.descend(next, values)
        {
            return Some(found);
        }
        if let Some(node) = &self.param
            && !segment.is_empty()
        {
            values.push(segment);
            if let Some(found) = node.descend(next, values) {
                return Some(found);
            }
            values.pop();
        }
        if self.tail.is_empty() {
            return None;
        }
        values.push(decode(rest));
        Some(&self.tail)
    }
}

/// Keeps the routes of one place in the order in which they are tried: those with more header conditions first.
fn place(routes: &mut Vec<Numbered>, number: usize, route: &Arc<Route>) -> Result<(), usize> {
    if let Some((other, _)) = routes.iter().find(|(_, other)| overlap(other, route)) {
        return Err(*other);
    }
    let at = routes.partition_point(|(_, other)| other.headers.len() >= route.headers.len());
    routes.insert(at, (number, route.clone()));
    Ok(())
}

/// Whether a request could be meant for either of two routes of the same place, with nothing to tell them apart.
fn overlap(one: &Route, other: &Route) -> bool {
    let told_apart = one
        .headers
        .iter()
        .any(|ours| other.headers.iter().any(|theirs| ours.name == theirs.name && ours.value != theirs.value));
    one.headers.len() == other.headers.len() && one.methods.intersects(&other.methods) && !told_apart
}
