//! Reads how an identity provider is called: the keys that `[issuer.NAME]` and `[introspection.NAME]` have in common.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::reader::{Table, Value};
use crate::outbound::{Endpoint, EndpointError, Outbound, OutboundSettings, PlainHttp, Roots};

/// The longest deadline of a call.
const MOST_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads `ca`, `connect_timeout` and `timeout`.
pub(super) fn read(table: &Table<'_>, base: &Path) -> OutboundSettings {
    let default = OutboundSettings::default();
    let ca = table.get("ca");
    let roots = ca.map(|value| certificates(&value, base));
    let between = |key, default| duration(table, key, Duration::from_millis(1), MOST_TIMEOUT).unwrap_or(default);
    let settings = OutboundSettings {
        roots: roots.map_or(Roots::System, Roots::Only),
        connect_timeout: between("connect_timeout", default.connect_timeout),
        timeout: between("timeout", default.timeout),
        ..default
    };
    if let (Some(ca), Err(error)) = (ca, Outbound::new(&settings)) {
        ca.fault(error.to_string(), None);
    }
    settings
}

/// Reads `insecure_http`.
pub(super) fn plain_http(table: &Table<'_>) -> PlainHttp {
    let anywhere = table.get("insecure_http").and_then(|value| value.bool()).unwrap_or_default();
    if anywhere { PlainHttp::Anywhere } else { PlainHttp::Loopback }
}

/// Reads an address that is called.
pub(super) fn endpoint(value: &Value<'_>, plain: PlainHttp) -> Option<Endpoint> {
    endpoint_at(value, &value.string()?, plain)
}

/// Reads an address whose text was read before.
pub(super) fn endpoint_at(value: &Value<'_>, text: &str, plain: PlainHttp) -> Option<Endpoint> {
    let parsed = Endpoint::parse(text, plain);
    parsed
        .map_err(|error| {
            let hint = match error {
                EndpointError::PlainHttp => "use https, or say `insecure_http = true` where the network is trusted",
                _ => "write \"https://login.corp.example\"",
            };
            value.fault(format!("`{text}`: {error}"), String::from(hint));
        })
        .ok()
}

/// Reads the certificates of a PEM file; one at least.
pub(super) fn certificates(value: &Value<'_>, base: &Path) -> Vec<CertificateDer<'static>> {
    let Some(path) = value.path(base) else { return Vec::new() };
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => {
            value.faults().unreadable(Some(&value.at()), &path, &error);
            return Vec::new();
        }
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.unwrap_or_default();
    if certificates.is_empty() {
        let hint = String::from("a PEM file starts with -----BEGIN CERTIFICATE-----");
        value.fault(format!("`{}` holds no certificate", path.display()), hint);
    }
    certificates
}

/// Reads a span of time within bounds, both included.
pub(super) fn duration(table: &Table<'_>, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
    let value = table.get(key)?;
    let duration = value.duration()?;
    if duration < least || duration > most {
        let message = format!("`{key}` must lie between {} and {}", written(least), written(most));
        value.fault(message, None);
        return None;
    }
    Some(duration)
}

fn written(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds if milliseconds % 1000 != 0 => format!("{milliseconds}ms"),
        milliseconds => format!("{}s", milliseconds / 1000),
    }
}
