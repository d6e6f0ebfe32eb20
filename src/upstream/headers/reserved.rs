//! Which header fields a client can never send to a service (RFC 9110 section 7.6.1, and the names that services trust).
//!
//! Names are compared as a service might see them: in any case, and with every character that is no letter or digit
//! counted as `-`. CGI and its heirs turn `X-Auth-User`, `x_auth_user` and `X.Auth.User` into one variable.

use std::collections::HashSet;

use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName};

use crate::request;

/// Longer names are compared with nothing: no name that means something is that long.
const LONGEST: usize = 64;

/// Fields of one connection, never forwarded.
const HOP_BY_HOP: &[&str] =
    &["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "http2-settings", "expect"];

/// Fields that only the gateway sets, besides those that intake takes out: a trailer never passed there.
const OURS: &[&str] = &["x-request-id"];

/// Whole families of such fields.
const OUR_FAMILIES: &[&str] = &["proxy-"];

/// Fields that are the client's own, or settled by intake, but not in another spelling: for readers that fold the
/// spelling, a second one would stand beside the first.
const OTHERWISE_SPELLED: &[&str] = &["content-type", "content-encoding", "traceparent", "tracestate"];

/// Fields that frame or route a message or say who sends it: never in a trailer (RFC 9110 section 6.5.1).
const NOT_IN_TRAILERS: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "trailer",
    "authorization",
    "dpop",
    "traceparent",
    "tracestate",
    "cookie",
    "set-cookie",
    "cache-control",
    "max-forwards",
    "range",
    "if-match",
    "if-none-match",
    "www-authenticate",
    "location",
    "age",
    "date",
    "expires",
    "vary",
    "warning",
    "retry-after",
];

/// The names of every identity header that any upstream is configured with: what one service trusts, a client must not
/// send to any.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Reserved(HashSet<Box<[u8]>>);

impl Reserved {
    pub(in crate::upstream) fn new<'a>(identity: impl Iterator<Item = &'a HeaderName>) -> Self {
        Self(identity.map(|name| Plain::of(name).as_bytes().into()).collect())
    }

    /// Takes out of a request's head all that a client must not say: what belongs to its connection, what `Connection`
    /// names, and what only the gateway says; `owned` are the names that rules set or remove.
    pub(in crate::upstream) fn strip(&self, headers: &mut HeaderMap, owned: &[HeaderName]) {
        remove_named_by_connection(headers);
        let owned = Owned::of(owned);
        retain(headers, |plain| !self.holds(plain) && !owned.holds(plain));
    }

    /// Takes out of a request's trailers what may not stand there: many services read trailers as if they were fields of
    /// the head.
    pub(in crate::upstream) fn strip_trailers(&self, trailers: &mut HeaderMap, owned: &[HeaderName]) {
        let owned = Owned::of(owned);
        retain(trailers, |plain| !self.holds(plain) && !owned.holds(plain) && !is_one_of(plain, NOT_IN_TRAILERS));
    }

    /// Whether only the gateway may set the field.
    fn holds(&self, plain: &Plain<'_>) -> bool {
        is_hop_by_hop(plain)
            || is_ours(plain)
            || self.0.contains(plain.as_bytes())
            || is_one_of(plain, &["content-length"])
            || (plain.folded && is_one_of(plain, OTHERWISE_SPELLED))
    }
}

/// Names that rules set or remove.
struct Owned<'a>(Vec<Plain<'a>>);

impl<'a> Owned<'a> {
    fn of(names: &'a [HeaderName]) -> Self {
        Self(names.iter().map(Plain::of).collect())
    }

    fn holds(&self, plain: &Plain<'_>) -> bool {
        self.0.iter().any(|owned| owned.as_bytes() == plain.as_bytes())
    }
}

/// Whether a rule of the configuration may not touch `name`, because the gateway owns it.
pub fn is_owned(name: &HeaderName) -> bool {
    let plain = Plain::of(name);
    name == HOST || is_one_of(&plain, &["content-length", "trailer"]) || is_hop_by_hop(&plain) || is_ours(&plain)
}

/// Takes out of an answer's head what belongs to the upstream's connection, what would lead clients around the gateway
/// (`Alt-Svc`, RFC 7838), and names that only the gateway uses.
pub(in crate::upstream) fn strip_response(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    retain(headers, |plain| {
        !is_hop_by_hop(plain)
            && !is_one_of(plain, &["alt-svc", "proxy-connection", "proxy-authenticate", "proxy-authentication-info"])
            && !plain.as_bytes().starts_with(b"x-portcullis-")
    });
}

/// Takes out of an answer's trailers what may not stand there.
pub(in crate::upstream) fn strip_response_trailers(trailers: &mut HeaderMap) {
    retain(trailers, |plain| !is_hop_by_hop(plain) && !is_one_of(plain, NOT_IN_TRAILERS) && !is_ours(plain));
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&Plain<'_>) -> bool) {
    let gone: Vec<HeaderName> = headers.keys().filter(|name| !keep(&Plain::of(name))).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Fields that `Connection` names are of this connection only, in any case.
fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn is_hop_by_hop(plain: &Plain<'_>) -> bool {
    is_one_of(plain, HOP_BY_HOP)
}

fn is_ours(plain: &Plain<'_>) -> bool {
    request::is_reserved(plain.name)
        || is_one_of(plain, OURS)
        || OUR_FAMILIES.iter().any(|family| plain.as_bytes().starts_with(family.as_bytes()))
}

fn is_one_of(plain: &Plain<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| name.as_bytes() == plain.as_bytes())
}

/// A field name in the spelling in which names are compared.
struct Plain<'a> {
    name: &'a HeaderName,
    bytes: [u8; LONGEST],
    length: usize,
    /// Whether it differs from the name as it was sent.
    folded: bool,
}

impl<'a> Plain<'a> {
    /// `HeaderName` is lower case already.
    fn of(name: &'a HeaderName) -> Self {
        let text = name.as_str().as_bytes();
        let mut plain = Self { name, bytes: [0; LONGEST], length: text.len().min(LONGEST), folded: false };
        for (to, from) in plain.bytes.iter_mut().zip(text) {
            *to = if from.is_ascii_alphanumeric() { *from } else { b'-' };
            plain.folded |= *to != *from;
        }
        plain
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
