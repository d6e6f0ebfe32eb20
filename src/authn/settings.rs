//! What the configuration says about token sources, checked. `config/issuer.rs` and `config/introspection.rs` build it.

use std::sync::Arc;
use std::time::Duration;

use super::algorithm::Algorithm;
use super::client::{Client, ClientAuthError};
use crate::identity::{Audience, ClaimPath, Issuer, Name, Secret};
use crate::outbound::{Endpoint, OutboundSettings};
use crate::route::Binding;

/// An `[issuer.NAME]`: who signs tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerSettings {
    /// NAME.
    pub name: Name,
    /// What `iss` must be, byte for byte.
    pub issuer: Issuer,
    /// Where its keys come from.
    pub keys: KeyOrigin,
    /// What every token must pass.
    pub token: TokenRules,
    /// The signature algorithms that it may use, at least one.
    pub algorithms: Vec<Algorithm>,
    /// The values of `typ` that make an access token, at least one.
    pub token_types: Vec<TokenType>,
    /// The longest life of a token.
    pub max_lifetime: Duration,
}

/// What holds for tokens of either kind of source.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRules {
    /// For whom a token must be issued.
    pub audiences: Audiences,
    /// How far the clocks of issuer and proxy may differ.
    pub clock_skew: Duration,
    /// The longest token, in bytes.
    pub max_bytes: usize,
    /// Where the groups are.
    pub groups: GroupsClaim,
    /// Whether tokens must be bound to a key of their sender, where the route does not say.
    pub binding: Binding,
    /// Whether a DPoP proof must carry a nonce that this proxy gave out a short while ago (RFC 9449 section 9).
    pub dpop_nonce: bool,
}

/// For whom a token must be issued.
#[derive(Clone, Debug, PartialEq)]
pub enum Audiences {
    /// `aud` must name one of these.
    OneOf(Vec<Audience>),
    /// Anybody: the configuration says `"unchecked"` aloud. Only for introspected tokens.
    Unchecked,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyOrigin {
    /// From its discovery document (OpenID Connect Discovery, RFC 8414).
    Discovery {
        /// The issuer's own address.
        issuer: Endpoint,
        /// Hosts beside the issuer's own where its key set may be.
        jwks_hosts: Vec<Box<str>>,
        /// How it is called and kept fresh.
        refresh: RefreshSettings,
    },
    /// From a key set at this address.
    Url {
        /// The address.
        url: Endpoint,
        /// How it is called and kept fresh.
        refresh: RefreshSettings,
    },
    /// From a key set in a file, which was read with the configuration.
    Document(Arc<str>),
    /// A secret that both sides hold, for the HS algorithms.
    Secret(SharedSecret),
}

/// How a key set is kept fresh.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshSettings {
    /// How the issuer is called.
    pub outbound: OutboundSettings,
    /// The longest time between two fetches; the issuer's Cache-Control may shorten it, to 30 s at the least.
    pub interval: Duration,
    /// How long keys count after a fetch was due and failed.
    pub stale_if_error: Duration,
}

/// A `typ` that counts as an access token, in lower case and without `application/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `typ` has this value.
    Named(Box<str>),
    /// There is no `typ`.
    Absent,
}

impl TokenType {
    /// Reads a `typ` as RFC 7515 section 4.1.9 compares them: without `application/` and letter case.
    pub fn named(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        Self::Named(lower.strip_prefix("application/").unwrap_or(&lower).into())
    }
}

/// Where the groups of a subject are, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsClaim {
    /// The claim.
    pub path: ClaimPath,
    /// Its form. Any other form gives no groups.
    pub form: GroupsForm,
}

impl Default for GroupsClaim {
    /// `groups`, a list of strings.
    fn default() -> Self {
        Self { path: ClaimPath::top("groups"), form: GroupsForm::List }
    }
}

/// The form of a groups claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupsForm {
    /// A list of strings.
    List,
    /// One string that is one group.
    String,
    /// One string, cut at this character; empty pieces are dropped, nothing is trimmed.
    Separated(char),
}

/// An `[introspection.NAME]`: an authorization server that is asked about opaque tokens (RFC 7662).
#[derive(Clone, Debug, PartialEq)]
pub struct IntrospectionSettings {
    /// NAME.
    pub name: Name,
    /// Where it is asked.
    pub endpoint: Endpoint,
    /// Who issues its tokens: what `iss` must be when an answer has one, and the issuer of its principals.
    pub issuer: Issuer,
    /// As whom we ask.
    pub client: ClientSettings,
    /// Who signs its answers (RFC 9701), when it is to sign them: answers that it does not sign are then none.
    pub signed_by: Option<IssuerSettings>,
    /// How a token is known to be theirs, when it is not by being the route's only such server.
    pub prefix: Option<Box<str>>,
    /// What every token must pass.
    pub token: TokenRules,
    /// How answers are kept.
    pub cache: IntrospectionCache,
    /// How it is called.
    pub outbound: OutboundSettings,
}

/// As whom an authorization server is asked (RFC 6749 section 2.3).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// `client_id`.
    pub id: Arc<str>,
    /// How the client proves itself.
    pub auth: ClientAuth,
}

impl ClientSettings {
    /// Whether the client can prove itself: its key is one for its algorithm.
    ///
    /// # Errors
    /// [`ClientAuthError`].
    pub fn check(&self) -> Result<(), ClientAuthError> {
        Client::new(self).map(drop)
    }
}

/// How a client proves itself to an authorization server.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    Basic(SharedSecret),
    /// `client_secret_post`.
    Post(SharedSecret),
    /// `private_key_jwt` (RFC 7523 section 2.2).
    PrivateKeyJwt {
        /// The private key, as PEM.
        key: SharedSecret,
        /// What it signs with.
        algorithm: Algorithm,
        /// `kid` of the assertion.
        key_id: Option<Box<str>>,
        /// `aud` of the assertion.
        audience: Box<str>,
    },
    /// `tls_client_auth` (RFC 8705 section 2): the certificate is part of the outbound settings.
    MutualTls,
}

/// How answers about opaque tokens are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct IntrospectionCache {
    /// The longest life of a good answer; the token's `exp` may end it sooner.
    pub positive: Duration,
    /// The life of the answer "not active".
    pub negative: Duration,
    /// The most good answers, and separately the most bad ones, that are kept.
    pub max_entries: u64,
    /// How long after its life a good answer counts while the server is down. Zero: not at all.
    pub stale_if_error: Duration,
}

/// A secret of the configuration. Compared in constant time, never printed.
#[derive(Clone, Debug)]
pub struct SharedSecret(Arc<Secret<Vec<u8>>>);

impl SharedSecret {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Secret::new(bytes)))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl PartialEq for SharedSecret {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.expose(), other.expose()).is_ok()
    }
}
