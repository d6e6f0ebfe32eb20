//! Who asks, written into header fields that the service can trust.
//!
//! A value is written as it is, or the request is refused: visible ASCII with single meaning, spaces only inside, and no
//! separator inside the element of a list. Nothing is escaped, cut or replaced, for two people must never look like one.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::identity::{PeerFacts, TokenFacts};
use crate::upstream::assertion::Speaker;
use crate::upstream::error::ForwardError;
use crate::upstream::settings::{IdentityHeaders, IdentityValue};

/// Longer values are refused: services cap their heads.
pub(in crate::upstream) const LONGEST: usize = 8 * 1024;

/// Sets every identity header for which there is something to say. The client's own are gone already.
pub(super) fn set(
    headers: &mut HeaderMap,
    wanted: &IdentityHeaders,
    speaker: &Speaker<'_>,
) -> Result<(), ForwardError> {
    let (token, peer) = (speaker.token.map(|facts| &**facts), speaker.peer.map(|facts| &**facts));
    for (name, value) in &wanted.fields {
        if let IdentityValue::Assertion(audience) = value {
            if let Some(assertion) = speaker.assertion(audience).map_err(|()| not_encodable(name))? {
                headers.insert(name.clone(), assertion);
            }
            continue;
        }
        let separator = wanted.separator.as_char();
        let text = text_of(value, separator, token, peer).map_err(|()| not_encodable(name))?;
        if let Some(text) = text {
            headers.insert(name.clone(), encode(&text).ok_or_else(|| not_encodable(name))?);
        }
    }
    Ok(())
}

fn not_encodable(header: &HeaderName) -> ForwardError {
    ForwardError::IdentityNotEncodable { header: header.clone() }
}

fn text_of(
    value: &IdentityValue,
    separator: char,
    token: Option<&TokenFacts>,
    peer: Option<&PeerFacts>,
) -> Result<Option<String>, ()> {
    let of_token = |text: fn(&TokenFacts) -> Option<String>| Ok(token.and_then(text));
    match value {
        IdentityValue::User => of_token(|token| Some(token.principal.subject.to_string())),
        IdentityValue::Issuer => of_token(|token| Some(token.principal.issuer.to_string())),
        IdentityValue::Client => of_token(|token| token.client_id.as_deref().map(str::to_owned)),
        IdentityValue::Groups => joined(token.iter().flat_map(|token| &token.groups).map(|name| &**name), separator),
        IdentityValue::Scopes => {
            joined(token.iter().flat_map(|token| &token.scopes).map(crate::identity::Scope::as_str), separator)
        }
        IdentityValue::Email => of_token(verified_email),
        IdentityValue::SpiffeId => Ok(peer.and_then(|peer| peer.spiffe_id.as_ref()).map(ToString::to_string)),
        IdentityValue::CertificateSubject => Ok(peer.map(|peer| peer.subject.to_string())),
        IdentityValue::Assertion(_) => Err(()),
        IdentityValue::Claim(path) => match token.and_then(|token| token.claims.at(path)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => {
                let items = items.iter().map(|item| scalar(item).ok_or(())).collect::<Result<Vec<_>, _>>()?;
                joined(items.iter().map(String::as_str), separator)
            }
            Some(single) => scalar(single).map(Some).ok_or(()),
        },
    }
}

fn verified_email(token: &TokenFacts) -> Option<String> {
    let denied = token.claims.member("email_verified").is_some_and(|verified| verified != &Value::Bool(true));
    if denied { None } else { token.claims.member("email")?.as_str().map(str::to_owned) }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Elements in one field; none is no field at all, which is what an empty list means to the service.
fn joined<'a>(elements: impl Iterator<Item = &'a str>, separator: char) -> Result<Option<String>, ()> {
    let mut text = String::new();
    for element in elements {
        if element.contains(separator) || encode(element).is_none() {
            return Err(());
        }
        if !text.is_empty() {
            text.push(separator);
        }
        text.push_str(element);
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Visible ASCII, not empty, spaces only inside (RFC 9110 section 5.5 trims the outer ones away).
fn encode(text: &str) -> Option<HeaderValue> {
    let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    if visible && trimmed && !text.is_empty() && text.len() <= LONGEST {
        HeaderValue::from_str(text).ok()
    } else {
        None
    }
}
