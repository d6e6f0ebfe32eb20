//! Reads `exchange`: where the client's token is exchanged for one that is the service's own (RFC 8693).

use std::path::Path;
use std::time::Duration;

use super::super::reader::Table;
use super::super::{client, outbound, token};
use crate::upstream::TokenExchangeSettings;

const CACHE: Duration = Duration::from_secs(300);
const MOST_CACHE: Duration = Duration::from_secs(3600);

/// Reads `exchange` of an upstream.
pub(super) fn read(upstream: &Table<'_>, base: &Path) -> Option<TokenExchangeSettings> {
    let table = upstream.table("exchange")?;
    let plain = outbound::plain_http(&table);
    let endpoint = table.require("url").and_then(|value| outbound::endpoint(&value, plain));
    let mut calls = outbound::read(&table, base);
    let asker = table.require("client").and_then(|value| client::read(&value, base, endpoint.as_ref(), &mut calls));
    let audience = table.require("audience").and_then(|value| token::not_empty(&value));
    let scope = table.get("scope").map(|value| token::not_empty(&value));
    let cache = outbound::duration(&table, "cache", Duration::ZERO, MOST_CACHE);
    Some(TokenExchangeSettings {
        endpoint: endpoint?,
        client: asker?,
        audience: audience?.into(),
        scope: scope.flatten().map(Box::from),
        cache: cache.unwrap_or(CACHE),
        outbound: calls,
    })
}
