//! The rules, compiled per route: a request meets only the rules of its own route.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderName;

use super::{Criterion, Effect, HeadersRead, Mode, RouteSelection, Rule};
use crate::identity::Name;

/// All rules, and for every route those that speak of it. Correct by construction: see [`RuleSet::new`].
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Box<[Arc<Rule>]>,
    routes: HashMap<Name, RouteRules, foldhash::fast::RandomState>,
}

/// What a rule set must know of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteOutline {
    /// Its name.
    pub name: Name,
    /// Whether it names a source of tokens, so that a missing credential can be asked for.
    pub takes_tokens: bool,
}

/// The rules of one route, each kind in the order of names: the order of files is not visible here.
#[derive(Clone, Debug)]
pub struct RouteRules {
    pub(super) denies: Box<[Arc<Rule>]>,
    pub(super) requirements: Box<[Arc<Rule>]>,
    pub(super) allows: Box<[Arc<Rule>]>,
    pub(super) shadows: Box<[Arc<Rule>]>,
    pub(super) takes_tokens: bool,
    pub(super) reads_time: bool,
    headers_read: HeadersRead,
    owned_headers: Arc<[HeaderName]>,
}

/// Why rules make no rule set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// Two rules have one name.
    #[error("two rules are named `{0}`")]
    DuplicateName(Name),
    /// A rule names a route that there is not.
    #[error("rule `{rule}` names route `{route}`, which does not exist")]
    UnknownRoute {
        /// The rule.
        rule: Name,
        /// The name that no route has.
        route: Name,
    },
    /// A rule names no route.
    #[error("rule `{0}` names no route")]
    NoRoute(Name),
    /// An allow asks nobody who they are.
    #[error("allow `{0}` asks for no subject, device or workload, and does not say `anonymous = true`")]
    Unidentified(Name),
}

impl RuleSet {
    /// Binds rules to routes.
    ///
    /// # Errors
    /// Every [`RuleFault`] there is.
    pub fn new(
        rules: impl IntoIterator<Item = Arc<Rule>>,
        routes: impl IntoIterator<Item = RouteOutline>,
    ) -> Result<Self, Vec<RuleFault>> {
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by(|left, right| left.name.cmp(&right.name));
        let routes: Vec<_> = routes.into_iter().collect();
        let faults = faults(&rules, &routes);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { routes: bind(&rules, routes), rules: rules.into() })
    }

    /// The rules of a route. `None` is a route that no rule can open: closed.
    pub fn route(&self, route: &Name) -> Option<&RouteRules> {
        self.routes.get(route)
    }

    /// Every rule, in the order of names.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule of this name.
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        let index = self.rules.binary_search_by(|rule| rule.name.as_str().cmp(name)).ok()?;
        self.rules.get(index)
    }

    /// The routes, in the order of names.
    pub fn routes(&self) -> Vec<(&Name, &RouteRules)> {
        let mut routes: Vec<_> = self.routes.iter().collect();
        routes.sort_by_key(|(name, _)| *name);
        routes
    }
}

impl RouteRules {
    fn new(rules: &[&Arc<Rule>], takes_tokens: bool) -> Self {
        let of = |effect| -> Box<[Arc<Rule>]> {
            let enforced = rules.iter().filter(|rule| rule.mode == Mode::Enforce && rule.effect == effect);
            enforced.map(|rule| Arc::clone(rule)).collect()
        };
        Self {
            denies: of(Effect::Deny),
            requirements: of(Effect::Require),
            allows: of(Effect::Allow),
            shadows: rules.iter().filter(|rule| rule.mode == Mode::Shadow).map(|rule| Arc::clone(rule)).collect(),
            takes_tokens,
            reads_time: rules.iter().any(|rule| rule.condition.mentions(Criterion::reads_time)),
            headers_read: HeadersRead::of(rules.iter().map(|rule| rule.as_ref())),
            owned_headers: owned_headers(rules),
        }
    }

