//! Reads `[[listener]]` with its `[[listener.host]]`, and the listeners' share of `[limits]` and `[timeouts]`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::fault::At;
use super::reader::{Table, Value, closest};
use super::trust::Bundles;
use crate::identity::Name;
use crate::listener::{ClientPolicy, Door, HostSettings, Hsts, Limits, Settings, TlsSettings, TlsVersion, TrustBundle};
use crate::route::HostPattern;
use certificates::Place;

mod certificates;

/// Reads every `[[listener]]` below the root table as of `now`. What is wrong is left out and is a fault.
pub fn read(root: &Table<'_>, base: &Path, trust: &Bundles, now: Timestamp) -> Vec<Settings> {
    let tables = root.tables("listener");
    if tables.is_empty() {
        let hint = String::from("write a [[listener]] with a name, an address and `tls`");
        root.faults().error(&root.at(), "there is no listener", hint);
    }
    let listeners: Vec<_> =
        tables.iter().filter_map(|table| Some((read_one(table, base, trust, now)?, table.at()))).collect();
    let mut first: HashMap<String, At> = HashMap::new();
    for (settings, at) in &listeners {
        let name = format!("is named `{}`", settings.name);
        // Port 0 is another port each time.
        let address = (settings.address.port() != 0).then(|| format!("has the address {}", settings.address));
        for claim in std::iter::once(name).chain(address) {
            if let Some(earlier) = first.get(&claim) {
                root.faults().error(at, format!("a second listener {claim}"), format!("the first stands at {earlier}"));
            } else {
                first.insert(claim, at.clone());
            }
        }
    }
    listeners.into_iter().map(|(settings, _)| settings).collect()
}

/// Reads the listeners' share of `[limits]` and `[timeouts]`.
pub fn read_limits(limits: Option<&Table<'_>>, timeouts: Option<&Table<'_>>) -> Limits {
    let default = Limits::default();
    let count = |key, least, most| limits?.get(key)?.integer(least, most).and_then(|count| usize::try_from(count).ok());
    let time = |key| timeouts?.get(key)?.duration();
    Limits {
        connections: count("connections", 1, 10_000_000).unwrap_or(default.connections),
        handshakes_per_address: count("handshakes_per_address", 1, 1_000_000).unwrap_or(default.handshakes_per_address),
        header_fields: count("header_fields", 8, 1000).unwrap_or(default.header_fields),
        streams: count("streams", 1, 10_000).and_then(|count| u32::try_from(count).ok()).unwrap_or(default.streams),
        head_bytes: limits.and_then(|limits| read_head_bytes(&limits.get("head")?)).unwrap_or(default.head_bytes),
        handshake: time("handshake").unwrap_or(default.handshake),
        head: time("head").unwrap_or(default.head),
        idle: time("idle").unwrap_or(default.idle),
        stall: time("stall").unwrap_or(default.stall),
        age: time("connection_age").unwrap_or(default.age),
    }
}

fn read_head_bytes(value: &Value<'_>) -> Option<usize> {
    let bytes = value.bytes()?;
    if !(8 * 1024..=1024 * 1024).contains(&bytes) {
        value.fault("`head` must lie between 8KiB and 1MiB", None);
        return None;
    }
    usize::try_from(bytes).ok()
}

fn read_one(table: &Table<'_>, base: &Path, trust: &Bundles, now: Timestamp) -> Option<Settings> {
    let name = table.require("name").and_then(|value| value.string()).map(Name::new);
    let address = table.require("address").and_then(|value| value.socket_address());
    let tls = table.get("tls");
    let redirect = table.get("redirect");
    let redirect_port = table.get("redirect_port").and_then(|value| value.integer(1, 65_535));
    let client = table.get("client_certificates").map(|value| (read_policy(&value, trust), value.at()));
    let proxy_protocol = networks(table, "proxy_protocol");
    let trusted_proxies = networks(table, "trusted_proxies");
    let hosts: Vec<_> = table.tables("host").iter().map(|table| (read_host(table, trust), table.at())).collect();
    let door = match (tls, redirect) {
        (Some(tls), None) if tls.is_string() => {
            let asking = client.iter().map(|(_, at)| at).chain(hosts.iter().map(|(_, at)| at)).next();
            if let Some(at) = asking {
                table.faults().error(at, "a listener without TLS cannot ask for certificates", None);
            }
            tls.choice(&[("off", ())]).map(|()| Door::Plain)
        }
        (Some(tls), None) => {
            let place = Place { base, listener: name.as_ref(), now };
            read_tls(&tls, client.map(|(policy, _)| policy), hosts, &place).map(Door::Tls)
        }
        (None, Some(redirect)) => redirect
            .choice(&[("https", ())])
            .map(|()| Door::Redirect { port: redirect_port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443) }),
        (Some(_), Some(redirect)) => {
            redirect.fault("a listener either speaks TLS or redirects to one that does", None);
            None
        }
        (None, None) => {
            let hint = "write tls = { certificates = [{ chain = \"...\", key = \"...\" }] }, or tls = \"off\" for HTTP in the clear";
            table.faults().error(&table.at(), "this [[listener]] has no `tls`", String::from(hint));
            None
        }
    };
    Some(Settings { name: name?, address: address?, door: door?, proxy_protocol, trusted_proxies })
}

fn networks(table: &Table<'_>, key: &'static str) -> Vec<IpNet> {
    let Some(value) = table.get(key) else { return Vec::new() };
    value.list().iter().filter_map(Value::network).collect()
}

