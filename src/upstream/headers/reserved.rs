//! Which header fields a client can never send to a service (RFC 9110 section 7.6.1, and the names that services trust).
//!
//! Names are compared as a service might see them: in any case, and with every character that is no letter or digit
//! counted as `-`. CGI and its heirs turn `X-Auth-User`, `x_auth_user` and `X.Auth.User` into one variable.

use std::sync::LazyLock;

use http::header::{CONNECTION, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::Names;
use crate::request;

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

/// Fields that lead a client around the gateway (`Alt-Svc`, RFC 7838) or ask it for a proxy's credential.
const NOT_IN_ANSWERS: &[&str] = &["alt-svc", "proxy-connection", "proxy-authenticate", "proxy-authentication-info"];

static CONNECTIONS: LazyLock<Names> = LazyLock::new(|| Names::of(HOP_BY_HOP.iter().copied()));
static ANSWERS: LazyLock<Names> = LazyLock::new(|| Names::of(HOP_BY_HOP.iter().chain(NOT_IN_ANSWERS).copied()));
static TRAILERS: LazyLock<Names> = LazyLock::new(|| Names::of(NOT_IN_TRAILERS.iter().copied()));
static SPELLED: LazyLock<Names> = LazyLock::new(|| Names::of(OTHERWISE_SPELLED.iter().copied()));

/// What only the gateway may say, with the names of every identity header that any upstream is configured with: what one
/// service trusts, a client must not send to any.
#[derive(Debug)]
pub(in crate::upstream) struct Reserved(Names);

impl Reserved {
    pub(in crate::upstream) fn new<'a>(identity: impl Iterator<Item = &'a HeaderName>) -> Self {
        let fixed = HOP_BY_HOP.iter().chain(OURS).copied().chain(["content-length"]);
        Self(Names::of(fixed.chain(identity.map(HeaderName::as_str))))
    }

    /// Takes out of a request's head all that a client must not say: what belongs to its connection, what `Connection`
    /// names, what only the gateway says, and `withheld`; `owned` are the names that rules set or remove. Whether the
    /// client takes trailers.
    pub(in crate::upstream) fn strip(
        &self,
        headers: &mut HeaderMap,
        owned: &[HeaderName],
        withheld: &[HeaderName],
    ) -> bool {
        let owned = Names::of(owned.iter().map(HeaderName::as_str));
        let mut takes_trailers = false;
        sift(headers, |name, value| {
            takes_trailers |= name == TE && says_trailers(value);
            self.holds(name) || owned.hold(name) || withheld.contains(name)
        });
        takes_trailers
    }

    /// Takes out of a request's trailers what may not stand there: many services read trailers as if they were fields of
    /// the head.
    pub(in crate::upstream) fn strip_trailers(&self, trailers: &mut HeaderMap, owned: &[HeaderName]) {
        let owned = Names::of(owned.iter().map(HeaderName::as_str));
        sift(trailers, |name, _| self.holds(name) || owned.hold(name) || TRAILERS.hold(name));
    }

    /// Whether only the gateway may set the field.
    fn holds(&self, name: &HeaderName) -> bool {
        self.0.hold(name)
            || is_of_our_families(name)
            || (SPELLED.hold(name) && !OTHERWISE_SPELLED.contains(&name.as_str()))
    }
}

/// Whether a rule of the configuration may not touch `name`, because the gateway owns it.
pub fn is_owned(name: &HeaderName) -> bool {
    let fixed = Names::of(OURS.iter().copied().chain(["content-length", "trailer"]));
    name == HOST || fixed.hold(name) || CONNECTIONS.hold(name) || is_of_our_families(name)
}

/// Takes out of an answer's head what belongs to the upstream's connection, what would lead clients around the gateway,
/// and names that only the gateway uses.
pub(in crate::upstream) fn strip_response(headers: &mut HeaderMap) {
    sift(headers, |name, _| ANSWERS.hold(name) || Names::begins(name, "x-portcullis-"));
}

/// Takes out of an answer's trailers what may not stand there.
pub(in crate::upstream) fn strip_response_trailers(trailers: &mut HeaderMap) {
    let ours = Names::of(OURS.iter().copied());
    sift(trailers, |name, _| {
        CONNECTIONS.hold(name) || TRAILERS.hold(name) || ours.hold(name) || is_of_our_families(name)
    });
}

/// Takes out what `goes`, and `Connection` with the fields that it names, in any case: they are of this connection only.
/// One look at each field that is there costs less than to ask for each that might be.
fn sift(headers: &mut HeaderMap, mut goes: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
    let (mut gone, mut has_connection) = (Vec::new(), false);
    for (name, value) in headers.iter() {
        if name == CONNECTION {
            has_connection = true;
            gone.extend(named(value));
        } else if goes(name, value) {
            gone.push(name.clone());
        }
    }
    if has_connection {
        headers.remove(CONNECTION);
    }
    for name in gone {
        headers.remove(name);
    }
}

/// The fields that a `Connection` names.
fn named(connection: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    // What nearly every server says names no field that is not taken out anyway.
    let usual = [b"keep-alive".as_slice(), b"close"].contains(&connection.as_bytes());
    let names = if usual { &[] } else { connection.as_bytes() };
    names.split(|byte| *byte == b',').filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
}

fn says_trailers(te: &HeaderValue) -> bool {
    te.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether it is of a family that only the gateway, or what stands before it, may say.
fn is_of_our_families(name: &HeaderName) -> bool {
    request::is_reserved(name) || OUR_FAMILIES.iter().any(|family| Names::begins(name, family))
}
