//! What an expression may name: the tables, their members, how a member is read, and how large it is expected to be.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::collection::{List, Map};
use super::path;
use super::query::Query;
use super::types::Type;
use super::value::Value;
use crate::identity::ClaimForm;
use crate::policy::rules::Facts;

/// What an expression may name: `request`, `token`, `device`, `workload`, `source` and `now`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    path_params: Option<BTreeSet<Box<str>>>,
}

impl Schema {
    /// Everything that a request has, and path parameters of any name.
    pub fn request() -> Self {
        Self::default()
    }

    /// Only these path parameters exist: any other name is a fault.
    #[must_use]
    pub fn with_path_params<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.path_params = Some(names.into_iter().map(Box::from).collect());
        self
    }

    /// The names of all path parameters, where they are known.
    pub(super) const fn path_params(&self) -> Option<&BTreeSet<Box<str>>> {
        self.path_params.as_ref()
    }
}

/// What an expression looks at, for lint and for telling 401 from 403.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// `token`, even if only to ask whether there is one.
    pub token: bool,
    /// `device` or `workload`.
    pub peer: bool,
    /// `source.ip`.
    pub source: bool,
    /// `now`.
    pub now: bool,
    /// `request.path_params`.
    pub path_params: bool,
    /// `request.query` or `request.raw_query`.
    pub query: bool,
    /// `request.headers`.
    pub headers: bool,
    /// The claims of the top level that it names, as in `token.claims.NAME`.
    pub claims: BTreeSet<Box<str>>,
}

/// A table of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Request,
    Token,
    Peer,
    Source,
}

/// The names that an expression starts with, and `now`.
pub(super) const ROOTS: [&str; 6] = ["request", "token", "device", "workload", "source", "now"];

impl Table {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "request" => Self::Request,
            "token" => Self::Token,
            "device" | "workload" => Self::Peer,
            "source" => Self::Source,
            _ => return None,
        })
    }

    pub(super) const fn members(self) -> &'static [Member] {
        match self {
            Self::Request => REQUEST,
            Self::Token => TOKEN,
            Self::Peer => PEER,
            Self::Source => SOURCE,
        }
    }

    pub(super) fn is_there(self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Request | Self::Source => true,
            Self::Token => facts.token.is_some(),
            Self::Peer => facts.peer.is_some(),
        }
    }
}

/// The size that a value is expected to have at most, for the static bound on cost: its own length in bytes or
/// elements, and the length of each element. Larger ones are paid for in fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) own: usize,
    pub(super) each: usize,
}

impl Size {
    /// Something of unknown shape: a claim.
    pub(super) const DYN: Self = Self { own: 256, each: 256 };

    pub(super) const fn text(bytes: usize) -> Self {
        Self { own: bytes, each: 0 }
    }
}

/// One member of a table.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) read: Read,
    pub(super) size: Size,
}

impl Member {
    /// Whether what cannot be read is there, but malformed: then it is not taken for absent either.
    pub(super) fn is_malformed(&self, facts: &Facts<'_>) -> bool {
        match self.name {
            "groups" => facts.token.is_some_and(|token| token.groups_claim == ClaimForm::Other),
            // Only a path that is no text cannot be read.
            "path" => true,
            _ => false,
        }
    }
}

/// How a member is read; `None` when it is absent.
#[derive(Clone, Debug)]
pub(super) enum Read {
    Text(for<'a> fn(&Facts<'a>) -> Option<&'a str>),
    /// Text that is written for the expression where it cannot be borrowed.
    Written(for<'a> fn(&Facts<'a>) -> Option<Cow<'a, str>>),
    Texts(for<'a> fn(&Facts<'a>) -> Option<List<'a>>),
    /// Something of a type without parts.
    Plain(Type, for<'a> fn(&Facts<'a>) -> Option<Value<'a>>),
    Params(for<'a> fn(&Facts<'a>) -> Option<Value<'a>>),
    Claims(for<'a> fn(&Facts<'a>) -> Option<Value<'a>>),
}

impl Read {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Text(_) | Self::Written(_) => Type::Text,
            Self::Texts(_) => Type::list(Type::Text),
            Self::Plain(kind, _) => kind.clone(),
            Self::Params(_) => Type::map(Type::Text, Type::Text),
            Self::Claims(_) => Type::map(Type::Text, Type::Dyn),
        }
    }

    pub(super) fn value<'a>(&self, facts: &Facts<'a>) -> Option<Value<'a>> {
        match self {
            Self::Text(read) => read(facts).map(Value::text),
            Self::Written(read) => read(facts).map(Value::written),
            Self::Texts(read) => read(facts).map(Value::List),
            Self::Plain(_, read) | Self::Params(read) | Self::Claims(read) => read(facts),
        }
    }
}

