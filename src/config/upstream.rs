//! Reads `[upstream.NAME]`: the services behind, and how they are spoken to.

mod endpoint;
mod exchange;
mod headers;
mod tls;

use std::path::Path;
use std::time::Duration;

use super::fault::Located;
use super::reader::{Table, Value};
use crate::identity::Name;
use crate::upstream::settings::{
    Address, AllUnwell, Balance, HealthCheck, HostHeader, OriginHeaders, Outlier, Pooling, Protocol, Settings, Timeouts,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Reads every `[upstream.NAME]` of `root`; paths count from `base`. A name without settings stands for an upstream with
/// faults, so that routes to it are not reported as well.
pub fn read(root: &Table<'_>, base: &Path, body_rate: u64) -> Vec<(Located<Name>, Option<Settings>)> {
    let Some(upstreams) = root.table("upstream") else { return Vec::new() };
    upstreams
        .named_entries()
        .into_iter()
        .map(|(name, value)| {
            let name = Located { value: Name::new(name.value), at: name.at };
            let table = value.table(format!("[upstream.{}]", name.value));
            let settings = table.and_then(|table| one(&table, &name.value, base, body_rate));
            (name, settings)
        })
        .collect()
}

fn one(table: &Table<'_>, name: &Name, base: &Path, body_rate: u64) -> Option<Settings> {
    let faults = table.faults().errors();
    let protocol = table.get("protocol").and_then(|value| protocol(&value)).unwrap_or_default();
    let endpoints = endpoint::read(table, protocol);
    let tls = tls::read(table, base, endpoints.iter().any(|endpoint| endpoint.encrypted), protocol);
    let balance = table.get("balance").and_then(|value| value.choice(BALANCES)).unwrap_or_default();
    let host = table.get("host").and_then(|value| value.choice(HOSTS)).unwrap_or_default();
    let timeouts = table.table("timeouts").map_or_else(Timeouts::default, |table| timeouts(&table));
    let pool = table.table("pool").map_or_else(Pooling::default, |table| pooling(&table));
    let identity = headers::identity(table, name);
    let token_exchange = exchange::read(table, base);
    let origin = OriginHeaders {
        forwarded: flag(table, "forwarded"),
        client_cert: flag(table, "client_cert"),
        x_forwarded_client_cert: flag(table, "x_forwarded_client_cert"),
    };
    let request_headers = headers::rules(table, "request_headers", &identity);
    let response_headers = headers::rules(table, "response_headers", &identity);
    let max_request_body = table.get("max_request_body").and_then(|value| value.bytes()).unwrap_or(MAX_REQUEST_BODY);
    let body_rate = table.get("body_rate").and_then(|value| value.bytes()).unwrap_or(body_rate);
    let retries = number(table, "retries", 0, 10).unwrap_or(2);
    let health = table.table("health").and_then(|table| health(&table));
    let outlier = table.table("outlier").map_or_else(Outlier::default, |table| outlier(&table));
    if table.faults().errors() > faults {
        return None;
    }
    Some(Settings {
        name: name.clone(),
        endpoints,
        protocol: protocol.into(),
        tls: tls?,
        balance,
        timeouts,
        pool,
        host,
        identity,
        token_exchange,
        origin,
        request_headers,
        response_headers,
        max_request_body,
        body_rate,
        retries,
        health,
        outlier,
    })
}

/// 1 GiB.
const MAX_REQUEST_BODY: u64 = 1 << 30;

const BALANCES: &[(&str, Balance)] =
    &[("least-requests", Balance::LeastRequests), ("round-robin", Balance::RoundRobin), ("subject", Balance::Subject)];

const ALL_UNWELL: &[(&str, AllUnwell)] = &[("refuse", AllUnwell::Refuse), ("try", AllUnwell::Try)];

const HOSTS: &[(&str, HostHeader)] = &[("preserve", HostHeader::Preserve), ("upstream", HostHeader::Upstream)];

/// The words of `protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spoken {
    #[default]
    Http1,
    H2,
    H2c,
    Auto,
}

impl From<Spoken> for Protocol {
    fn from(spoken: Spoken) -> Self {
        match spoken {
            Spoken::Http1 => Self::Http1,
            Spoken::H2 | Spoken::H2c => Self::Http2,
            Spoken::Auto => Self::Auto,
        }
    }
}

fn protocol(value: &Value<'_>) -> Option<Spoken> {
    value.choice(&[("http1", Spoken::Http1), ("h2", Spoken::H2), ("h2c", Spoken::H2c), ("auto", Spoken::Auto)])
}

fn flag(table: &Table<'_>, key: &'static str) -> bool {
    table.get(key).and_then(|value| value.bool()).unwrap_or(false)
}

fn number(table: &Table<'_>, key: &'static str, least: u32, most: u32) -> Option<u32> {
    let value = table.get(key)?.integer(u64::from(least), u64::from(most))?;
    u32::try_from(value).ok()
}

