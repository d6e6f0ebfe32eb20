//! Reads `endpoints`: URLs, each alone or with a weight.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::reader::{Table, Value};
use super::Spoken;
use crate::upstream::settings::{Address, EndpointSettings};

pub(super) fn read(table: &Table<'_>, protocol: Spoken) -> Vec<EndpointSettings> {
    let Some(list) = table.require("endpoints") else { return Vec::new() };
    let mut endpoints: Vec<EndpointSettings> = Vec::new();
    let items = list.list();
    if items.is_empty() {
        list.fault("`endpoints` is empty", String::from("write at least one, such as [\"https://10.0.0.11:8443\"]"));
    }
    for item in &items {
        let Some((url, endpoint)) = one(item) else { continue };
        if endpoints.iter().any(|other| other.url == endpoint.url) {
            url.fault(format!("`{}` is listed twice", endpoint.url), String::from("give one entry a `weight` instead"));
        }
        match protocol {
            Spoken::H2 if !endpoint.encrypted => url.fault(
                format!("`{}` is not encrypted, so that HTTP/2 cannot be agreed on", endpoint.url),
                String::from("write protocol = \"h2c\" when the service speaks HTTP/2 without TLS"),
            ),
            Spoken::H2c if endpoint.encrypted => url.fault(
                format!("`{}` is encrypted, and \"h2c\" is HTTP/2 without TLS", endpoint.url),
                String::from("write protocol = \"h2\""),
            ),
            _ => {}
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn one<'a>(item: &Value<'a>) -> Option<(Value<'a>, EndpointSettings)> {
    let (url, weight) = if item.is_table() {
        let table = item.table(String::from("this endpoint"))?;
        let url = table.require("url");
        (url?, super::number(&table, "weight", 1, 10_000).unwrap_or(1))
    } else {
        (*item, 1)
    };
    let text = url.string()?;
    match parse(&text) {
        Some((address, encrypted)) => {
            Some((url, EndpointSettings { url: Arc::from(text), address, encrypted, weight }))
        }
        None => {
            url.fault(
                format!("`{text}` is no endpoint"),
                String::from(
                    "write \"https://HOST:PORT\", \"http://HOST:PORT\" or \"http+unix:/path/to/socket\", and no path",
                ),
            );
            None
        }
    }
}

/// Where a URL leads, and whether TLS is spoken there.
pub(super) fn parse(text: &str) -> Option<(Address, bool)> {
    if let Some(path) = text.strip_prefix("http+unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return path.starts_with('/').then(|| (Address::Unix(PathBuf::from(path)), false));
    }
    let uri: http::Uri = text.parse().ok()?;
    let encrypted = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = uri.authority()?;
    let bare = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@') && !text.contains('#');
    // Not `Authority::port`, for which a port that is too large is no port.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" if encrypted => 443,
        "" => 80,
        stated => stated.strip_prefix(':')?.parse().ok()?,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (bare && port != 0 && !host.is_empty()).then(|| (Address::Tcp { host: host.into(), port }, encrypted))
}
