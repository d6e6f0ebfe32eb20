//! `[[test]]`: a request described in TOML, and what must become of it. Also read from a file by `policy explain`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};

use super::super::fault::Located;
use super::super::reader::{Table, Value, closest};
use super::names::Names;
use super::peer::fingerprint;
use crate::identity::{ClaimForm, Claims, Name, PeerFacts, Principal, Reason, Rendered, Scope, SpiffeId, TokenFacts};
use crate::policy::case::Case;
use crate::policy::trial::{Expected, Trial};
use crate::request::{CanonicalPath, Host};

/// When a test takes place that does not say: a Wednesday noon.
const DEFAULT_NOW: &str = "2026-01-14T12:00:00Z";
/// Where a request comes from that does not say: an address that belongs to nobody (RFC 5737).
const DEFAULT_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Reads the tests of one file.
pub(super) fn read_all(root: &Table<'_>, names: &Names<'_>, rules: &HashSet<Name>) -> Vec<Trial> {
    root.tables("test").iter().filter_map(|table| read(table, names, rules)).collect()
}

fn read(table: &Table<'_>, names: &Names<'_>, rules: &HashSet<Name>) -> Option<Trial> {
    let name = table.require("name").and_then(|value| value.located());
    let case = read_case(table, names);
    let expect = table.require("expect").and_then(|value| value.table("`expect`".into()));
    let expected = expect.and_then(|expect| read_expected(&expect, names, rules));
    let Located { value: name, at } = name?;
    let origin = format!("{}:{}", at.source.path.display(), at.line_column().0);
    Some(Trial { name, origin, case: case?, expected: expected? })
}

/// Reads a described request: `request`, `token`, `device`, `workload`, `source`, `now`.
pub(super) fn read_case(table: &Table<'_>, names: &Names<'_>) -> Option<Case> {
    let now = table.get("now");
    let at = match now {
        None => DEFAULT_NOW.parse().ok(),
        Some(value) => moment(&value),
    };
    let request = table.require("request").and_then(|value| value.table("`request`".into()));
    let request = request.and_then(|request| read_request(&request));
    let at_or_default = at.unwrap_or_default();
    let token = table.table("token").map(|token| read_token(&token, names, at_or_default));
    let device = table.table("device").map(|device| read_peer(&device, names, at_or_default));
    let workload = table.get("workload");
    if let (Some(workload), Some(_)) = (&workload, &device) {
        workload.fault("`device` and `workload` read the same certificate; describe it once", None);
    }
    let workload = workload.and_then(|value| value.table("[workload]".into()));
    let peer = device.or_else(|| workload.map(|workload| read_peer(&workload, names, at_or_default)));
    let source = table.get("source").map_or(Some(DEFAULT_SOURCE), |value| address(&value));
    let (method, host, path, query, headers) = request?;
    let token = match token {
        Some(read) => Some(read?),
        None => None,
    };
    let peer = match peer {
        Some(read) => read?,
        None => None,
    };
    Some(Case { method, host, path, query, headers, token, peer, source: source?, at: at? })
}

type Request = (Method, Host, CanonicalPath, Option<Box<str>>, HeaderMap);

fn read_request(table: &Table<'_>) -> Option<Request> {
    let method = table.get("method").map_or(Some(Method::GET), |value| {
        let text = value.string()?;
        let method = Method::from_bytes(text.as_bytes()).ok();
        if method.is_none() {
            value.fault(format!("`{text}` is no method"), None);
        }
        method
    });
    let host = table.require("host").and_then(|value| {
        let text = value.string()?;
        Host::parse(&text).map_err(|error| value.fault(format!("`{text}` is no host: {error}"), None)).ok()
    });
    let path = table.require("path").and_then(|value| {
        let text = value.string()?;
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text.as_str(), None),
        };
        let parsed = CanonicalPath::parse(path);
        let fault = |error| value.fault(format!("such a request is refused before any rule: {error}"), None);
        Some((parsed.map_err(fault).ok()?, query.map(Box::from)))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in table.table("headers").map(|table| table.named_entries()).unwrap_or_default() {
        let values = if value.is_list() { value.strings() } else { value.located().into_iter().collect() };
        for text in values {
            let header = HeaderName::from_bytes(name.value.as_bytes()).ok();
            match header.zip(HeaderValue::from_bytes(text.value.as_bytes()).ok()) {
                Some((header, text)) => {
                    headers.append(header, text);
                }
                None => value.faults().error(&text.at, format!("`{}` is no header field", name.value), None),
            }
        }
    }
    let (path, query) = path?;
    Some((method?, host?, path, query, headers))
}

