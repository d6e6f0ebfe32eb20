//! What a verified token says, in one shape for JWT and for introspected tokens.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Audience, Claims, Name, Principal, Rendered, Scope};

/// Who asks. Anonymity is a stated fact, never the absence of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// No credential was presented.
    Anonymous,
    /// A credential was verified and names this principal.
    Principal(Principal),
}

/// The facts of a token whose every check has passed. Built by `authn` alone.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenFacts {
    /// The token source of the configuration that vouches for it: an `[issuer.NAME]` or `[introspection.NAME]`.
    pub source: Name,
    /// `iss` and `sub`. An introspected token without `sub` stands for its client (RFC 9068 section 2.2).
    pub principal: Principal,
    /// `client_id` (RFC 8693 section 4.3) or `azp`.
    pub client_id: Option<Arc<str>>,
    /// `aud`, as a list.
    pub audiences: Vec<Audience>,
    /// `scope`, as a list.
    pub scopes: Vec<Scope>,
    /// The groups, from the claim and in the form that the token source states.
    pub groups: Vec<Arc<str>>,
    /// How the groups claim was found: an empty list is a statement, a missing claim is none.
    pub groups_claim: ClaimForm,
    /// `acr` (RFC 9470).
    pub acr: Option<Arc<str>>,
    /// `amr` (RFC 8176).
    pub amr: Vec<Arc<str>>,
    /// `auth_time`: when the person last signed in.
    pub auth_time: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `exp`. For an introspected token without `exp` the end of its cache life.
    pub expires_at: Timestamp,
    /// `jti`.
    pub id: Option<Arc<str>>,
    /// `cnf`: the key that the token is bound to.
    pub confirmation: Option<Confirmation>,
    /// Every claim, for rules that name one by path.
    pub claims: Claims,
    /// What records say of the token.
    pub recorded: Rendered,
}

/// How a claim was found, beside the value that was read from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimForm {
    /// In the form that the configuration states.
    #[default]
    Stated,
    /// Not at all.
    Absent,
    /// In another form, such as a lone string where a list is expected. No permission rests on it; a denial applies.
    Other,
}

/// The key that a token is bound to (RFC 7800 `cnf`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// `x5t#S256`: SHA-256 of the client certificate's DER (RFC 8705 section 3.1).
    Certificate([u8; 32]),
    /// `jkt`: the RFC 7638 SHA-256 thumbprint of the DPoP key (RFC 9449 section 6.1).
    Jwk([u8; 32]),
    /// Both members at once: both must hold.
    Both {
        /// `x5t#S256`.
        certificate: [u8; 32],
        /// `jkt`.
        jwk: [u8; 32],
    },
}
