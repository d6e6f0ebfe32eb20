//! Reads `[[route]]` tables of policy files into [`Route`]s, and arranges them.

mod prefix_rewrite;

use std::collections::HashMap;

use http::{HeaderName, HeaderValue, Method};

use super::fault::{At, Faults, Located};
use super::reader::{Table, Value, closest};
use crate::identity::Name;
use crate::request::{HostError, PathForms};
use crate::route::{
    Authorization, Binding, Cors, HeaderCondition, HostPattern, Methods, PathPattern, PatternError, Route, Routes,
};

/// What the rest of the configuration defines and a route may name.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Every `[upstream.NAME]`.
    pub upstreams: &'a [Name],
    /// Those of them with `exchange`.
    pub exchanging: &'a [Name],
    /// Pairs of upstreams that have an endpoint in common.
    pub alike: &'a [(Name, Name)],
    /// Every `[issuer.NAME]` and `[introspection.NAME]`.
    pub token_sources: &'a [Name],
}

/// Reads every `[[route]]` of the files, and the names of those that have faults: a rule that names one is not wrong for
/// that.
pub fn read_all(roots: &[Table<'_>], known: &Known<'_>) -> (Vec<Located<Route>>, Vec<String>) {
    let (mut routes, mut faulty) = (Vec::new(), Vec::new());
    for table in roots.iter().flat_map(|root| root.tables("route")) {
        let name = table.get("name").filter(Value::is_string).and_then(|name| name.string());
        match read(&table, known) {
            Some(route) => routes.push(route),
            None => faulty.extend(name),
        }
    }
    (routes, faulty)
}

/// Reads one `[[route]]`.
pub fn read(table: &Table<'_>, known: &Known<'_>) -> Option<Located<Route>> {
    let name = table.require("name").and_then(|value| read_name(&value));
    let host = table.require("host").and_then(|value| read_host(&value));
    let path = table.require("path").and_then(|value| read_path(&value));
    let methods = table.require("methods").and_then(|value| read_methods(&value));
    let headers = table.table("headers").map(|table| read_conditions(&table));
    let upstream = table.require("upstream").and_then(|value| defined(&value, "upstream", known.upstreams));
    let tokens = table.get("tokens").map(|value| read_tokens(&value, known)).unwrap_or_default();
    let conceal = table.get("conceal").map(|value| value.bool());
    let admits = table.get("admit").map(|value| read_forms(&value)).unwrap_or_default();
    let authorization = table.get("authorization").map(|value| value.choice(AUTHORIZATIONS)).unwrap_or_default();
    let binding = table.get("binding").and_then(|value| value.choice(BINDINGS));
    let cors = table.table("cors").map(|table| (read_cors(&table), table.at()));
    let pattern = path.as_ref().map(|(path, _)| path);
    let prefix_rewrite = table.table("prefix_rewrite").map(|table| prefix_rewrite::read(&table, pattern, admits));
    if authorization == Some(Authorization::Pass)
        && let Some(value) = table.get("authorization")
        && upstream.as_ref().is_some_and(|upstream| known.exchanging.contains(upstream))
    {
        let hint = "name the route's `tokens`, or leave out `exchange` of the upstream";
        value.fault("the upstream exchanges tokens, and gets no client's own", String::from(hint));
    }
    if authorization == Some(Authorization::Pass)
        && let Some(tokens) = table.get("tokens")
    {
        let hint =
            "leave out `tokens`, or leave out `authorization` so that the token is verified here and not passed on";
        tokens.fault("a route that passes `Authorization` on has no token sources", String::from(hint));
    }
    if let (Some(Some(true)), Some((_, at))) = (conceal, &cors) {
        let hint = "leave out `cors` or `conceal`";
        table.faults().error(
            at,
            "an answer to preflights would show that a concealed route exists",
            String::from(hint),
        );
    }
    let path = path.filter(|(path, value)| {
        let reachable = admits.admit(path.forms());
        if !reachable {
            let hint = "admit the form by name: admit = [\"encoded-slash\", \"semicolon\", \"empty-segments\"]";
            value.fault(
                "no request can have this path: it has a form that the route does not admit",
                String::from(hint),
            );
        }
        reachable
    });
    let route = Route {
        name: name?,
        host: host?,
        path: path?.0,
        methods: methods?,
        headers: headers.unwrap_or_default(),
        upstream: upstream?,
        prefix_rewrite: match prefix_rewrite {
            None => None,
            Some(rewrite) => Some(rewrite?),
        },
        tokens,
        conceal: conceal.flatten().unwrap_or_default(),
        admits,
        authorization: authorization.unwrap_or_default(),
        binding,
        cors: cors.and_then(|(cors, _)| cors),
    };
    Some(Located { value: route, at: table.at() })
}

/// Arranges the routes of all files. `None` when two have one name or overlap, which is a fault that names both.
pub fn arrange(routes: &[Located<Route>], known: &Known<'_>, faults: &Faults) -> Option<Routes> {
    let mut sound = true;
    let mut named: HashMap<&Name, &At> = HashMap::new();
    for Located { value: route, at } in routes {
        if let Some(first) = named.get(&route.name) {
            faults.error(
                at,
                format!("a second route is named `{}`", route.name),
                format!("the first stands at {first}"),
            );
            sound = false;
        } else {
            named.insert(&route.name, at);
        }
    }
    prefix_rewrite::check(routes, known.alike, faults);
    match Routes::new(routes.iter().map(|route| route.value.clone()).collect()) {
        Ok(arranged) => sound.then_some(arranged),
        Err(overlaps) => {
            for overlap in overlaps {
                let (Some(first), Some(second)) = (routes.get(overlap.places.0), routes.get(overlap.places.1)) else {
                    continue;
                };
                let hint =
                    format!("`{}` stands at {}; tell them apart by path, methods or headers", overlap.first, first.at);
                faults.error(&second.at, overlap.to_string(), hint);
            }
            None
        }
    }
}

const AUTHORIZATIONS: &[(&str, Authorization)] = &[("take", Authorization::Take), ("pass", Authorization::Pass)];
const BINDINGS: &[(&str, Binding)] =
    &[("required", Binding::Required), ("if-bound", Binding::IfBound), ("off", Binding::Off)];

fn read_name(value: &Value<'_>) -> Option<Name> {
    let text = value.string()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        return Some(Name::new(text));
    }
    value.fault(
        format!("`{text}` is no name for a route"),
        String::from("1 to 64 letters, digits, `-`, `_` or `.`: it goes into rules, records and metrics"),
    );
    None
}

