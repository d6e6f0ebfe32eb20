//! Every way in which a credential can fail. None of these values holds a part of a token.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::{Name, PeerRefusal};

/// Why a request is not identified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthnError {
    /// The client certificate of the connection was refused; this answers every request of the connection.
    #[error("the client certificate was refused: {}", .0.as_str())]
    Certificate(PeerRefusal),
    /// Not a compact JWS with a strict header and strict claims (RFC 7515 section 7.1).
    #[error("the token is malformed")]
    Malformed,
    /// Longer than the source of the token accepts.
    #[error("the token is too large")]
    TooLarge,
    /// `typ`, or a claim that only other tokens have, says that this is no access token (RFC 8725 section 3.11).
    #[error("the token is of another type")]
    Type,
    /// `alg` is not among those that the issuer or the key allows, or is `none`.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// `crit` or `b64` in the header (RFC 7515 section 4.1.11).
    #[error("the token demands an extension")]
    Critical,
    /// No token source of the route stands behind this token.
    #[error("no token source of this route stands behind the token")]
    Source,
    /// The issuer has no key for this header, and a fresh key set has none either.
    #[error("the key is not known")]
    KeyUnknown,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// `iss` is another one than the source's.
    #[error("issued by somebody else")]
    Issuer,
    /// `aud` is missing or names none of the accepted audiences.
    #[error("issued for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("not valid yet")]
    NotYetValid,
    /// The token lives longer than the issuer's `max_lifetime`.
    #[error("valid for longer than is accepted")]
    Lifetime,
    /// A claim is missing or of the wrong type.
    #[error("the claim `{0}` is missing or malformed")]
    Claim(&'static str),
    /// The authorization server says that the token is not active.
    #[error("not active")]
    Inactive,
    /// The token, or everything of its principal, was revoked here.
    #[error("revoked")]
    Revoked,
    /// The token is bound to a key that was not shown, or must be bound and is not.
    #[error("binding: {0}")]
    Binding(BindingFault),
    /// The DPoP proof is missing or wrong.
    #[error("DPoP proof: {0}")]
    Dpop(DpopFault),
    /// The DPoP proof was used before.
    #[error("the DPoP proof was used before")]
    DpopReplayed,
    /// The DPoP proof must carry this nonce (RFC 9449 section 9).
    #[error("the DPoP proof needs a nonce")]
    DpopNonce {
        /// The nonce for the `DPoP-Nonce` header of the answer.
        nonce: Arc<str>,
    },
    /// Too many tokens of this connection failed; unknown ones are no longer verified for a while.
    #[error("too many failed tokens on this connection")]
    Flood,
    /// The issuer's keys are not at hand.
    #[error("the keys of `{issuer}` are not at hand")]
    IssuerUnavailable {
        /// The `[issuer.NAME]`.
        issuer: Name,
        /// When to try again.
        retry_after: Duration,
    },
    /// The authorization server gives no answer about the token.
    #[error("`{server}` cannot be asked about the token")]
    IntrospectionUnavailable {
        /// The `[introspection.NAME]`.
        server: Name,
        /// When to try again.
        retry_after: Duration,
    },
}

impl AuthnError {
    /// Whether the credential cost this side, or an identity provider, work that only a credential that is made up or
    /// worn out causes: a signature was verified, keys were fetched, somebody was asked. Such failures are counted by
    /// connection.
    pub(super) const fn costs_us_work(&self) -> bool {
        match self {
            Self::KeyUnknown
            | Self::Signature
            | Self::Issuer
            | Self::Audience
            | Self::Expired
            | Self::NotYetValid
            | Self::Lifetime
            | Self::Claim(_)
            | Self::Inactive
            | Self::Revoked
            | Self::Binding(_)
            | Self::Dpop(_) => true,
            // Refused at a look, or not the credential's fault.
            Self::Certificate(_)
            | Self::Malformed
            | Self::TooLarge
            | Self::Type
            | Self::Algorithm
            | Self::Critical
            | Self::Source
            | Self::DpopReplayed
            | Self::DpopNonce { .. }
            | Self::Flood
            | Self::IssuerUnavailable { .. }
            | Self::IntrospectionUnavailable { .. } => false,
        }
    }
}

/// Why a sender-constrained token does not belong to this connection or request (RFC 8705, RFC 9449).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingFault {
    /// The route or the source requires bound tokens, and this one is not.
    #[error("the token is not bound to a key, and must be")]
    Unbound,
    /// The token is bound to a certificate, and the connection showed none.
    #[error("the token is bound to a certificate that was not shown")]
    CertificateMissing,
    /// The token is bound to another certificate than the connection's.
    #[error("the token is bound to another certificate")]
    CertificateOther,
    /// The token is bound to a DPoP key and was sent as a plain bearer token.
    #[error("the token is bound to a DPoP key and came without a proof")]
    ProofMissing,
    /// The token was sent under the DPoP scheme and is bound to no DPoP key.
    #[error("the token came with a DPoP proof and is bound to no such key")]
    ProofUnexpected,
    /// `cnf` is malformed or has a member that is not understood (RFC 7800 section 3.1).
    #[error("`cnf` is malformed or not understood")]
    Confirmation,
}

/// What is wrong with a DPoP proof (RFC 9449 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DpopFault {
    /// Not one compact JWS with strict header and claims.
    #[error("malformed")]
    Malformed,
    /// `typ` is not `dpop+jwt`.
    #[error("`typ` is not dpop+jwt")]
    Type,
    /// The algorithm is symmetric, `none`, or not supported.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// `jwk` is missing, private, or no usable key.
    #[error("the key is not usable")]
    Key,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// `htm` is not the request's method.
    #[error("`htm` is another method")]
    Method,
    /// `htu` is not the request's address.
    #[error("`htu` is another address")]
    Address,
    /// `iat` is missing or not now.
    #[error("`iat` is not now")]
    Time,
    /// `ath` is not the hash of the token.
    #[error("`ath` is another token")]
    Token,
    /// `jti` is missing, empty or too long.
    #[error("`jti` is missing or too long")]
    Identifier,
    /// The proof's key is not the one that the token is bound to.
    #[error("another key than the token's")]
    OtherKey,
    /// So many proofs are remembered that this one could not be: refused rather than risk a replay.
    #[error("the replay memory is full")]
    MemoryFull,
    /// Another process has taken over, and this one takes no more proofs.
    #[error("this process takes no more proofs, for another has taken over")]
    Leaving,
}
