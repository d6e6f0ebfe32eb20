//! What rules may name: routes, token sources, trust bundles; and what policy files define: sets and conditions.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::super::fault::{At, Located};
use super::super::reader::{Table, Value, closest};
use super::{Vocabulary, condition};
use crate::identity::Name;
use crate::policy::rules::{Condition, RouteSelection};
use crate::route::Route;

/// Everything that a rule may name.
pub(super) struct Names<'v> {
    vocabulary: Vocabulary<'v>,
    routes: HashMap<&'v str, &'v Route>,
    sets: HashMap<String, Defined<Vec<Located<String>>>>,
    conditions: HashMap<String, Defined<Arc<Condition>>>,
}

/// Something that a policy file defines, and whether anything uses it.
struct Defined<T> {
    value: T,
    at: At,
    used: Cell<bool>,
}

/// A set or condition that nothing uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedName {
    /// `set` or `condition`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub origin: String,
}

impl<'v> Names<'v> {
    /// Reads `[set]` and `[condition.NAME]` of all files.
    pub(super) fn read(roots: &[Table<'_>], vocabulary: Vocabulary<'v>) -> Self {
        let routes = vocabulary.routes.iter().map(|route| (route.name.as_str(), route)).collect();
        let mut names = Self { vocabulary, routes, sets: HashMap::new(), conditions: HashMap::new() };
        for root in roots {
            let Some(sets) = root.table("set") else { continue };
            for (name, value) in sets.named_entries() {
                let strings = if value.is_list() {
                    value.strings()
                } else {
                    value.fault(format!("set `{}` is no list", name.value), String::from("write a list of strings"));
                    Vec::new()
                };
                names.refuse_second("set", &name, names.sets.get(&name.value).map(|set| &set.at), value);
                names.sets.insert(name.value, Defined { value: strings, at: name.at, used: Cell::new(false) });
            }
        }
        for root in roots {
            let Some(tables) = root.table("condition") else { continue };
            for (name, value) in tables.named_entries() {
                let first = names.conditions.get(&name.value).map(|known| &known.at);
                names.refuse_second("condition", &name, first, value);
                // A condition sees the sets and the conditions before it, so there are no circles.
                let Some(table) = value.table(format!("[condition.{}]", name.value)) else { continue };
                let condition = Arc::new(condition::read_named(&table, &names));
                names.conditions.insert(name.value, Defined { value: condition, at: name.at, used: Cell::new(false) });
            }
        }
        names
    }

    fn refuse_second(&self, kind: &str, name: &Located<String>, first: Option<&At>, value: Value<'_>) {
        if let Some(first) = first {
            let hint = format!("the other one stands at {first}");
            value.faults().error(&name.at, format!("two {kind}s are named `{}`", name.value), hint);
        }
    }

    /// The routes and their order.
    pub(super) const fn vocabulary(&self) -> &Vocabulary<'v> {
        &self.vocabulary
    }

    /// The strings of a set; a fault when there is none of that name.
    pub(super) fn set(&self, name: &Value<'_>) -> Option<Vec<Located<String>>> {
        let text = name.string()?;
        let Some(set) = self.sets.get(&text) else {
            let known = closest(&text, self.sets.keys().map(String::as_str));
            name.fault(format!("there is no set `{text}`"), known.or_else(|| Some("define it under [set]".into())));
            return None;
        };
        set.used.set(true);
        Some(set.value.clone())
    }

    /// The condition of that name, or a fault.
    pub(super) fn condition(&self, name: &Located<String>, value: &Value<'_>) -> Option<Condition> {
        let Some(condition) = self.conditions.get(&name.value) else {
            let known = closest(&name.value, self.conditions.keys().map(String::as_str));
            let hint =
                known.unwrap_or_else(|| format!("define it as [condition.{}], before its use in another", name.value));
            value.faults().error(&name.at, format!("there is no condition `{}`", name.value), hint);
            return None;
        };
        condition.used.set(true);
        Some(Condition::Named(Name::new(name.value.as_str()), condition.value.clone()))
    }

    /// A trust bundle by name, or a fault.
    pub(super) fn trust(&self, name: &Located<String>, value: &Value<'_>) -> Option<Name> {
        known(self.vocabulary.trusts.iter(), "trust bundle", "[trust.NAME]", name, value)
    }

    /// A token source by name, or a fault.
    pub(super) fn token_source(&self, name: &Located<String>, value: &Value<'_>) -> Option<Name> {
        let defined = "[issuer.NAME] or [introspection.NAME]";
        known(self.vocabulary.token_sources.keys(), "token source", defined, name, value)
    }

    /// A route by name, or a fault.
    pub(super) fn route(&self, name: &Located<String>, value: &Value<'_>) -> Option<Name> {
        if let Some(route) = self.routes.get(name.value.as_str()) {
            return Some(route.name.clone());
        }
        if self.vocabulary.faulty_routes.contains(&name.value) {
            return Some(Name::new(name.value.as_str()));
        }
        known(self.vocabulary.routes.iter().map(|route| &route.name), "route", "[[route]]", name, value)
    }

    /// The routes that a rule speaks of.
    pub(super) fn routes_of(&self, selection: &RouteSelection) -> Vec<&'v Route> {
        match selection {
            RouteSelection::Named(names) => {
                names.iter().filter_map(|name| self.routes.get(name.as_str()).copied()).collect()
            }
            every => self.vocabulary.routes.iter().filter(|route| every.covers(&route.name)).collect(),
        }
    }

    /// What was defined and never used.
    pub(super) fn into_unused(self) -> Vec<UnusedName> {
        let sets = self.sets.into_iter().map(|(name, set)| ("set", name, set.at, set.used));
        let conditions = self.conditions.into_iter().map(|(name, one)| ("condition", name, one.at, one.used));
        let unused = sets.chain(conditions).filter(|(.., used)| !used.get());
        let mut unused: Vec<_> =
            unused.map(|(kind, name, at, _)| UnusedName { kind, name, origin: at.to_string() }).collect();
        unused.sort_by(|left, right| left.origin.cmp(&right.origin));
        unused
    }
}

fn known<'n>(
    names: impl Iterator<Item = &'n Name> + Clone,
    kind: &str,
    defined: &str,
    name: &Located<String>,
    value: &Value<'_>,
) -> Option<Name> {
    if let Some(known) = names.clone().find(|known| known.as_str() == name.value) {
        return Some(known.clone());
    }
    let hint = closest(&name.value, names.clone().map(Name::as_str)).unwrap_or_else(|| {
        let all: Vec<_> = names.take(10).map(|name| format!("`{name}`")).collect();
        if all.is_empty() {
            format!("none is defined; {defined} defines one")
        } else {
            format!("known: {}", all.join(", "))
        }
    });
    value.faults().error(&name.at, format!("there is no {kind} `{}`", name.value), hint);
    None
}
