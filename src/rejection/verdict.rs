//! From a refusal to what is answered: the exhaustive matches.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Rejection;
use super::challenge::Challenge;
use crate::authn::{AuthnError, BindingFault};
use crate::credential::CredentialError;
use crate::identity::Reason;
use crate::policy::Denied;
use crate::request::{IntakeError, PathForms};
use crate::route::RouteError;
use crate::upstream::{ForwardError, NotExchanged, StreamError};

/// What is answered to a refused request, and what is recorded.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The status.
    pub status: StatusCode,
    /// The reason that the answer tells.
    pub reason: Reason,
    /// The reason that the record tells: another one only where the route conceals itself.
    pub recorded: Reason,
    /// Whose fault it is.
    pub fault: Fault,
    /// Header fields besides those that every refusal has.
    pub headers: HeaderMap,
    /// The policy's own text for the person refused.
    pub advice: Option<Arc<str>>,
}

/// Whose fault a refusal is: what operators page on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// The identity provider's.
    IdentityProvider,
    /// The service's behind.
    Upstream,
    /// Our own.
    Gateway,
}

impl Verdict {
    fn new(status: StatusCode, reason: Reason, fault: Fault) -> Self {
        Self { status, reason, recorded: reason, fault, headers: HeaderMap::new(), advice: None }
    }

    fn client(status: StatusCode, reason: Reason) -> Self {
        Self::new(status, reason, Fault::Client)
    }

    fn challenging(mut self, challenge: &Challenge) -> Self {
        self.headers.extend(challenge.render().map(|value| (WWW_AUTHENTICATE, value)));
        self
    }

    fn retry_after(mut self, delay: Duration) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
        self
    }

    /// The answer for an unknown path of these forms, while the record keeps the truth (POLICY semantics 10).
    fn concealed(self, forms: PathForms) -> Self {
        let unknown = if forms == PathForms::NONE { unknown() } else { ambiguous() };
        Self { recorded: self.recorded, ..unknown }
    }
}

impl Rejection {
    /// What is answered. `conceal`: the route hides from whoever has no access, behind the answer for an unknown path of
    /// these `forms`. `authority` is the host as the client named it, for the address of the metadata in challenges.
    pub fn verdict(&self, conceal: bool, forms: PathForms, authority: Option<&str>) -> Verdict {
        let verdict = match self {
            Self::Intake(error) => intake(error),
            Self::Route(error) => route(error),
            Self::Credential(error) => credential(*error, authority),
            Self::Authn(error) => authn(error, authority),
            Self::Denied(denied) => policy(denied, authority),
            Self::AuditUnavailable => {
                let verdict = Verdict::new(StatusCode::SERVICE_UNAVAILABLE, Reason::AuditUnavailable, Fault::Gateway);
                return verdict.retry_after(Duration::from_secs(1));
            }
            Self::Forward(error) => return upstream(error),
            Self::Internal => {
                return Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::InternalError, Fault::Gateway);
            }
        };
        let hides = conceal || matches!(self, Self::Route(RouteError::Method { conceal: true, .. }));
        // Whatever is said before the policy allows would tell that there is something to allow.
        if hides { verdict.concealed(forms) } else { verdict }
    }
}

fn intake(error: &IntakeError) -> Verdict {
    let reason = match error {
        IntakeError::Host(_) => Reason::HostInvalid,
        IntakeError::Target(_) => Reason::TargetForm,
        IntakeError::Path(path) if path.is_encoding() => Reason::EncodingInvalid,
        IntakeError::Path(_) => Reason::PathAmbiguous,
        IntakeError::Query(_) => Reason::EncodingInvalid,
        IntakeError::Framing => Reason::FramingAmbiguous,
        IntakeError::Header { .. } => Reason::HeaderInvalid,
        IntakeError::Method => Reason::MethodInvalid,
        IntakeError::HeadTooLarge => {
            return Verdict::client(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Reason::HeadTooLarge);
        }
    };
    Verdict::client(StatusCode::BAD_REQUEST, reason)
}

fn unknown() -> Verdict {
    Verdict::client(StatusCode::NOT_FOUND, Reason::RouteUnknown)
}

/// For a path of a form that no route admits there.
fn ambiguous() -> Verdict {
    Verdict::client(StatusCode::BAD_REQUEST, Reason::PathAmbiguous)
}