fn read_host(value: &Value<'_>) -> Option<HostPattern> {
    let text = value.string()?;
    let error = match HostPattern::parse(&text) {
        Ok(host) => return Some(host),
        Err(error) => error,
    };
    let hint = match error {
        PatternError::Host(HostError::Name) if !text.is_ascii() => "write the name in its ASCII form: `xn--...`",
        _ if text.contains("://") => "leave out the scheme: \"payments.corp.example\"",
        _ if text.contains(':') => "leave out the port: a route is for every port that is listened on",
        _ if text == "*" => "\"**\" means every host",
        _ => "\"payments.corp.example\", \"*.corp.example\" for one label more, \"**.corp.example\" for one or more",
    };
    value.fault(format!("`{text}` is no host pattern: {error}"), String::from(hint));
    None
}

fn read_path<'a>(value: &Value<'a>) -> Option<(PathPattern, Value<'a>)> {
    let text = value.string()?;
    let error = match PathPattern::parse(&text) {
        Ok(path) => return Some((path, *value)),
        Err(error) => error,
    };
    let hint = match error {
        PatternError::Query => "rules read the query: `when = 'request.query...'`",
        PatternError::Reserved => "choose another path; it tells clients where to get tokens (RFC 9728)",
        PatternError::TailInside => "name the segments between, or end the path with `{rest...}`",
        _ => "\"/v1/payments\", \"/v1/payments/{id}\" for one segment, \"/v1/{rest...}\" for all that follows",
    };
    value.fault(format!("`{text}` is no path pattern: {error}"), String::from(hint));
    None
}

fn read_methods(value: &Value<'_>) -> Option<Methods> {
    let items = value.list();
    if items.is_empty() && value.is_list() {
        value.fault("a route without methods serves nothing", String::from("[\"GET\"], or [\"*\"] for every method"));
        return None;
    }
    let mut methods = Vec::new();
    let mut any = false;
    for item in &items {
        let text = item.string()?;
        match text.as_str() {
            "*" => any = true,
            "CONNECT" => item.fault(
                "CONNECT is not served",
                String::from("a WebSocket over HTTP/2 is matched as the GET that it is over HTTP/1.1"),
            ),
            "TRACE" | "TRACK" => item.fault(
                format!("{text} is not served"),
                String::from("it would show clients what the gateway tells the service about them"),
            ),
            _ => match text.parse::<Method>() {
                Ok(method) if crate::request::is_served(&method) => methods.push(method),
                _ => {
                    let upper = text.to_ascii_uppercase();
                    let hint = (upper != text).then(|| format!("methods are in upper case: \"{upper}\""));
                    item.fault(format!("`{text}` is no method"), hint);
                }
            },
        }
    }
    if any && items.len() > 1 {
        value.fault("`*` is every method already", String::from("leave the other methods out, or leave out `*`"));
    }
    let wrong = !any && methods.len() != items.len();
    (!wrong).then_some(if any { Methods::Any } else { Methods::These(methods) })
}

