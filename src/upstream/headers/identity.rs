//! Who asks, written into header fields that the service can trust.
//!
//! A value is written as it is, or the request is refused: visible ASCII with single meaning, spaces only inside, and no
//! separator inside the element of a list. Nothing is escaped, cut or replaced, for two people must never look like one.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::identity::{PeerFacts, Scope, SpiffeId, TokenFacts};
use crate::upstream::assertion::Speaker;
use crate::upstream::error::ForwardError;
use crate::upstream::settings::{IdentityHeaders, IdentityValue, Separator};

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
        let value = value_of(value, wanted.separator, token, peer).map_err(|()| not_encodable(name))?;
        if let Some(value) = value {
            headers.insert(name.clone(), value);
        }
    }
    Ok(())
}

fn not_encodable(header: &HeaderName) -> ForwardError {
    ForwardError::IdentityNotEncodable { header: header.clone() }
}

/// `None` when there is nothing to say, an error when it cannot be said.
fn value_of(
    value: &IdentityValue,
    separator: Separator,
    token: Option<&TokenFacts>,
    peer: Option<&PeerFacts>,
) -> Result<Option<HeaderValue>, ()> {
    let of_token = |text: fn(&TokenFacts) -> Option<&str>| single(token.and_then(text));
    match value {
        IdentityValue::User => of_token(|token| Some(&token.principal.subject)),
        IdentityValue::Issuer => of_token(|token| Some(token.principal.issuer.as_str())),
        IdentityValue::Client => of_token(|token| token.client_id.as_deref()),
        IdentityValue::Groups => {
            list(token.map_or(&[][..], |token| &token.groups).iter().map(|name| &**name), separator)
        }
        IdentityValue::Scopes => {
            list(token.map_or(&[][..], |token| &token.scopes).iter().map(Scope::as_str), separator)
        }
        IdentityValue::Email => of_token(verified_email),
        IdentityValue::SpiffeId => single(peer.and_then(|peer| peer.spiffe_id.as_ref()).map(SpiffeId::as_str)),
        IdentityValue::CertificateSubject => single(peer.map(|peer| &*peer.subject)),
        IdentityValue::Assertion(_) => Err(()),
        IdentityValue::Claim(path) => match token.and_then(|token| token.claims.at(path)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => {
                let items = items.iter().map(|item| scalar(item).ok_or(())).collect::<Result<Vec<_>, _>>()?;
                list(items.iter().map(|item| &**item), separator)
            }
            Some(one) => single(Some(&scalar(one).ok_or(())?)),
        },
    }
}

fn verified_email(token: &TokenFacts) -> Option<&str> {
    let denied = token.claims.member("email_verified").is_some_and(|verified| verified != &Value::Bool(true));
    if denied { None } else { token.claims.member("email")?.as_str() }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn single(text: Option<&str>) -> Result<Option<HeaderValue>, ()> {
    let Some(text) = text else { return Ok(None) };
    if is_encodable(text) { HeaderValue::from_str(text).map(Some).map_err(drop) } else { Err(()) }
}

/// Elements in one field; none is no field at all, which is what an empty list means to the service.
fn list<'a>(elements: impl Iterator<Item = &'a str> + Clone, separator: Separator) -> Result<Option<HeaderValue>, ()> {
    let separator = separator.as_char();
    let mut length = 0;
    for element in elements.clone() {
        if element.contains(separator) || !is_encodable(element) {
            return Err(());
        }
        length += element.len() + separator.len_utf8();
    }
    // Of its very length, so that it becomes the field's value as it is.
    let mut text = String::with_capacity(length.saturating_sub(separator.len_utf8()));
    for element in elements {
        if !text.is_empty() {
            text.push(separator);
        }
        text.push_str(element);
    }
    match text.len() {
        0 => Ok(None),
        1..=LONGEST => HeaderValue::try_from(text).map(Some).map_err(drop),
        _ => Err(()),
    }
}

/// Visible ASCII, not empty, spaces only inside (RFC 9110 section 5.5 trims the outer ones away).
fn is_encodable(text: &str) -> bool {
    let visible = text.bytes().fold(true, |visible, byte| visible & matches!(byte, b' '..=b'~'));
    let trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    visible && trimmed && !text.is_empty() && text.len() <= LONGEST
}
