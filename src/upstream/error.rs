//! Why a request was not forwarded, or an answer not finished.

use std::sync::Arc;

use http::HeaderName;

use super::token_exchange::NotExchanged;
use crate::identity::{Name, Reason};

/// Which of the upstream's deadlines passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// `timeouts.connect`: name, TCP and TLS together.
    Connect,
    /// `timeouts.header`: from the request's last byte to the end of the answer's head.
    Header,
    /// `timeouts.idle`: nothing moved.
    Idle,
    /// `timeouts.total`: the whole exchange.
    Total,
}

/// A request that got no answer from the service behind.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No `[upstream.NAME]` of this name. The configuration was checked, so this is a fault of the gateway.
    #[error("no upstream `{0}` is configured")]
    Unknown(Name),
    /// No connection: refused, no route, no such name.
    #[error("cannot reach {endpoint}: {source}")]
    Unreachable {
        /// Which endpoint, as it is configured.
        endpoint: Arc<str>,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Every endpoint is out of service: by its health check, or ejected after failures.
    #[error("no endpoint of upstream `{0}` is in service")]
    NoneInService(Name),
    /// The endpoint did not prove who it is, or wants a certificate that it was not shown.
    #[error("TLS with {endpoint}: {source}")]
    Tls {
        /// Which endpoint.
        endpoint: Arc<str>,
        /// What rustls says.
        source: std::io::Error,
    },
    /// The endpoint answered something that is not the HTTP that was agreed on.
    #[error("{endpoint} broke the protocol: {detail}")]
    Protocol {
        /// Which endpoint.
        endpoint: Arc<str>,
        /// What it did.
        detail: Box<str>,
    },
    /// The endpoint closed the connection before the answer's head was whole.
    #[error("{endpoint} closed the connection before it answered")]
    Closed {
        /// Which endpoint.
        endpoint: Arc<str>,
    },
    /// The endpoint was too slow.
    #[error("{endpoint} was too slow ({which:?})")]
    Timeout {
        /// Which endpoint.
        endpoint: Arc<str>,
        /// Which deadline passed.
        which: Deadline,
    },
    /// As many exchanges are open and waiting as `pool` admits.
    #[error("upstream `{0}` has no free connection")]
    Busy(Name),
    /// The request's body is larger than `max_request_body`, by its Content-Length or by its bytes.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The client stopped sending its body.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The client went away, or broke its body's framing, before the answer.
    #[error("the client did not finish its request")]
    ClientGone,
    /// A value of the identity cannot be written as a header field without a second meaning.
    #[error("the identity cannot be written into `{header}`")]
    IdentityNotEncodable {
        /// The header field that is configured for it.
        header: HeaderName,
    },
    /// The service wants a token of its own, and there is none to be had for the client's.
    #[error("no token for upstream `{upstream}`: {error}")]
    NotExchanged {
        /// Which upstream.
        upstream: Name,
        /// Why not.
        error: NotExchanged,
    },
    /// The route or the upstream takes no protocol upgrade of this kind.
    #[error("this upgrade is not supported")]
    UpgradeUnsupported,
    /// The request names no host. Intake makes sure of it, so this is a fault of the gateway.
    #[error("the request names no host")]
    HostMissing,
    /// The lease ended before the answer began.
    #[error("the grant ended before the answer: {0}")]
    LeaseEnded(Reason),
}

impl ForwardError {
    /// Whether the endpoint should be trusted less for it. `client_owes`: it waited for more of the request's body, and a
    /// stranger who sends slowly must not put it out of service.
    pub(super) const fn is_the_endpoints_fault(&self, client_owes: bool) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Tls { .. } | Self::Protocol { .. } => true,
            Self::Closed { .. } | Self::Timeout { .. } => !client_owes,
            _ => false,
        }
    }
}

/// Why the body of a request or of an answer was cut.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection that it comes from failed.
    #[error("the connection failed: {0}")]
    Connection(#[source] hyper::Error),
    /// Nothing came for `timeouts.idle`, or `timeouts.total` has passed.
    #[error("nothing came in time ({0:?})")]
    Timeout(Deadline),
    /// More bytes than `max_request_body`.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The grant that the exchange rests on has ended.
    #[error("the grant ended: {0}")]
    LeaseEnded(Reason),
}

impl StreamError {
    /// The reason code of an *answer* that was cut so: for the record.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Connection(_) => Reason::UpstreamClosed,
            Self::Timeout(_) => Reason::UpstreamTimeout,
            Self::TooLarge { .. } => Reason::BodyTooLarge,
            Self::LeaseEnded(reason) => *reason,
        }
    }
}
