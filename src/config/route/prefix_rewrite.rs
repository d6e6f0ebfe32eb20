//! Reads `prefix_rewrite` of a route, and refuses one that leads around another route's rules.

use crate::config::fault::{Faults, Located};
use crate::config::reader::{Table, Value, closest};
use crate::identity::Name;
use crate::request::PathForms;
use crate::route::{PathPattern, PrefixRewrite, RewriteError, Route};

/// Reads the table. What it says of other routes is looked at by [`check`], when all of them are known.
pub(super) fn read(table: &Table<'_>, path: Option<&PathPattern>, admits: PathForms) -> Option<PrefixRewrite> {
    let (from, to) = (table.require("from"), table.require("to"));
    let shares = table.get("shares_paths_with").map(|value| value.strings()).unwrap_or_default();
    let (from, to) = (from?, to?);
    let texts = (read_prefix(&from), read_prefix(&to));
    let (from_text, to_text) = (texts.0?, texts.1?);
    let mut rewrite = match PrefixRewrite::parse(&from_text, &to_text) {
        Ok(rewrite) => rewrite,
        Err(error) => {
            to.fault(
                error.to_string(),
                String::from("leave out `prefix_rewrite`, or say what shall become of the path"),
            );
            return None;
        }
    };
    if path.is_some_and(|path| !rewrite.fits(path)) {
        let hint = "`from` consists of the first segments of the route's `path`, which hold no parameter";
        from.fault(format!("the path of the route does not begin with `{from_text}`"), String::from(hint));
        return None;
    }
    if to_text == "/" && admits.empty_segments {
        let hint = "leave out \"empty-segments\", or rewrite to a prefix such as \"/app\"";
        to.fault(
            "what remains of a path with empty segments could begin with `//`, which some take for a host",
            String::from(hint),
        );
        return None;
    }
    rewrite.shares_paths_with = shares.into_iter().map(|name| Name::new(name.value)).collect();
    Some(rewrite)
}

fn read_prefix(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    let error = match PrefixRewrite::parse_prefix(&text) {
        Ok(_) => return Some(text),
        Err(error) => error,
    };
    let hint = match error {
        RewriteError::Slash => format!("write \"{}\"", text.trim_end_matches('/')),
        _ => String::from("\"/grafana\", \"/api/v1\", or \"/\" for no prefix"),
    };
    value.fault(format!("`{text}` is no prefix: {error}"), hint);
    None
}

/// Refuses a rewrite by which a request reaches paths of a service that another route leads to, too: whoever asks could
/// choose whose rules count. `alike` are pairs of upstreams that have an endpoint in common.
pub(super) fn check(routes: &[Located<Route>], alike: &[(Name, Name)], faults: &Faults) {
    let one_service = |one: &Name, other: &Name| {
        one == other || alike.iter().any(|(a, b)| (a == one && b == other) || (a == other && b == one))
    };
    for (number, Located { value: route, at }) in routes.iter().enumerate() {
        let Some(rewrite) = &route.prefix_rewrite else { continue };
        let mut stale: Vec<&Name> = rewrite.shares_paths_with.iter().collect();
        for (place, Located { value: other, at: there }) in routes.iter().enumerate() {
            if !one_service(&route.upstream, &other.upstream) || !route.reaches_paths_of(other) {
                continue;
            }
            stale.retain(|name| **name != other.name);
            let theirs = other.prefix_rewrite.as_ref();
            let stated = rewrite.shares_paths_with.contains(&other.name)
                || theirs.is_some_and(|theirs| theirs.shares_paths_with.contains(&route.name));
            // Where both rewrite, the pair is told once.
            let told = theirs.is_some() && place < number;
            if !stated && !told {
                let hint = format!(
                    "`{other}` (`{}`) stands at {there}; choose other paths, or say that both sets of rules may admit to \
                     them: shares_paths_with = [\"{other}\"]",
                    other.path,
                    other = other.name,
                );
                let message = format!(
                    "the route `{}` rewrites paths to some that the route `{}` leads to",
                    route.name, other.name
                );
                faults.error(at, message, hint);
            }
        }
        for name in stale {
            let known = routes.iter().any(|other| other.value.name == *name);
            let names = routes.iter().map(|other| other.value.name.as_str());
            let (message, hint) = if known {
                (
                    format!("the route `{}` shares no path of a service with `{name}`", route.name),
                    Some("leave it out".into()),
                )
            } else {
                (format!("no route is named `{name}`"), closest(name.as_str(), names))
            };
            faults.error(at, message, hint);
        }
    }
}