fn count(table: &Table<'_>, key: &'static str, most: u32) -> Option<usize> {
    usize::try_from(number(table, key, 1, most)?).ok()
}

/// A span of time that is not nothing and at most a day.
fn span(table: &Table<'_>, key: &'static str) -> Option<Duration> {
    let value = table.get(key)?;
    let span = value.duration()?;
    if span.is_zero() || span > DAY {
        value.fault(format!("`{key}` must be longer than nothing and at most a day"), None);
        return None;
    }
    Some(span)
}

fn timeouts(table: &Table<'_>) -> Timeouts {
    let usual = Timeouts::default();
    Timeouts {
        connect: span(table, "connect").unwrap_or(usual.connect),
        header: span(table, "header").unwrap_or(usual.header),
        idle: span(table, "idle").unwrap_or(usual.idle),
        tunnel_idle: span(table, "tunnel_idle").unwrap_or(usual.tunnel_idle),
        total: span(table, "total"),
    }
}

fn pooling(table: &Table<'_>) -> Pooling {
    let usual = Pooling::default();
    Pooling {
        active: count(table, "active", 1_000_000).unwrap_or(usual.active),
        idle: count(table, "idle", 1_000_000).unwrap_or(usual.idle),
        waiting: count(table, "waiting", 1_000_000).unwrap_or(usual.waiting),
        wait: span(table, "wait").unwrap_or(usual.wait),
        keep: span(table, "keep").unwrap_or(usual.keep),
        age: span(table, "age").unwrap_or(usual.age),
        streams: count(table, "streams", 10_000).unwrap_or(usual.streams),
    }
}

fn health(table: &Table<'_>) -> Option<HealthCheck> {
    let path = table.require("path").and_then(|value| path(&value));
    let host = table.get("host").and_then(|value| health_host(&value));
    let interval = span(table, "interval").unwrap_or(Duration::from_secs(5));
    let timeout = span(table, "timeout").unwrap_or(Duration::from_secs(2));
    let rise = number(table, "rise", 1, 100).unwrap_or(2);
    let fall = number(table, "fall", 1, 100).unwrap_or(3);
    let statuses = table.get("statuses").and_then(|value| statuses(&value)).unwrap_or((200, 299));
    let when_all_unwell = table.get("when_all_unwell").and_then(|value| value.choice(ALL_UNWELL)).unwrap_or_default();
    let host = host.map(Into::into);
    Some(HealthCheck { path: path?, host, interval, timeout, rise, fall, statuses, when_all_unwell })
}

fn health_host(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if text.parse::<http::uri::Authority>().is_ok() && !text.contains('@') {
        return Some(text);
    }
    value.fault(format!("`{text}` is no host"), String::from("write \"app.example\" or \"app.example:8080\""));
    None
}

fn path(value: &Value<'_>) -> Option<Box<str>> {
    let text = value.string()?;
    if text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok() {
        return Some(text.into());
    }
    value.fault(format!("`{text}` is no path"), String::from("write \"/healthz\""));
    None
}

fn statuses(value: &Value<'_>) -> Option<(u16, u16)> {
    let text = value.string()?;
    let (from, to) = text.split_once('-').unwrap_or((&text, &text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if (100..=599).contains(&from) && (from..=599).contains(&to) => Some((from, to)),
        _ => {
            value.fault(format!("`{text}` is no range of statuses"), String::from("write \"200-299\" or \"204\""));
            None
        }
    }
}

fn outlier(table: &Table<'_>) -> Outlier {
    let usual = Outlier::default();
    Outlier {
        failures: number(table, "failures", 0, 1_000).unwrap_or(usual.failures),
        eject: span(table, "eject").unwrap_or(usual.eject),
        most_percent: number(table, "most_percent", 1, 100).unwrap_or(usual.most_percent),
    }
}

/// The addresses of `endpoints` as they are written, for a look at the names of a configuration. What is none is left out.
pub(super) fn addresses(endpoints: &serde_json::Value) -> Vec<Address> {
    let stated = endpoints.as_array().map(Vec::as_slice).unwrap_or_default();
    let url = |endpoint: &serde_json::Value| endpoint.get("url").unwrap_or(endpoint).as_str().map(str::to_owned);
    stated.iter().filter_map(url).filter_map(|url| Some(endpoint::parse(&url)?.0)).collect()
}

/// The pairs of upstreams that have an address in common, however each of them spells it.
pub(super) fn alike(upstreams: &[(Name, Vec<Address>)]) -> Vec<(Name, Name)> {
    let mut pairs = Vec::new();
    for (number, (name, ours)) in upstreams.iter().enumerate() {
        let others = upstreams.iter().skip(number + 1);
        let meet = |theirs: &[Address]| ours.iter().any(|one| theirs.iter().any(|other| one.is_also(other)));
        let meeting = others.filter(|(_, theirs)| meet(theirs));
        pairs.extend(meeting.map(|(other, _)| (name.clone(), other.clone())));
    }
    pairs
}

#[cfg(test)]
mod tests;
