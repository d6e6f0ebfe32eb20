//! Which token goes to which source: exactly one, or none (POLICY semantics 11). What could be two is a fault at load.

use super::settings::{IntrospectionSettings, IssuerSettings};
use crate::identity::Name;

/// The token sources of a configuration, among which no token can find two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenSources {
    issuers: Vec<IssuerSettings>,
    servers: Vec<IntrospectionSettings>,
}

impl TokenSources {
    /// Puts the sources together.
    ///
    /// # Errors
    /// Every pair of which a token could mean both, wherever it comes.
    pub fn new(issuers: Vec<IssuerSettings>, servers: Vec<IntrospectionSettings>) -> Result<Self, Vec<Ambiguity>> {
        let mut found = Vec::new();
        for (number, server) in servers.iter().enumerate() {
            for other in servers.iter().skip(number + 1) {
                if let (Some(one), Some(two)) = (&server.prefix, &other.prefix)
                    && (one.starts_with(&**two) || two.starts_with(&**one))
                {
                    found.push(Ambiguity::new(&server.name, &other.name, AmbiguityKind::Prefix));
                }
            }
            if let Some(issuer) = issuers.iter().find(|issuer| issuer.name == server.name) {
                found.push(Ambiguity::new(&issuer.name, &server.name, AmbiguityKind::Name));
            }
        }
        if found.is_empty() { Ok(Self { issuers, servers }) } else { Err(found) }
    }

    /// Every pair of a route's `tokens` of which one token could mean both.
    pub fn ambiguities(&self, tokens: &[Name]) -> Vec<Ambiguity> {
        let issuers: Vec<_> = self.issuers.iter().filter(|issuer| tokens.contains(&issuer.name)).collect();
        let open = |server: &&IntrospectionSettings| server.prefix.is_none() && tokens.contains(&server.name);
        let servers: Vec<_> = self.servers.iter().filter(open).collect();
        let mut found = Vec::new();
        for (number, issuer) in issuers.iter().enumerate() {
            let same = issuers.iter().skip(number + 1).filter(|other| other.issuer == issuer.issuer);
            found.extend(same.map(|other| Ambiguity::new(&issuer.name, &other.name, AmbiguityKind::Issuer)));
        }
        if let [first, second, ..] = servers.as_slice() {
            found.push(Ambiguity::new(&first.name, &second.name, AmbiguityKind::NoPrefix));
        }
        found
    }

    /// Whether a source has this name.
    pub fn contains(&self, name: &Name) -> bool {
        self.names().any(|known| known == name)
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let issuers = self.issuers.iter().map(|issuer| &issuer.name);
        issuers.chain(self.servers.iter().map(|server| &server.name))
    }

    /// The issuers.
    pub fn issuers(&self) -> &[IssuerSettings] {
        &self.issuers
    }

    /// The introspection servers.
    pub fn servers(&self) -> &[IntrospectionSettings] {
        &self.servers
    }
}

/// Two sources that one token could mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{first}` and `{second}` {kind}")]
pub struct Ambiguity {
    /// The earlier one.
    pub first: Name,
    /// The later one.
    pub second: Name,
    /// What they share.
    pub kind: AmbiguityKind,
}

impl Ambiguity {
    fn new(first: &Name, second: &Name, kind: AmbiguityKind) -> Self {
        Self { first: first.clone(), second: second.clone(), kind }
    }
}

/// What two sources share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguityKind {
    /// Both an issuer and an introspection server have the name.
    #[error("share their name, so a route cannot say which it means")]
    Name,
    /// A token can begin with both prefixes.
    #[error("have prefixes of which one begins with the other")]
    Prefix,
    /// A route counts tokens of both, and both have the same `iss`.
    #[error("have the same issuer, and a route names both")]
    Issuer,
    /// A route counts tokens of both, and neither has a prefix.
    #[error("are introspection servers without a prefix, and a route names both")]
    NoPrefix,
}