fn read_conditions(table: &Table<'_>) -> Vec<HeaderCondition> {
    let mut conditions: Vec<HeaderCondition> = Vec::new();
    for (key, value) in table.named_entries() {
        let Some(text) = value.string() else { continue };
        let faults = table.faults();
        let Ok(name) = HeaderName::try_from(key.value.as_str()) else {
            faults.error(&key.at, format!("`{}` is no header field", key.value), None);
            continue;
        };
        let Ok(wanted) = HeaderValue::try_from(text.trim()) else {
            value.fault("a header field cannot have this value", None);
            continue;
        };
        if !crate::request::is_for_routes(&name) {
            let hint = "routes can be told apart by fields that only say what is asked for";
            faults.error(&key.at, format!("`{}` cannot choose a route", key.value), String::from(hint));
        } else if conditions.iter().any(|known| known.name == name) {
            faults.error(&key.at, format!("`{}` is stated twice", key.value), None);
        } else {
            conditions.push(HeaderCondition { name, value: wanted });
        }
    }
    conditions
}

fn read_tokens(value: &Value<'_>, known: &Known<'_>) -> Vec<Name> {
    let mut tokens = Vec::new();
    for item in value.list() {
        match defined(&item, "issuer or introspection", known.token_sources) {
            Some(name) if tokens.contains(&name) => item.fault(format!("`{name}` is stated twice"), None),
            Some(name) => tokens.push(name),
            None => {}
        }
    }
    tokens
}

fn defined(value: &Value<'_>, kind: &str, known: &[Name]) -> Option<Name> {
    let text = value.string()?;
    if let Some(name) = known.iter().find(|name| name.as_str() == text) {
        return Some(name.clone());
    }
    let near = closest(&text, known.iter().map(Name::as_str));
    let hint = near.or_else(|| match known {
        [] => Some(format!("the configuration defines no {kind} at all")),
        _ => {
            let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("defined are: {}", names.join(", ")))
        }
    });
    value.fault(format!("no {kind} is named `{text}`"), hint);
    None
}

fn read_forms(value: &Value<'_>) -> PathForms {
    let none = PathForms::NONE;
    let choices = [
        ("encoded-slash", PathForms { encoded_slash: true, ..none }),
        ("semicolon", PathForms { semicolon: true, ..none }),
        ("empty-segments", PathForms { empty_segments: true, ..none }),
    ];
    value.list().iter().filter_map(|item| item.choice(&choices)).fold(none, PathForms::and)
}

fn read_cors(table: &Table<'_>) -> Option<Cors> {
    let origins = table.require("origins").map(|value| (value.list(), value));
    let headers = table.get("headers").map(|value| value.strings()).unwrap_or_default();
    let credentials = table.get("credentials").map(|value| value.bool());
    let max_age = table.get("max_age").and_then(|value| value.duration());
    let headers = headers.iter().filter_map(|text| {
        let name = HeaderName::try_from(text.value.as_str()).ok();
        if name.is_none() {
            table.faults().error(&text.at, format!("`{}` is no header field", text.value), None);
        }
        name
    });
    let headers = headers.collect();
    let (origins, value) = origins?;
    let origins: Vec<_> = origins.iter().filter_map(read_origin).collect();
    if origins.is_empty() {
        value.fault("no origin is permitted", String::from("[\"https://app.corp.example\"], or leave out `cors`"));
        return None;
    }
    let max_age = max_age.map_or(600, |age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
    Some(Cors { origins, headers, credentials: credentials.flatten().unwrap_or_default(), max_age })
}

fn read_origin(value: &Value<'_>) -> Option<HeaderValue> {
    let text = value.string()?;
    let origin = Cors::parse_origin(&text);
    if origin.is_none() {
        value.fault(
            format!("`{text}` is no origin"),
            String::from(
                "a scheme and a host as browsers send them: \"https://app.corp.example\", never `*` or `null`",
            ),
        );
    }
    origin
}

#[cfg(test)]
mod tests;
