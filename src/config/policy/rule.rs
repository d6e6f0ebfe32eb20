//! `[[allow]]`, `[[deny]]` and `[[require]]`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::super::fault::{At, Located};
use super::super::reader::{Table, Value};
use super::condition::{self, ParamScope, read_absent};
use super::names::Names;
use super::subject::says;
use crate::identity::Name;
use crate::policy::rules::{Condition, Effect, LogLevel, Mode, Obligations, Rollout, RouteSelection, Rule};

/// Header fields that belong to the connection or to other parts of the gateway.
const RESERVED: [&str; 15] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A rule that was read, as far as it could be.
pub(super) struct Read {
    /// Its name and place.
    pub(super) name: Located<Name>,
    /// The rule; `None` when it has a fault, so that one mistake is reported once.
    pub(super) rule: Option<Arc<Rule>>,
}

/// Reads the rules of one file.
pub(super) fn read_all(root: &Table<'_>, names: &Names<'_>) -> Vec<Read> {
    let mode = root.table("policy").and_then(|table| table.get("mode")).and_then(|value| read_mode(&value));
    let mut rules = Vec::new();
    for (key, effect) in [("allow", Effect::Allow), ("deny", Effect::Deny), ("require", Effect::Require)] {
        rules.extend(root.tables(key).iter().filter_map(|table| read(table, effect, mode, names)));
    }
    rules
}

fn read(table: &Table<'_>, effect: Effect, file_mode: Option<Mode>, names: &Names<'_>) -> Option<Read> {
    let before = table.faults().errors();
    let name = table.require("name").and_then(|value| value.located());
    let routes = read_routes(table, names);
    let found = routes.as_ref().map(|routes| names.routes_of(routes)).unwrap_or_default();
    let scope = match &routes {
        // Nothing is known of the parameters of a route that has faults.
        Some(RouteSelection::Named(named)) if named.len() > found.len() => ParamScope::Unknown,
        _ => ParamScope::Routes(found),
    };
    let mut condition = condition::read(table, names, &scope);
    let absent_value = table.get("when_absent");
    let absent = read_absent(absent_value);
    let anonymous = effect == Effect::Allow && says(table.get("anonymous"));
    let everybody = effect == Effect::Deny && says(table.get("everybody"));
    let mode = table.get("mode").and_then(|value| read_mode(&value)).or(file_mode).unwrap_or_default();
    let rollout = read_rollout(table, effect);
    let obligations = read_obligations(table, effect);

    refuse_misplaced(table, effect, &condition, absent_value, anonymous);
    let sound_so_far = table.faults().errors() == before;
    if effect != Effect::Allow && condition::is_empty(&condition) && !everybody && sound_so_far {
        let hint = match effect {
            Effect::Deny => "say whom it refuses; if it shall close the routes, write `everybody = true`",
            Effect::Allow | Effect::Require => "say what must hold",
        };
        table.faults().error(&table.at(), format!("this [[{}]] asks nothing", effect.as_str()), String::from(hint));
    }
    if everybody && !condition::is_empty(&condition) {
        table.faults().error(&table.at(), "`everybody = true` stands beside a condition", None);
    }
    if let Some(absent) = absent {
        condition = Condition::WhenAbsent(absent, Box::new(condition));
    }
    let Located { value: name, at } = name?;
    let name = Name::new(name);
    let sound = table.faults().errors() == before;
    let rule = routes.filter(|_| sound).map(|routes| {
        let origin = Arc::from(origin(&at));
        Arc::new(Rule { name: name.clone(), effect, routes, condition, anonymous, mode, rollout, obligations, origin })
    });
    Some(Read { name: Located { value: name, at }, rule })
}

/// `policies/payments.toml:12`.
fn origin(at: &At) -> String {
    format!("{}:{}", at.source.path.display(), at.line_column().0)
}