fn route(error: &RouteError) -> Verdict {
    match error {
        RouteError::Unknown => unknown(),
        RouteError::Misdirected => Verdict::client(StatusCode::MISDIRECTED_REQUEST, Reason::Misdirected),
        RouteError::Path { .. } => ambiguous(),
        RouteError::Header(_) => Verdict::client(StatusCode::BAD_REQUEST, Reason::HeaderInvalid),
        RouteError::Method { allow, .. } => {
            let mut verdict = Verdict::client(StatusCode::METHOD_NOT_ALLOWED, Reason::MethodNotAllowed);
            verdict.headers.insert(ALLOW, allow.clone());
            verdict
        }
    }
}

fn credential(error: CredentialError, authority: Option<&str>) -> Verdict {
    let (status, reason, challenge) = match error {
        CredentialError::Ambiguous => {
            (StatusCode::BAD_REQUEST, Reason::CredentialAmbiguous, Challenge::error("invalid_request"))
        }
        CredentialError::Malformed => {
            (StatusCode::BAD_REQUEST, Reason::CredentialMalformed, Challenge::error("invalid_request"))
        }
        CredentialError::TokenInQuery => {
            (StatusCode::BAD_REQUEST, Reason::TokenInQuery, Challenge::error("invalid_request"))
        }
        CredentialError::Scheme => (StatusCode::UNAUTHORIZED, Reason::SchemeUnsupported, Challenge::plain()),
        CredentialError::ProofMissing => {
            (StatusCode::UNAUTHORIZED, Reason::DpopInvalid, Challenge::dpop("invalid_dpop_proof"))
        }
    };
    Verdict::client(status, reason).challenging(&challenge.about(reason, authority))
}

fn authn(error: &AuthnError, authority: Option<&str>) -> Verdict {
    let reason = match error {
        AuthnError::Certificate(_) => return Verdict::client(StatusCode::FORBIDDEN, Reason::CertificateRefused),
        AuthnError::Flood => {
            return Verdict::client(StatusCode::TOO_MANY_REQUESTS, Reason::TokenFlood)
                .retry_after(Duration::from_secs(1));
        }
        AuthnError::IssuerUnavailable { retry_after, .. } => {
            return provider(Reason::IssuerUnavailable, *retry_after);
        }
        AuthnError::IntrospectionUnavailable { retry_after, .. } => {
            return provider(Reason::IntrospectionUnavailable, *retry_after);
        }
        AuthnError::Dpop(_) | AuthnError::DpopReplayed | AuthnError::DpopNonce { .. } => {
            return dpop(error, authority);
        }
        AuthnError::Malformed => Reason::TokenMalformed,
        AuthnError::TooLarge => Reason::TokenTooLarge,
        AuthnError::Type => Reason::TokenType,
        AuthnError::Algorithm => Reason::TokenAlgorithm,
        AuthnError::Critical => Reason::TokenCritical,
        AuthnError::Source => Reason::TokenSource,
        AuthnError::KeyUnknown => Reason::TokenKeyUnknown,
        AuthnError::Signature => Reason::TokenSignature,
        AuthnError::Issuer => Reason::TokenIssuer,
        AuthnError::Audience => Reason::TokenAudience,
        AuthnError::Expired => Reason::TokenExpired,
        AuthnError::NotYetValid => Reason::TokenNotYetValid,
        AuthnError::Lifetime => Reason::TokenLifetime,
        AuthnError::Claim(_) => Reason::TokenClaim,
        AuthnError::Inactive => Reason::TokenInactive,
        AuthnError::Revoked => Reason::TokenRevoked,
        AuthnError::Binding(_) => Reason::TokenBinding,
    };
    let challenge = match error {
        // RFC 9449 section 7.1: how the token is to be sent.
        AuthnError::Binding(BindingFault::ProofMissing) => Challenge::dpop("invalid_token"),
        _ => Challenge::error("invalid_token"),
    };
    Verdict::client(StatusCode::UNAUTHORIZED, reason).challenging(&challenge.about(reason, authority))
}

fn provider(reason: Reason, retry_after: Duration) -> Verdict {
    Verdict::new(StatusCode::SERVICE_UNAVAILABLE, reason, Fault::IdentityProvider).retry_after(retry_after)
}

fn dpop(error: &AuthnError, authority: Option<&str>) -> Verdict {
    let (reason, code) = match error {
        AuthnError::DpopReplayed => (Reason::DpopReplayed, "invalid_dpop_proof"),
        AuthnError::DpopNonce { .. } => (Reason::DpopNonce, "use_dpop_nonce"),
        _ => (Reason::DpopInvalid, "invalid_dpop_proof"),
    };
    let challenge = Challenge::dpop(code).about(reason, authority);
    let mut verdict = Verdict::client(StatusCode::UNAUTHORIZED, reason).challenging(&challenge);
    if let AuthnError::DpopNonce { nonce } = error
        && let Ok(nonce) = HeaderValue::from_str(nonce)
    {
        verdict.headers.insert("dpop-nonce", nonce);
    }
    verdict
}

