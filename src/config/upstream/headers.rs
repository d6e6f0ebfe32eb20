//! Reads `identity`, `request_headers` and `response_headers`.

use http::{HeaderName, HeaderValue};

use super::super::reader::{Table, Value};
use crate::identity::{ClaimPath, Name};
use crate::upstream::is_owned;
use crate::upstream::settings::{HeaderRules, IdentityHeaders, IdentityValue, Separator};

const VALUES: &[(&str, IdentityValue)] = &[
    ("user", IdentityValue::User),
    ("issuer", IdentityValue::Issuer),
    ("client", IdentityValue::Client),
    ("groups", IdentityValue::Groups),
    ("scopes", IdentityValue::Scopes),
    ("email", IdentityValue::Email),
    ("spiffe_id", IdentityValue::SpiffeId),
    ("certificate_subject", IdentityValue::CertificateSubject),
];

const SEPARATORS: &[(&str, Separator)] =
    &[(",", Separator::Comma), (";", Separator::Semicolon), ("|", Separator::Pipe)];

pub(super) fn identity(table: &Table<'_>, upstream: &Name) -> IdentityHeaders {
    let Some(identity) = table.table("identity") else { return IdentityHeaders::default() };
    let mut fields: Vec<(HeaderName, IdentityValue)> = Vec::new();
    let mut push = |value: &Value<'_>, name: HeaderName, what: IdentityValue| {
        if fields.iter().any(|(other, _)| spelled_alike(other, &name)) {
            value.fault(format!("`{name}` is given twice, or in two spellings"), None);
        } else {
            fields.push((name, what));
        }
    };
    for (key, what) in VALUES {
        if let Some(value) = identity.get(key)
            && let Some(name) = field_name(&value)
        {
            push(&value, name, what.clone());
        }
    }
    let audience = identity.get("audience").and_then(|value| value.string());
    if let Some(value) = identity.get("assertion")
        && let Some(name) = field_name(&value)
    {
        let audience = audience.as_deref().unwrap_or(upstream.as_str());
        push(&value, name, IdentityValue::Assertion(audience.into()));
    }
    if let Some(claims) = identity.table("claims") {
        for (key, value) in claims.named_entries() {
            let name = parse_name(&key.value);
            let path = value.string().map(|text| (ClaimPath::parse(&text), text));
            match (name, path) {
                (Ok(name), Some((Some(path), _))) => push(&value, name, IdentityValue::Claim(path)),
                (Err(why), _) => value.faults().error(&key.at, format!("`{}` {why}", key.value), None),
                (_, Some((None, text))) => value.fault(format!("`{text}` is no path to a claim"), None),
                (Ok(_), None) => {}
            }
        }
    }
    let separator = identity.get("separator").and_then(|value| value.choice(SEPARATORS)).unwrap_or_default();
    IdentityHeaders { fields, separator }
}

pub(super) fn rules(table: &Table<'_>, key: &'static str, identity: &IdentityHeaders) -> HeaderRules {
    let Some(rules) = table.table(key) else { return HeaderRules::default() };
    let free = |value: &Value<'_>, name: &HeaderName| {
        let ours = identity.fields.iter().any(|(other, _)| spelled_alike(other, name));
        if ours {
            value.fault(format!("`{name}` is an identity header, which only the gateway sets"), None);
        }
        !ours
    };
    let mut removed = Vec::new();
    for value in rules.get("remove").map_or_else(Vec::new, |list| list.list()) {
        if let Some(name) = field_name(&value)
            && free(&value, &name)
        {
            removed.push(name);
        }
    }
    let fields = |key: &'static str| {
        let mut fields = Vec::new();
        let Some(entries) = rules.table(key) else { return fields };
        for (name, value) in entries.named_entries() {
            let text = value.string();
            match parse_name(&name.value) {
                Err(why) => value.faults().error(&name.at, format!("`{}` {why}", name.value), None),
                Ok(name) if free(&value, &name) => match text.map(HeaderValue::try_from) {
                    Some(Ok(text)) => fields.push((name, text)),
                    Some(Err(_)) => value.fault("not a value that a header field can have", None),
                    None => {}
                },
                Ok(_) => {}
            }
        }
        fields
    };
    HeaderRules { set: fields("set"), add: fields("add"), remove: removed }
}

fn field_name(value: &Value<'_>) -> Option<HeaderName> {
    let text = value.string()?;
    match parse_name(&text) {
        Ok(name) => Some(name),
        Err(why) => {
            value.fault(format!("`{text}` {why}"), None);
            None
        }
    }
}

fn parse_name(text: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| "is no name of a header field")?;
    if is_owned(&name) { Err("is a field that the gateway itself owns") } else { Ok(name) }
}

/// Whether two names look the same to a service that folds `_` and `-`.
fn spelled_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    one.as_str().bytes().map(fold).eq(other.as_str().bytes().map(fold))
}
