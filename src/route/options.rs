//! What a `[[route]]` says.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Cors, HostPattern, PathPattern, PrefixRewrite};
use crate::identity::{Name, occurrences};
use crate::request::PathForms;

/// One checked `[[route]]`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, which rules and records use.
    pub name: Name,
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods.
    pub methods: Methods,
    /// Header fields that must be there for the route to be meant.
    pub headers: Vec<HeaderCondition>,
    /// Where requests go.
    pub upstream: Name,
    /// What becomes of the path; `None`: it is forwarded as it arrived.
    pub prefix_rewrite: Option<PrefixRewrite>,
    /// The token sources that count here: `[issuer.NAME]` and `[introspection.NAME]`. None: only anonymous requests and
    /// client certificates.
    pub tokens: Vec<Name>,
    /// Whether 401, 403 and 405 look like the answer for an unknown path.
    pub conceal: bool,
    /// The forms of a path that the upstream is known to read as we do.
    pub admits: PathForms,
    /// Whose the `Authorization` field is.
    pub authorization: Authorization,
    /// Whether tokens must be bound to a key; `None` leaves it to the token source.
    pub binding: Option<Binding>,
    /// Which pages of other origins a browser may let read this route; `None` leaves preflights to the upstream.
    pub cors: Option<Cors>,
}

/// The methods of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Every method that intake serves.
    Any,
    /// These and no others: `HEAD` is not part of `GET`.
    These(Vec<Method>),
}

impl std::fmt::Display for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any method"),
            Self::These(methods) => {
                let words: Vec<_> = methods.iter().map(Method::as_str).collect();
                f.write_str(&words.join(", "))
            }
        }
    }
}

impl Methods {
    /// Whether `method` is among them.
    pub fn contains(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::These(methods) => methods.contains(method),
        }
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(ours), Self::These(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            _ => true,
        }
    }
}

/// A header field that a request must have: at least once, and equal each time, in whatever spelling of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCondition {
    /// Its name.
    pub name: HeaderName,
    /// Its value, byte for byte.
    pub value: HeaderValue,
}

impl HeaderCondition {
    /// Whether the request says two things of the field: services take the first, the last or both, so no route is meant.
    pub(super) fn is_contradicted(&self, headers: &HeaderMap) -> bool {
        let mut values = occurrences(headers, self.name.as_str());
        values.next().is_some_and(|first| values.any(|other| other != first))
    }

    pub(super) fn holds(&self, headers: &HeaderMap) -> bool {
        let mut values = occurrences(headers, self.name.as_str()).peekable();
        values.peek().is_some() && values.all(|value| *value == self.value)
    }
}

/// Whose the `Authorization` field is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Ours: it is the credential, and it leaves the request.
    #[default]
    Take,
    /// The upstream's: untouched, and never a credential here.
    Pass,
}

/// Whether a token must be bound to a key that the client shows (RFC 8705, RFC 9449).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Tokens that are not bound are refused.
    Required,
    /// A bound token must show its key; others are accepted.
    IfBound,
    /// A binding is not looked at.
    Off,
}