/// Policies and hosts that are wrong come as `None`: their faults are recorded, and there is no listener then.
fn read_tls(
    tls: &Value<'_>,
    client: Option<Option<ClientPolicy>>,
    hosts: Vec<(Option<HostSettings>, At)>,
    place: &Place<'_>,
) -> Option<TlsSettings> {
    let table = tls.table(String::from("`tls`"))?;
    let certificates = table.require("certificates").map(|value| (certificates::read(&value, place), value));
    let versions = &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let least = table.get("min_version").map(|value| value.choice(versions));
    let hsts = table.get("hsts").and_then(|value| read_hsts(&value));
    // A value of another kind is a fault.
    let resumption = table.get("resumption").and_then(|value| value.bool()).unwrap_or(true);
    let (certificates, place) = certificates?;
    if certificates.as_ref().is_some_and(Vec::is_empty) {
        place.fault("`certificates` is empty: TLS needs one at least", None);
        return None;
    }
    Some(TlsSettings {
        certificates: certificates?,
        least: least.unwrap_or(Some(TlsVersion::Tls12))?,
        client: client.unwrap_or(Some(ClientPolicy::Off))?,
        hosts: distinct(hosts, tls)?,
        hsts,
        resumption,
    })
}

/// A span, or a table that says more. What the lists of browsers ask for stands in <https://hstspreload.org>.
fn read_hsts(value: &Value<'_>) -> Option<Hsts> {
    if value.is_string() {
        return value.duration().map(|max_age| Hsts { max_age, subdomains: false, preload: false });
    }
    let table = value.table(String::from("`hsts`"))?;
    let max_age = table.require("max_age").and_then(|value| value.duration());
    let flag = |key| table.get(key).and_then(|value| value.bool()).unwrap_or(false);
    let (subdomains, preload) = (flag("include_subdomains"), flag("preload"));
    let hsts = Hsts { max_age: max_age?, subdomains, preload };
    if hsts.preload && (!hsts.subdomains || hsts.max_age < YEAR) {
        let hint = String::from("write max_age = \"365d\" or more, and include_subdomains = true");
        value.fault("`preload` asks for a year at least and for every host below: browsers take no less", hint);
        return None;
    }
    Some(hsts)
}

/// What `preload` asks for at least.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A host pattern may stand in one place only: two policies for it would contradict each other.
fn distinct(hosts: Vec<(Option<HostSettings>, At)>, tls: &Value<'_>) -> Option<Vec<HostSettings>> {
    let mut first: HashMap<Box<str>, At> = HashMap::new();
    let mut all = Vec::new();
    for (host, at) in hosts {
        let host = host?;
        for name in &host.names {
            if let Some(earlier) = first.insert(name.clone(), at.clone()) {
                let message = format!("a second [[listener.host]] is for `{name}`");
                tls.faults().error(&at, message, format!("the first stands at {earlier}"));
                return None;
            }
        }
        all.push(host);
    }
    Some(all)
}

fn read_host(table: &Table<'_>, trust: &Bundles) -> Option<HostSettings> {
    let names = table.require("names").map(|value| value.strings()).unwrap_or_default();
    let client = table.require("client_certificates").and_then(|value| read_policy(&value, trust));
    let mut patterns: Vec<Box<str>> = Vec::new();
    for name in names {
        match HostPattern::parse(&name.value) {
            Ok(HostPattern::Every) => {
                let hint = String::from("the listener's own `client_certificates` is for every other host");
                table.faults().error(&name.at, "`**` is every host", hint);
                return None;
            }
            Ok(pattern) => patterns.push(pattern.to_string().into()),
            Err(error) => {
                table.faults().error(&name.at, format!("`{}`: {error}", name.value), None);
                return None;
            }
        }
    }
    if patterns.is_empty() {
        table.faults().error(&table.at(), "this [[listener.host]] names no host", None);
        return None;
    }
    Some(HostSettings { names: patterns, client: client? })
}

#[derive(Clone, Copy)]
enum Mode {
    Required,
    Optional,
    Off,
}

fn read_policy(value: &Value<'_>, trust: &Bundles) -> Option<ClientPolicy> {
    let modes = &[("required", Mode::Required), ("optional", Mode::Optional), ("off", Mode::Off)];
    let table = value.table(String::from("`client_certificates`"))?;
    let mode = table.require("mode").and_then(|value| value.choice(modes));
    let named = table.get("trust").map(|value| read_trust(&value, trust));
    match (mode?, named) {
        (Mode::Off, None) => Some(ClientPolicy::Off),
        (Mode::Off, Some(_)) => {
            value.fault("mode = \"off\" asks for no certificate, so it needs no `trust`", None);
            None
        }
        (_, None) => {
            let hint = String::from("write trust = [\"NAME\"] with a [trust.NAME] that says who signs them");
            value.fault("`client_certificates` does not say whose certificates count", hint);
            None
        }
        (Mode::Required, Some(trust)) => trust.map(ClientPolicy::Required),
        (Mode::Optional, Some(trust)) => trust.map(ClientPolicy::Optional),
    }
}

/// `None` when a bundle is not known or could not be loaded, or none is named.
fn read_trust(value: &Value<'_>, trust: &Bundles) -> Option<Vec<Arc<TrustBundle>>> {
    let names = value.strings();
    if names.is_empty() {
        value.fault("`trust` names nobody", None);
        return None;
    }
    let mut bundles = Vec::new();
    let mut sound = true;
    for name in names {
        match trust.get(&Name::new(name.value.as_str())) {
            Some(bundle) => bundles.push(bundle.clone()),
            None => {
                let hint = closest(&name.value, trust.keys().map(Name::as_str));
                let message = format!("there is no [trust.{}] that could be loaded", name.value);
                value.faults().error(&name.at, message, hint);
                sound = false;
            }
        }
    }
    sound.then_some(bundles)
}