fn refuse_misplaced(
    table: &Table<'_>,
    effect: Effect,
    condition: &Condition,
    absent: Option<Value<'_>>,
    anonymous: bool,
) {
    if effect != Effect::Deny
        && let Some(absent) = absent.map(|value| value.at()).or_else(|| absent_inside(condition).then(|| table.at()))
    {
        let hint = String::from("leave it out; only a [[deny]] can say what absence means");
        let message =
            format!("an [[{}]] that needs something missing does not hold, whatever it says", effect.as_str());
        table.faults().error(&absent, message, hint);
    }
    if anonymous && condition.identifies() {
        let hint = String::from("leave `anonymous` out, or leave `subject`, `device` and `workload` out");
        table.faults().error(&table.at(), "`anonymous = true` stands beside a demand for somebody", hint);
    }
}

fn absent_inside(condition: &Condition) -> bool {
    match condition {
        Condition::Is(_) | Condition::Named(..) => false,
        Condition::All(parts) | Condition::Any(parts) => parts.iter().any(absent_inside),
        Condition::Not(inner) => absent_inside(inner),
        Condition::WhenAbsent(..) => true,
    }
}

fn read_routes(table: &Table<'_>, names: &Names<'_>) -> Option<RouteSelection> {
    let value = table.require("routes");
    let except = table.get("except_routes");
    let excepted = except.map_or_else(Vec::new, |value| route_names(&value, names));
    let value = value?;
    let stated = value.strings();
    if stated.is_empty() && value.is_list() {
        value.fault("a rule without routes does nothing", String::from("name routes, or write [\"*\"] for all"));
    }
    if stated.iter().any(|name| name.value == "*") {
        if stated.len() > 1 {
            value.fault("\"*\" stands beside other names", String::from("it means all of them already"));
        }
        return Some(RouteSelection::Every { except: excepted.into() });
    }
    if let Some(except) = except {
        except
            .fault("`except_routes` needs routes = [\"*\"]", String::from("leave the routes out of `routes` instead"));
    }
    Some(RouteSelection::Named(route_names(&value, names).into()))
}

fn route_names(value: &Value<'_>, names: &Names<'_>) -> Vec<Name> {
    value.strings().iter().filter_map(|name| names.route(name, value)).collect()
}

fn read_mode(value: &Value<'_>) -> Option<Mode> {
    value.choice(&[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)])
}

fn read_rollout(table: &Table<'_>, effect: Effect) -> Option<Rollout> {
    let percent = table.get("rollout");
    let denies_value = if effect == Effect::Allow { None } else { table.get("rollout_denies") };
    let denies = says(denies_value);
    if let (None, Some(value)) = (&percent, denies_value) {
        value.fault("`rollout_denies` needs a `rollout`", None);
    }
    let percent = percent?;
    if effect != Effect::Allow && !denies {
        let hint = String::from("write `rollout_denies = true` beside it, or leave `rollout` out");
        percent.fault("a denial holds for all, whatever its rollout, unless the rule says otherwise", hint);
    }
    let percent = u8::try_from(percent.integer(0, 100)?).ok()?;
    Some(Rollout { percent, denies })
}

fn read_obligations(table: &Table<'_>, effect: Effect) -> Option<Box<Obligations>> {
    let headers = if effect == Effect::Allow { table.table("headers") } else { None };
    let headers = headers.map_or_else(Vec::new, |headers| read_headers(&headers));
    let advice = table.get("advice").and_then(|value| value.string()).map(Arc::from);
    let log = table.get("log").and_then(|value| {
        value.choice(&[("debug", LogLevel::Debug), ("info", LogLevel::Info), ("warn", LogLevel::Warn)])
    });
    let obligations = Obligations { headers, advice, log };
    (obligations != Obligations::default()).then(|| Box::new(obligations))
}

fn read_headers(table: &Table<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in table.named_entries() {
        let fault = |message: String| value.faults().error(&name.at, message, None);
        let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
            fault(format!("`{}` is no header name", name.value));
            continue;
        };
        let reserved = RESERVED.contains(&header.as_str()) || header.as_str().starts_with("x-forwarded-");
        if reserved {
            fault(format!("`{header}` is not a rule's to set"));
        }
        if headers.iter().any(|(known, _)| *known == header) {
            fault(format!("`{header}` stands here twice"));
        }
        let Some(text) = value.string() else { continue };
        let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
        match HeaderValue::from_str(&text) {
            Ok(text) if visible => headers.push((header, text)),
            _ => value.fault("a header value is visible ASCII without a blank at either end", None),
        }
    }
    headers
}