/// The token of a test. What the rules know by another name stands under that name; every other claim under `claims`.
fn read_token(table: &Table<'_>, names: &Names<'_>, now: Timestamp) -> Option<TokenFacts> {
    let ago = |key| table.get(key).and_then(|value: Value<'_>| value.duration());
    let source = table.require("issuer").and_then(|value| names.token_source(&value.located()?, &value));
    let sub = table.get("sub").map_or_else(|| Some("somebody".into()), |value| value.string());
    let strings = |key| table.get(key).map(|value: Value<'_>| strings(&value));
    let groups = table.get("groups");
    let (scopes, amr) = (strings("scopes"), strings("amr"));
    let client_id = table.get("client_id").and_then(|value| value.string());
    let acr = table.get("acr").and_then(|value| value.string());
    let signed_in = ago("signed_in_ago");
    let issued = ago("issued_ago").unwrap_or_default();
    let lives = ago("lives").unwrap_or(std::time::Duration::from_secs(3600));
    let mut claims = serde_json::Map::new();
    for (name, value) in table.table("claims").map(|table| table.named_entries()).unwrap_or_default() {
        claims.insert(name.value, value.json());
    }
    let before = |ago| now.checked_sub(SignedDuration::try_from(ago).unwrap_or_default()).unwrap_or(now);
    let issued_at = before(issued);
    let groups_claim = match &groups {
        None => ClaimForm::Absent,
        Some(value) if value.is_list() => ClaimForm::Stated,
        Some(_) => ClaimForm::Other,
    };
    let groups = groups.filter(Value::is_list).map(|value| strings_of(&value)).unwrap_or_default();
    state_standard_claims(table, &mut claims, issued_at, signed_in.map(before));
    let source = source?;
    let issuer = names.vocabulary().token_sources.get(&source)?.clone();
    let subject: Arc<str> = sub?.into();
    Some(TokenFacts {
        source,
        principal: Principal { issuer, subject },
        client_id: client_id.map(Into::into),
        audiences: Vec::new(),
        scopes: scopes.unwrap_or_default().into_iter().map(Scope::new).collect(),
        groups: groups.into_iter().map(Into::into).collect(),
        groups_claim,
        acr: acr.map(Into::into),
        amr: amr.unwrap_or_default().into_iter().map(Into::into).collect(),
        auth_time: signed_in.map(before),
        issued_at: Some(issued_at),
        expires_at: issued_at.checked_add(SignedDuration::try_from(lives).unwrap_or_default()).unwrap_or(now),
        id: None,
        confirmation: None,
        claims: Claims::from(claims),
        recorded: Rendered::default(),
    })
}

/// A token carries these as claims too, and an expression may read them there.
fn state_standard_claims(
    table: &Table<'_>,
    claims: &mut serde_json::Map<String, serde_json::Value>,
    issued_at: Timestamp,
    auth_time: Option<Timestamp>,
) {
    for key in ["sub", "groups", "client_id", "acr", "amr"] {
        if let Some(value) = table.get(key) {
            claims.entry(key).or_insert_with(|| value.json());
        }
    }
    if let Some(value) = table.get("scopes") {
        claims.entry("scope").or_insert_with(|| strings(&value).join(" ").into());
    }
    claims.entry("iat").or_insert_with(|| issued_at.as_second().into());
    if let Some(time) = auth_time {
        claims.entry("auth_time").or_insert_with(|| time.as_second().into());
    }
}

fn strings(value: &Value<'_>) -> Vec<String> {
    if value.is_string() { value.string().into_iter().collect() } else { strings_of(value) }
}

fn strings_of(value: &Value<'_>) -> Vec<String> {
    value.strings().into_iter().map(|text| text.value).collect()
}

/// The certificate of a test; `none = true` is no certificate.
#[expect(clippy::option_option, reason = "the outer one is a fault, the inner one a certificate that was not shown")]
fn read_peer(table: &Table<'_>, names: &Names<'_>, now: Timestamp) -> Option<Option<PeerFacts>> {
    let none = table.get("none").and_then(|value| value.bool()).unwrap_or(false);
    let trust = table.get("trust").map(|value| names.trust(&value.located()?, &value));
    let spiffe_id = table.get("spiffe_id").map(|value| {
        let text = value.string()?;
        SpiffeId::parse(&text).map_err(|error| value.fault(format!("`{text}` is no SPIFFE ID: {error}"), None)).ok()
    });
    let text = |key, default: &str| -> Box<str> {
        table.get(key).and_then(|value| value.string()).map_or_else(|| default.into(), String::into_boxed_str)
    };
    let list = |key| -> Vec<Box<str>> {
        let values = table.get(key).map(|value: Value<'_>| strings(&value)).unwrap_or_default();
        values.into_iter().map(String::into_boxed_str).collect()
    };
    let algorithms = [("ec", "ec"), ("ed25519", "ed25519"), ("rsa", "rsa")];
    let key_algorithm = table.get("key_algorithm").and_then(|value| value.choice(&algorithms)).unwrap_or("ec");
    let print = table.get("fingerprint").map(|value| {
        let text = value.string()?;
        let print = fingerprint(&text);
        if print.is_none() {
            value.fault(format!("`{text}` is no fingerprint"), None);
        }
        print
    });
    let (subject, issuer, serial) = (text("subject", "CN=test"), text("issuer", "CN=test CA"), text("serial", "1"));
    let (dns_names, mut uris, emails) = (list("dns"), list("uri"), list("email"));
    if none {
        return Some(None);
    }
    let trust = match trust {
        Some(named) => named?,
        // With one bundle there is no question; with several a test must say.
        None => match names.vocabulary().trusts {
            [only] => only.clone(),
            _ => {
                table.faults().error(&table.at(), "say which `trust` verified this certificate", None);
                return None;
            }
        },
    };
    let spiffe_id = match spiffe_id {
        Some(id) => Some(id?),
        None => None,
    };
    uris.extend(spiffe_id.iter().map(|id| id.as_str().into()));
    Some(Some(PeerFacts {
        trust,
        spiffe_id,
        subject,
        issuer,
        dns_names,
        uris,
        emails,
        serial,
        key_algorithm,
        not_before: now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(now),
        not_after: now.checked_add(SignedDuration::from_hours(24)).unwrap_or(now),
        fingerprint: match print {
            Some(print) => print?,
            None => [0; 32],
        },
        der: Arc::from([].as_slice()),
    }))
}

fn read_expected(table: &Table<'_>, names: &Names<'_>, rules: &HashSet<Name>) -> Option<Expected> {
    let decision = table.require("decision").and_then(|value| value.choice(&[("allow", true), ("deny", false)]));
    let route = table.get("route").map(|value| names.route(&value.located()?, &value));
    let reason = table.get("reason").map(|value| {
        let choices: Vec<_> = Reason::ALL.iter().map(|reason| (reason.code(), *reason)).collect();
        let text = value.string()?;
        let found = choices.iter().find(|(code, _)| *code == text).map(|(_, reason)| *reason);
        if found.is_none() {
            value.fault(format!("there is no reason `{text}`"), closest(&text, choices.iter().map(|(code, _)| *code)));
        }
        found
    });
    let rule = table.get("rule").map(|value| {
        let text = value.string()?;
        let name = Name::new(text.as_str());
        let known = rules.contains(&name);
        if !known {
            value.fault(format!("there is no rule `{text}`"), closest(&text, rules.iter().map(Name::as_str)));
        }
        known.then_some(name)
    });
    let advice = table.get("advice").and_then(|value| value.string());
    let (allowed, reason) = (decision?, optional(reason)?);
    if allowed && reason.is_some() {
        table.faults().error(&table.at(), "an allowed request has no reason", None);
    }
    Some(Expected { allowed, route: optional(route)?, reason, rule: optional(rule)?, advice })
}

/// A value that may be absent but not wrong.
#[expect(clippy::option_option, reason = "the outer one is absence, the inner one a fault")]
fn optional<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}

fn address(value: &Value<'_>) -> Option<IpAddr> {
    let text = value.string()?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        value.fault(format!("`{text}` is no address"), String::from("write \"192.0.2.7\" or \"2001:db8::7\""));
    }
    parsed
}

fn moment(value: &Value<'_>) -> Option<Timestamp> {
    let text = value.json();
    let parsed = text.as_str().and_then(|text| text.parse().ok());
    if parsed.is_none() {
        value.fault(format!("{text} is no moment in time"), String::from("write \"2026-03-01T12:00:00+01:00\""));
    }
    parsed
}
