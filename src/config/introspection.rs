//! Reads `[introspection.NAME]`: the authorization servers that are asked about opaque tokens.

use std::path::Path;
use std::time::Duration;

use super::fault::Located;
use super::reader::{Table, Value};
use super::{client, outbound, token};
use crate::authn::{Audiences, IntrospectionCache, IntrospectionSettings, IssuerSettings};
use crate::identity::{Issuer, Name};

const HOUR: Duration = Duration::from_secs(3600);
const POSITIVE: Duration = Duration::from_secs(60);
const NEGATIVE: Duration = Duration::from_secs(10);
const MAX_ENTRIES: u64 = 100_000;

/// Every `[issuer.NAME]` as it was read.
type Issuers = [(Located<Name>, Option<IssuerSettings>)];

/// Reads every `[introspection.NAME]` of `root`; paths count from `base`. A name without settings stands for a server
/// with faults, so that routes that name it are not reported as well.
pub fn read(root: &Table<'_>, base: &Path, issuers: &Issuers) -> Vec<(Located<Name>, Option<IntrospectionSettings>)> {
    let Some(servers) = root.table("introspection") else { return Vec::new() };
    let read = |(name, value): (Located<String>, Value<'_>)| {
        let table = value.table(format!("[introspection.{}]", name.value));
        let name = Located { value: Name::new(name.value), at: name.at };
        let settings = table.and_then(|table| one(&table, &name.value, base, issuers));
        (name, settings)
    };
    servers.named_entries().into_iter().map(read).collect()
}

fn one(table: &Table<'_>, name: &Name, base: &Path, issuers: &Issuers) -> Option<IntrospectionSettings> {
    let faults = table.faults().errors();
    let plain = outbound::plain_http(table);
    let endpoint = table.require("url").and_then(|value| outbound::endpoint(&value, plain));
    let issuer = table.get("issuer").map(|value| token::not_empty(&value));
    let mut calls = outbound::read(table, base);
    let client = table.require("client").and_then(|value| client::read(&value, base, endpoint.as_ref(), &mut calls));
    let audiences = table.require("audiences").and_then(|value| token::audiences(&value, token::Unchecked::Allowed));
    let prefix = table.table("match").and_then(|table| table.require("prefix")?.located());
    if let Some(prefix) = prefix.as_ref().filter(|prefix| prefix.value.is_empty()) {
        table.faults().error(&prefix.at, "an empty prefix matches every token", None);
    }
    let cache = table.table("cache").map_or_else(default_cache, |table| read_cache(&table));
    let signed_by = table.get("signed_by").map(|value| signer(&value, issuers));
    let rules = token::rules(table, audiences.unwrap_or(Audiences::OneOf(Vec::new())));
    if table.faults().errors() > faults {
        return None;
    }
    let endpoint = endpoint?;
    let signed_by = match signed_by {
        // A signer with faults of its own.
        Some(None) => return None,
        signed_by => signed_by.flatten(),
    };
    let signer = || signed_by.as_ref().map(|signer| signer.issuer.to_string());
    let issuer = issuer.flatten().or_else(signer).unwrap_or_else(|| endpoint.origin());
    Some(IntrospectionSettings {
        name: name.clone(),
        endpoint,
        issuer: Issuer::new(issuer),
        client: client?,
        signed_by,
        prefix: prefix.map(|prefix| prefix.value.into()),
        token: rules,
        cache,
        outbound: calls,
    })
}

/// Reads the name of the issuer that signs the answers.
fn signer(value: &Value<'_>, issuers: &Issuers) -> Option<IssuerSettings> {
    let text = value.string()?;
    let known = issuers.iter().find(|(name, _)| name.value.as_str() == text);
    if known.is_none() {
        let names: Vec<_> = issuers.iter().map(|(name, _)| name.value.as_str()).collect();
        value.fault(format!("there is no [issuer.{text}]"), format!("known are: {}", names.join(", ")));
    }
    known?.1.clone()
}

const fn default_cache() -> IntrospectionCache {
    IntrospectionCache {
        positive: POSITIVE,
        negative: NEGATIVE,
        max_entries: MAX_ENTRIES,
        stale_if_error: Duration::ZERO,
    }
}

fn read_cache(table: &Table<'_>) -> IntrospectionCache {
    let default = default_cache();
    let up_to = |key, most| outbound::duration(table, key, Duration::ZERO, most);
    IntrospectionCache {
        positive: up_to("positive", HOUR).unwrap_or(default.positive),
        negative: up_to("negative", HOUR).unwrap_or(default.negative),
        max_entries: table
            .get("max_entries")
            .and_then(|value| value.integer(1, 10_000_000))
            .unwrap_or(default.max_entries),
        stale_if_error: up_to("stale_if_error", 24 * HOUR).unwrap_or(default.stale_if_error),
    }
}

#[cfg(test)]
mod tests;
