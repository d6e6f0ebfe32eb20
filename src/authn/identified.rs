//! A request and who makes it.

use std::sync::Arc;

use crate::credential::Credential;
use crate::identity::{PathParams, PeerCertificate, PeerFacts, Subject, TokenFacts};
use crate::route::Routed;

/// A request whose every credential has been verified. Made by [`Authenticator::identify`](super::Authenticator::identify)
/// alone.
///
/// ```compile_fail,E0451
/// # fn forge(routed: portcullis::route::Routed) {
/// let forged = portcullis::authn::Identified { routed, token: None, hash: None, credential: None };
/// # }
/// ```
#[derive(Debug)]
pub struct Identified {
    pub(super) routed: Routed,
    pub(super) token: Option<Arc<TokenFacts>>,
    pub(super) hash: Option<[u8; 32]>,
    pub(super) credential: Option<Credential>,
}

impl Identified {
    /// The request and its route.
    pub const fn routed(&self) -> &Routed {
        &self.routed
    }

    /// What the token says, when one was presented.
    pub const fn token(&self) -> Option<&Arc<TokenFacts>> {
        self.token.as_ref()
    }

    /// What names the token among revocations: [`Revocations::hash`](super::Revocations::hash) of its text.
    pub const fn token_hash(&self) -> Option<&[u8; 32]> {
        self.hash.as_ref()
    }

    /// What the client certificate says, when one was shown.
    pub fn peer(&self) -> Option<&Arc<PeerFacts>> {
        match &self.routed.request().connection().peer {
            PeerCertificate::Verified(identity) => Some(identity.facts()),
            PeerCertificate::Absent | PeerCertificate::Refused(_) => None,
        }
    }

    /// Who the token names. A client certificate alone leaves the subject anonymous: it names a device or a workload.
    pub fn subject(&self) -> Subject {
        self.token.as_ref().map_or(Subject::Anonymous, |token| Subject::Principal(token.principal.clone()))
    }

    /// What the route's pattern matched, for who keeps it.
    pub(crate) fn take_params(&mut self) -> PathParams {
        self.routed.take_params()
    }

    /// Request, what the token says, and the token itself.
    pub(crate) fn into_parts(self) -> (Routed, Option<Arc<TokenFacts>>, Option<Credential>) {
        (self.routed, self.token, self.credential)
    }
}
