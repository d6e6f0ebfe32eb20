//! `request = { .. }`: what must be asked for.

use http::{HeaderName, Method};

use super::super::fault::Located;
use super::super::reader::{Table, Value};
use super::condition::{ParamScope, common_params};
use super::matching::{TextWanted, plain_text, text, texts, with_absent};
use super::names::Names;
use super::peer::patterns;
use crate::policy::rules::criterion::{DnsPattern, PathPattern, RequestCriterion, StringSet};
use crate::policy::rules::{Condition, Criterion};

/// Reads the table; an empty one was reported already.
pub(super) fn read(table: &Table<'_>, names: &Names<'_>, scope: &ParamScope<'_>) -> Vec<Condition> {
    let mut found = Vec::new();
    let is = |criterion| Condition::Is(Criterion::Request(criterion));
    found.extend(table.get("method").map(|value| is(RequestCriterion::Method(methods(&value, names)))));
    if let Some(value) = table.get("host") {
        let hint = "write \"*.corp.example\": `*` is one label, a first `**` several";
        found.push(is(RequestCriterion::Host(patterns(&value, names, DnsPattern::parse, hint))));
    }
    if let Some(value) = table.get("path") {
        let hint = "write \"/v1/*/refunds/**\", decoded: `*` is one segment, a final `**` the rest";
        found.push(is(RequestCriterion::Path(patterns(&value, names, PathPattern::parse, hint))));
    }
    for (name, value) in entries(table, "path_params") {
        refuse_unknown_param(&name, &value, scope);
        let read = plain_text(&value, names);
        found.extend(read.map(|(wanted, absent)| {
            with_absent(Criterion::Request(RequestCriterion::PathParam(name.value.as_str().into(), wanted)), absent)
        }));
    }
    for (name, value) in entries(table, "query") {
        let name = name.value.as_str();
        found.extend(text(&value, names).map(|(wanted, absent)| {
            let criterion = match wanted {
                TextWanted::Matches(wanted) => RequestCriterion::Query(name.into(), wanted),
                TextWanted::Present(wanted) => RequestCriterion::QueryPresent(name.into(), wanted),
            };
            with_absent(Criterion::Request(criterion), absent)
        }));
    }
    for (name, value) in entries(table, "headers") {
        let Some(header) = header_name(&name, &value) else { continue };
        found.extend(text(&value, names).map(|(wanted, absent)| {
            let criterion = match wanted {
                TextWanted::Matches(wanted) => RequestCriterion::Header(header, wanted),
                TextWanted::Present(wanted) => RequestCriterion::HeaderPresent(header, wanted),
            };
            with_absent(Criterion::Request(criterion), absent)
        }));
    }
    found
}

fn entries<'a>(table: &Table<'a>, key: &'static str) -> Vec<(Located<String>, Value<'a>)> {
    let Some(inner) = table.table(key) else { return Vec::new() };
    if inner.is_empty() {
        inner.faults().error(&inner.at(), format!("`{key}` is empty"), None);
    }
    inner.named_entries()
}

fn methods(value: &Value<'_>, names: &Names<'_>) -> StringSet {
    let read = texts(value, names).into_iter().filter_map(|Located { value: method, at }| {
        let valid = Method::from_bytes(method.as_bytes()).is_ok();
        let upper = method.to_ascii_uppercase();
        let common = Method::from_bytes(upper.as_bytes()).is_ok_and(|known| known.as_str() == upper);
        if !valid || (common && method != upper) {
            let hint = format!("methods are compared with case: write \"{upper}\"");
            value.faults().error(&at, format!("`{method}` is no method"), hint);
            return None;
        }
        Some(method)
    });
    StringSet::new(read)
}

/// The credential never reaches a rule: a rule over it could only be wrong, or leak it.
fn header_name(name: &Located<String>, value: &Value<'_>) -> Option<HeaderName> {
    let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
        value.faults().error(&name.at, format!("`{}` is no header name", name.value), None);
        return None;
    };
    if header == http::header::AUTHORIZATION || header == "dpop" {
        let hint = String::from(
            "the credential leaves the request before the rules see it; ask for what its token says: `subject`",
        );
        value.faults().error(&name.at, format!("no rule sees the header `{header}`"), hint);
        return None;
    }
    Some(header)
}

fn refuse_unknown_param(name: &Located<String>, value: &Value<'_>, scope: &ParamScope<'_>) {
    let ParamScope::Routes(routes) = scope else { return };
    if common_params(routes).contains(&name.value.as_str()) {
        return;
    }
    if let Some(route) = routes.iter().find(|route| route.path.names().all(|known| known != name.value)) {
        let known: Vec<_> = route.path.names().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
        let message = format!("route `{}` has no path parameter `{}`", route.name, name.value);
        value.faults().error(&name.at, message, known);
    }
}
