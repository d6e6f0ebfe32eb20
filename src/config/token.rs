//! Reads what every token of a source must pass: the keys that `[issuer.NAME]` and `[introspection.NAME]` have in common.

use std::time::Duration;

use super::outbound;
use super::reader::{Table, Value};
use crate::authn::{Audiences, GroupsClaim, GroupsForm, TokenRules};
use crate::identity::{Audience, ClaimPath};
use crate::route::Binding;

const CLOCK_SKEW: Duration = Duration::from_secs(30);
const MOST_CLOCK_SKEW: Duration = Duration::from_secs(300);
const MAX_BYTES: u64 = 8 << 10;

/// Whether `audiences = "unchecked"` may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unchecked {
    /// For opaque tokens, which a server vouches for one by one.
    Allowed,
    /// For signed tokens, which would count wherever they are sent.
    Refused,
}

/// Reads `clock_skew`, `max_bytes`, `groups_claim`, `binding` and `dpop_nonce`.
pub(super) fn rules(table: &Table<'_>, audiences: Audiences) -> TokenRules {
    let skew = outbound::duration(table, "clock_skew", Duration::ZERO, MOST_CLOCK_SKEW);
    let max_bytes = table.get("max_bytes").and_then(|value| {
        let bytes = value.bytes()?;
        if !(64..=64 << 10).contains(&bytes) {
            value.fault("`max_bytes` must lie between 64 and 64KiB", None);
        }
        Some(bytes)
    });
    let groups = table.get("groups_claim").and_then(|value| read_groups(&value));
    let binding = table.get("binding").and_then(|value| value.choice(BINDINGS));
    let dpop_nonce = table.get("dpop_nonce").and_then(|value| value.choice(&[("required", true), ("off", false)]));
    TokenRules {
        audiences,
        clock_skew: skew.unwrap_or(CLOCK_SKEW),
        max_bytes: usize::try_from(max_bytes.unwrap_or(MAX_BYTES)).unwrap_or(usize::MAX),
        groups: groups.unwrap_or_default(),
        binding: binding.unwrap_or(Binding::IfBound),
        dpop_nonce: dpop_nonce.unwrap_or_default(),
    }
}

const BINDINGS: &[(&str, Binding)] =
    &[("required", Binding::Required), ("if-bound", Binding::IfBound), ("off", Binding::Off)];

/// Reads `audiences`: a list that is not empty, or the word `"unchecked"`.
pub(super) fn audiences(value: &Value<'_>, unchecked: Unchecked) -> Option<Audiences> {
    if value.is_string() {
        match (value.string()?.as_str(), unchecked) {
            ("unchecked", Unchecked::Allowed) => return Some(Audiences::Unchecked),
            ("unchecked", Unchecked::Refused) => {
                value.fault("a signed token without an audience would count everywhere; name the audiences", None);
            }
            _ => value.fault("`audiences` is a list", String::from("write audiences = [\"payments-api\"]")),
        }
        return None;
    }
    let items = value.list();
    let audiences: Vec<_> = items.iter().filter_map(not_empty).map(Audience::new).collect();
    if value.is_list() && items.is_empty() {
        value.fault("`audiences` is empty: no token could be for it", None);
    }
    Some(Audiences::OneOf(audiences))
}

/// Reads a string that is not empty.
pub(super) fn not_empty(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if text.is_empty() {
        value.fault("this must not be empty", None);
        return None;
    }
    Some(text)
}

/// `"groups"`, or `{ path = "realm_access.roles", form = "list" }`.
fn read_groups(value: &Value<'_>) -> Option<GroupsClaim> {
    if value.is_string() {
        return Some(GroupsClaim { path: read_path(value)?, form: GroupsForm::List });
    }
    let table = value.table(String::from("`groups_claim`"))?;
    let path = table.require("path").and_then(|value| read_path(&value));
    let form = table.get("form").map(|value| value.choice(&[("list", 0), ("string", 1), ("separated", 2)]));
    let separator = table.get("separator");
    let mark = separator.map(|value| {
        let text = value.string()?;
        let mut characters = text.chars();
        let only = characters.next().filter(|_| characters.next().is_none());
        if only.is_none() {
            value.fault("`separator` is one character", None);
        }
        only
    });
    let form = match form.unwrap_or(Some(0))? {
        2 => GroupsForm::Separated(mark.unwrap_or(Some(','))?),
        other => {
            if let Some(separator) = separator {
                separator.fault("only the form \"separated\" has a `separator`", None);
            }
            if other == 1 { GroupsForm::String } else { GroupsForm::List }
        }
    };
    Some(GroupsClaim { path: path?, form })
}

fn read_path(value: &Value<'_>) -> Option<ClaimPath> {
    let text = value.string()?;
    let path = ClaimPath::parse(&text);
    if path.is_none() {
        let hint = "write `groups`, `realm_access.roles`, or '\"https://corp.example/roles\"' for a name with dots";
        value.fault(format!("`{text}` is no path to a claim"), String::from(hint));
    }
    path
}
