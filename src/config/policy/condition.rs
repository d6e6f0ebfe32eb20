//! The condition of a rule: its tables, all of which must hold.

use std::sync::Arc;

use super::super::fault::Located;
use super::super::reader::{Table, Value};
use super::names::Names;
use super::{peer, request, subject, time};
use crate::policy::rules::criterion::SourceCriterion;
use crate::policy::rules::when::{Expression, Schema};
use crate::policy::rules::{Absent, Condition, Criterion};
use crate::route::Route;

/// The routes whose path parameters a condition may use.
pub(super) enum ParamScope<'r> {
    /// Every one of these routes must have the parameter.
    Routes(Vec<&'r Route>),
    /// A named condition: where it is used is not known here.
    Unknown,
}

/// Reads a `[condition.NAME]`.
pub(super) fn read_named(table: &Table<'_>, names: &Names<'_>) -> Condition {
    let before = table.faults().errors();
    let condition = read(table, names, &ParamScope::Unknown);
    if is_empty(&condition) && table.faults().errors() == before {
        let hint = String::from("give it a `subject`, `device`, `workload`, `request`, `source`, `time` or `when`");
        table.faults().error(&table.at(), "this condition asks nothing", hint);
    }
    condition
}

/// Reads what stands in a rule's, a condition's or an alternative's table and must hold.
pub(super) fn read(table: &Table<'_>, names: &Names<'_>, scope: &ParamScope<'_>) -> Condition {
    let mut parts = Vec::new();
    for (key, read) in [
        ("subject", subject::read as fn(&Table<'_>, &Names<'_>) -> Vec<Condition>),
        ("device", peer::read),
        ("workload", peer::read),
        ("source", read_source),
        ("time", time::read),
    ] {
        parts.extend(read_part(table, key, |part| read(part, names)));
    }
    parts.extend(read_part(table, "request", |part| request::read(part, names, scope)));
    if let Some(value) = table.get("conditions") {
        parts.extend(value.strings().iter().filter_map(|name| names.condition(name, &value)));
    }
    if let Some(value) = table.get("unless") {
        let named = value.strings();
        let found = named.iter().filter_map(|name| names.condition(name, &value));
        parts.extend(found.map(|condition| Condition::Not(Box::new(condition))));
    }
    if let Some(value) = table.get("any_of") {
        parts.push(read_alternatives(&value, names, scope));
    }
    if let Some(value) = table.get("when") {
        parts.extend(read_when(&value, scope));
    }
    match <[Condition; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => Condition::All(parts.into()),
    }
}

/// Whether a condition asks nothing, and so holds for everybody.
pub(super) fn is_empty(condition: &Condition) -> bool {
    matches!(condition, Condition::All(parts) if parts.is_empty())
}

/// Reads `when_absent`.
pub(super) fn read_absent(value: Option<Value<'_>>) -> Option<Absent> {
    value?.choice(&[("skip", Absent::Skip), ("deny", Absent::Deny)])
}

fn read_part(table: &Table<'_>, key: &'static str, read: impl Fn(&Table<'_>) -> Vec<Condition>) -> Vec<Condition> {
    let Some(part) = table.get(key).and_then(|value| value.table(format!("`{key}`"))) else { return Vec::new() };
    if part.is_empty() {
        let hint = String::from("an empty table asks nothing; leave it out, or say what you mean: `any = true`");
        part.faults().error(&part.at(), format!("`{key}` is empty"), hint);
    }
    let found = read(&part);
    let several = found.len() > 1;
    if several { vec![Condition::All(found.into())] } else { found }
}

fn read_alternatives(value: &Value<'_>, names: &Names<'_>, scope: &ParamScope<'_>) -> Condition {
    let tables = value.list().into_iter().filter_map(|item| item.table("an alternative".into()));
    let alternatives: Vec<_> = tables
        .map(|table| {
            let before = table.faults().errors();
            let condition = read(&table, names, scope);
            if is_empty(&condition) && table.faults().errors() == before {
                table.faults().error(&table.at(), "this alternative asks nothing", None);
            }
            condition
        })
        .collect();
    if alternatives.len() < 2 {
        value.fault("`any_of` needs at least two alternatives", None);
    }
    Condition::Any(alternatives.into())
}

fn read_when(value: &Value<'_>, scope: &ParamScope<'_>) -> Option<Condition> {
    let Located { value: text, at } = value.located()?;
    let schema = match scope {
        ParamScope::Routes(routes) => Schema::request().with_path_params(common_params(routes)),
        ParamScope::Unknown => Schema::request(),
    };
    match Expression::compile(&text, &schema) {
        Ok(expression) => Some(Condition::Is(Criterion::When(Arc::new(expression)))),
        Err(errors) => {
            for error in errors {
                value.faults().error(&at.within(&text, error.span), error.message, error.hint);
            }
            None
        }
    }
}

/// The path parameters that every one of the routes has.
pub(super) fn common_params<'r>(routes: &[&'r Route]) -> Vec<&'r str> {
    let Some((first, others)) = routes.split_first() else { return Vec::new() };
    let in_all = |name: &&str| others.iter().all(|route| route.path.names().any(|other| other == *name));
    first.path.names().filter(in_all).collect()
}

fn read_source(table: &Table<'_>, names: &Names<'_>) -> Vec<Condition> {
    let networks = |value: Option<Value<'_>>| -> Vec<ipnet::IpNet> {
        let Some(value) = value else { return Vec::new() };
        let texts = super::matching::texts(&value, names);
        texts.iter().filter_map(|text| network(text, &value)).collect()
    };
    let criterion = SourceCriterion {
        networks: networks(table.get("networks")).into(),
        except: networks(table.get("except")).into(),
    };
    if criterion.networks.is_empty() && criterion.except.is_empty() {
        return Vec::new();
    }
    vec![Condition::Is(Criterion::Source(criterion))]
}

fn network(text: &Located<String>, value: &Value<'_>) -> Option<ipnet::IpNet> {
    let parsed: Option<ipnet::IpNet> =
        text.value.parse().ok().or_else(|| text.value.parse::<std::net::IpAddr>().ok().map(Into::into));
    let canonical = parsed.and_then(SourceCriterion::canonical);
    if canonical.is_none() {
        let hint = String::from("write \"10.0.0.0/8\", \"2001:db8::/32\" or a single address");
        value.faults().error(&text.at, format!("`{}` is no network", text.value), hint);
    }
    canonical
}