fn policy(denied: &Denied, authority: Option<&str>) -> Verdict {
    let reason = denied.reason;
    let (status, challenge) = match reason {
        Reason::CredentialMissing => (StatusCode::UNAUTHORIZED, Some(Challenge::plain())),
        Reason::StepUpRequired => {
            let challenge = Challenge::error("insufficient_user_authentication");
            (StatusCode::UNAUTHORIZED, Some(challenge.step_up(&denied.acr, denied.max_age)))
        }
        Reason::ScopeInsufficient => {
            (StatusCode::FORBIDDEN, Some(Challenge::error("insufficient_scope").scopes(&denied.scopes)))
        }
        _ => (StatusCode::FORBIDDEN, None),
    };
    let mut verdict = Verdict::client(status, reason);
    if let Some(challenge) = challenge {
        verdict = verdict.challenging(&challenge.about(reason, authority));
    }
    verdict.advice.clone_from(&denied.advice);
    verdict
}

fn upstream(error: &ForwardError) -> Verdict {
    let upstream = |status, reason| Verdict::new(status, reason, Fault::Upstream);
    match error {
        ForwardError::Unknown(_) | ForwardError::HostMissing => {
            Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::InternalError, Fault::Gateway)
        }
        ForwardError::Unreachable { .. } | ForwardError::NoneInService(_) => {
            upstream(StatusCode::BAD_GATEWAY, Reason::UpstreamUnreachable)
        }
        ForwardError::Tls { .. } => upstream(StatusCode::BAD_GATEWAY, Reason::UpstreamTls),
        ForwardError::Protocol { .. } => upstream(StatusCode::BAD_GATEWAY, Reason::UpstreamProtocol),
        ForwardError::Closed { .. } => upstream(StatusCode::BAD_GATEWAY, Reason::UpstreamClosed),
        ForwardError::Timeout { .. } => upstream(StatusCode::GATEWAY_TIMEOUT, Reason::UpstreamTimeout),
        ForwardError::Busy(_) => {
            upstream(StatusCode::SERVICE_UNAVAILABLE, Reason::UpstreamBusy).retry_after(Duration::from_secs(1))
        }
        ForwardError::BodyTooLarge { .. } => Verdict::client(StatusCode::PAYLOAD_TOO_LARGE, Reason::BodyTooLarge),
        ForwardError::BodyTimeout => Verdict::client(StatusCode::REQUEST_TIMEOUT, Reason::BodyTimeout),
        ForwardError::ClientGone => Verdict::client(StatusCode::BAD_REQUEST, Reason::ClientGone),
        ForwardError::IdentityNotEncodable { .. } => {
            Verdict::client(StatusCode::FORBIDDEN, Reason::IdentityNotEncodable)
        }
        ForwardError::NotExchanged { error, .. } => match error {
            NotExchanged::Refused(_) => {
                Verdict::new(StatusCode::BAD_GATEWAY, Reason::ExchangeRefused, Fault::IdentityProvider)
            }
            NotExchanged::Unavailable(retry_after) => provider(Reason::ExchangeUnavailable, *retry_after),
        },
        ForwardError::UpgradeUnsupported => Verdict::client(StatusCode::NOT_IMPLEMENTED, Reason::UpgradeUnsupported),
        ForwardError::LeaseEnded(reason) => Verdict::client(ended(*reason), *reason),
    }
}

/// The status of a grant that ended before the answer began: that of a refusal for the same reason.
const fn ended(reason: Reason) -> StatusCode {
    match reason {
        Reason::CertificateRefused
        | Reason::NoRuleAllows
        | Reason::DeniedByRule
        | Reason::RequirementFailed
        | Reason::ScopeInsufficient
        | Reason::PolicyChanged => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    }
}

/// The status of an answer that broke off, for whoever can be told after its head.
pub(super) const fn broken_off(error: &StreamError) -> StatusCode {
    match error {
        StreamError::LeaseEnded(reason) => ended(*reason),
        StreamError::Connection(_) => StatusCode::BAD_GATEWAY,
        StreamError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        StreamError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

#[cfg(test)]
mod tests;
