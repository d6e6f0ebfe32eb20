//! Names that are compared exactly, code point by code point: issuers, audiences, scopes, principals.

use std::fmt;
use std::sync::Arc;

macro_rules! exact_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it stands: no trimming, no case folding.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

exact_name! {
    /// A name that the configuration gives to a thing: a route, a rule, an issuer, an upstream, a listener, a trust bundle.
    Name
}
exact_name! {
    /// The `iss` of a token (RFC 7519 section 4.1.1). Two issuers that differ in one byte are two issuers.
    Issuer
}
exact_name! {
    /// One `aud` value (RFC 7519 section 4.1.3).
    Audience
}
exact_name! {
    /// One scope token (RFC 6749 section 3.3).
    Scope
}

/// Somebody, as one issuer names them. Subjects of two issuers are never the same subject, whatever their `sub`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Who says so.
    pub issuer: Issuer,
    /// The issuer's own name for them (`sub`).
    pub subject: Arc<str>,
}