const fn text(name: &'static str, most: usize, read: for<'a> fn(&Facts<'a>) -> Option<&'a str>) -> Member {
    Member { name, read: Read::Text(read), size: Size::text(most) }
}

const fn written(name: &'static str, most: usize, read: for<'a> fn(&Facts<'a>) -> Option<Cow<'a, str>>) -> Member {
    Member { name, read: Read::Written(read), size: Size::text(most) }
}

const fn texts(
    name: &'static str,
    own: usize,
    each: usize,
    read: for<'a> fn(&Facts<'a>) -> Option<List<'a>>,
) -> Member {
    Member { name, read: Read::Texts(read), size: Size { own, each } }
}

const fn plain(name: &'static str, kind: Type, read: for<'a> fn(&Facts<'a>) -> Option<Value<'a>>) -> Member {
    Member { name, read: Read::Plain(kind, read), size: Size { own: 128, each: 1024 } }
}

static REQUEST: &[Member] = &[
    text("method", 32, |facts| Some(facts.request.method)),
    text("host", 255, |facts| Some(facts.request.host)),
    written("path", 8192, |facts| path::decoded(facts.request.path)),
    text("raw_path", 8192, |facts| Some(facts.request.path)),
    text("raw_query", 8192, |facts| facts.request.query),
    plain("query", Type::Fields, |facts| Some(Value::Map(Map::Query(Query(facts.request.query))))),
    plain("headers", Type::Fields, |facts| Some(Value::Map(Map::Headers(facts.request.headers)))),
    Member {
        name: "path_params",
        read: Read::Params(|facts| Some(Value::Map(Map::Params(facts.request.params)))),
        size: Size { own: 16, each: 1024 },
    },
];

static TOKEN: &[Member] = &[
    text("source", 64, |facts| Some(facts.token?.source.as_str())),
    text("issuer", 256, |facts| Some(facts.token?.principal.issuer.as_str())),
    text("subject", 256, |facts| Some(&facts.token?.principal.subject)),
    text("client_id", 256, |facts| facts.token?.client_id.as_deref()),
    texts("audiences", 32, 256, |facts| Some(List::Audiences(&facts.token?.audiences))),
    texts("scopes", 128, 128, |facts| Some(List::Scopes(&facts.token?.scopes))),
    texts("groups", 256, 256, |facts| {
        let token = facts.token.filter(|token| token.groups_claim == ClaimForm::Stated)?;
        Some(List::Names(&token.groups))
    }),
    text("acr", 256, |facts| facts.token?.acr.as_deref()),
    texts("amr", 16, 32, |facts| Some(List::Names(&facts.token?.amr))),
    plain("auth_time", Type::Moment, |facts| Some(Value::Moment(facts.token?.auth_time?.into()))),
    plain("issued_at", Type::Moment, |facts| Some(Value::Moment(facts.token?.issued_at?.into()))),
    plain("expires_at", Type::Moment, |facts| Some(Value::Moment(facts.token?.expires_at.into()))),
    text("id", 256, |facts| facts.token?.id.as_deref()),
    plain("bound", Type::Bool, |facts| Some(Value::Bool(facts.token?.confirmation.is_some()))),
    Member {
        name: "claims",
        read: Read::Claims(|facts| Some(Value::Map(Map::Json(facts.token?.claims.as_map())))),
        size: Size::DYN,
    },
];

static PEER: &[Member] = &[
    text("trust", 64, |facts| Some(facts.peer?.trust.as_str())),
    text("spiffe_id", 2048, |facts| Some(facts.peer?.spiffe_id.as_ref()?.as_str())),
    text("trust_domain", 255, |facts| Some(facts.peer?.spiffe_id.as_ref()?.trust_domain().as_str())),
    text("subject", 1024, |facts| Some(&facts.peer?.subject)),
    text("issuer", 1024, |facts| Some(&facts.peer?.issuer)),
    texts("dns_names", 64, 256, |facts| Some(List::Strings(&facts.peer?.dns_names))),
    texts("uris", 64, 2048, |facts| Some(List::Strings(&facts.peer?.uris))),
    texts("emails", 64, 256, |facts| Some(List::Strings(&facts.peer?.emails))),
    text("serial", 64, |facts| Some(&facts.peer?.serial)),
    text("key_algorithm", 16, |facts| Some(facts.peer?.key_algorithm)),
    written("fingerprint", 64, |facts| Some(hexadecimal(&facts.peer?.fingerprint).into())),
    plain("not_before", Type::Moment, |facts| Some(Value::Moment(facts.peer?.not_before.into()))),
    plain("not_after", Type::Moment, |facts| Some(Value::Moment(facts.peer?.not_after.into()))),
];

static SOURCE: &[Member] = &[plain("ip", Type::Address, |facts| Some(Value::Address(facts.source.to_canonical())))];

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