    /// Which header fields the rules read.
    pub const fn headers_read(&self) -> &HeadersRead {
        &self.headers_read
    }

    /// Header fields that a rule of the route gives the upstream, and that no client may.
    pub const fn owned_headers(&self) -> &Arc<[HeaderName]> {
        &self.owned_headers
    }

    /// The rules that refuse.
    pub fn denies(&self) -> &[Arc<Rule>] {
        &self.denies
    }

    /// The rules that must be met.
    pub fn requirements(&self) -> &[Arc<Rule>] {
        &self.requirements
    }

    /// The rules that admit. Without one the route is closed.
    pub fn allows(&self) -> &[Arc<Rule>] {
        &self.allows
    }

    /// The rules that are only watched, of every effect.
    pub fn shadows(&self) -> &[Arc<Rule>] {
        &self.shadows
    }

    /// Whether a missing credential can be asked for.
    pub const fn takes_tokens(&self) -> bool {
        self.takes_tokens
    }

    /// Every rule of the route that decides.
    pub fn enforced(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.denies.iter().chain(&self.requirements).chain(&self.allows)
    }

    /// Every criterion that any rule of the route asks, watched rules included.
    pub fn mentions(&self, property: impl Fn(&Criterion) -> bool) -> bool {
        self.enforced().chain(&self.shadows).any(|rule| rule.condition.mentions(&property))
    }
}

fn faults(rules: &[Arc<Rule>], routes: &[RouteOutline]) -> Vec<RuleFault> {
    let known: HashSet<_> = routes.iter().map(|route| &route.name).collect();
    let mut faults = Vec::new();
    for pair in rules.windows(2) {
        if let [first, second] = pair
            && first.name == second.name
        {
            faults.push(RuleFault::DuplicateName(first.name.clone()));
        }
    }
    for rule in rules {
        let named = match &rule.routes {
            RouteSelection::Named(names) if names.is_empty() => {
                faults.push(RuleFault::NoRoute(rule.name.clone()));
                continue;
            }
            RouteSelection::Named(names) => names,
            RouteSelection::Every { except } => except,
        };
        for route in named.iter().filter(|route| !known.contains(route)) {
            faults.push(RuleFault::UnknownRoute { rule: rule.name.clone(), route: route.clone() });
        }
        let identifies = rule.anonymous || rule.condition.identifies();
        if rule.effect == Effect::Allow && !identifies {
            faults.push(RuleFault::Unidentified(rule.name.clone()));
        }
    }
    faults
}

fn bind(rules: &[Arc<Rule>], routes: Vec<RouteOutline>) -> HashMap<Name, RouteRules, foldhash::fast::RandomState> {
    let mut by_route: HashMap<&Name, Vec<&Arc<Rule>>> = HashMap::new();
    let mut everywhere = Vec::new();
    for rule in rules {
        match &rule.routes {
            RouteSelection::Named(names) => {
                let distinct: HashSet<_> = names.iter().collect();
                distinct.into_iter().for_each(|name| by_route.entry(name).or_default().push(rule));
            }
            RouteSelection::Every { .. } => everywhere.push(rule),
        }
    }
    let mut bound = HashMap::with_capacity_and_hasher(routes.len(), foldhash::fast::RandomState::default());
    for route in routes {
        let own = by_route.get(&route.name).into_iter().flatten().copied();
        let general = everywhere.iter().copied().filter(|rule| rule.routes.covers(&route.name));
        let mut all: Vec<_> = own.chain(general).collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        bound.insert(route.name, RouteRules::new(&all, route.takes_tokens));
    }
    bound
}

fn owned_headers(rules: &[&Arc<Rule>]) -> Arc<[HeaderName]> {
    let set = rules.iter().filter_map(|rule| rule.obligations.as_ref()).flat_map(|obligations| &obligations.headers);
    let mut names: Vec<_> = set.map(|(name, _)| name.clone()).collect();
    names.sort_by(|left, right| left.as_str().cmp(right.as_str()));
    names.dedup();
    names.into()
}
