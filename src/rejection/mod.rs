//! Every refusal becomes one answer here: status, header fields, reason code, body.
//!
//! In comes the error of whichever room refused; out goes a [`Verdict`], from one exhaustive match a room. A new error
//! in any room does not compile until it has a status, a reason and somebody at fault.

mod challenge;
mod render;
mod verdict;

pub use render::{render, trailers};
pub use verdict::{Fault, Verdict};

use crate::authn::AuthnError;
use crate::credential::CredentialError;
use crate::policy::Denied;
use crate::request::IntakeError;
use crate::route::RouteError;
use crate::upstream::ForwardError;

/// Why a request was not answered by the service behind: one variant a room.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The request has no single meaning.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// It leads nowhere.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Its credential cannot be one.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Who asks is not proved.
    #[error(transparent)]
    Authn(#[from] AuthnError),
    /// The policy says no.
    #[error("the policy refuses: {}", .0.reason)]
    Denied(Box<Denied>),
    /// It cannot be recorded.
    #[error("no place in the audit log")]
    AuditUnavailable,
    /// The service behind did not answer.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A fault inside; a panic that was caught.
    #[error("a fault inside the gateway")]
    Internal,
}

impl From<Box<Denied>> for Rejection {
    fn from(denied: Box<Denied>) -> Self {
        Self::Denied(denied)
    }
}

impl Rejection {
    /// More for the operator's record; nothing of a credential.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::AuditUnavailable | Self::Internal => None,
            Self::Denied(denied) => denied.nearest.clone(),
            other => Some(other.to_string()),
        }
    }
}
