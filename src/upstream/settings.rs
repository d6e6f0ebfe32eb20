//! What `[upstream.NAME]` says, checked: `config` builds it, nothing here can be inconsistent.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::tls::Tls;
use super::token_exchange::TokenExchangeSettings;
use crate::identity::{ClaimPath, Name};

/// One upstream: the endpoints of one service, and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[upstream.NAME]`.
    pub name: Name,
    /// At least one.
    pub endpoints: Vec<EndpointSettings>,
    /// Which HTTP.
    pub protocol: Protocol,
    /// For `https` endpoints.
    pub tls: Tls,
    /// Who gets the next request.
    pub balance: Balance,
    /// How slow it may be.
    pub timeouts: Timeouts,
    /// How many connections.
    pub pool: Pooling,
    /// What the service sees as its host.
    pub host: HostHeader,
    /// What the service is told of who asks.
    pub identity: IdentityHeaders,
    /// Where the client's token is exchanged for one of the service's own.
    pub token_exchange: Option<TokenExchangeSettings>,
    /// What the service is told of how the request came, beyond X-Forwarded-For, -Proto, -Host and -Port.
    pub origin: OriginHeaders,
    /// Rules for the request's header fields.
    pub request_headers: HeaderRules,
    /// Rules for the answer's header fields.
    pub response_headers: HeaderRules,
    /// Bytes.
    pub max_request_body: u64,
    /// Bytes a second that a request's body must bring on average while we wait for it; 0 for any.
    pub body_rate: u64,
    /// How often a request may be tried again: on another endpoint when no connection could be made, on a fresh
    /// connection when a reused one was found dead.
    pub retries: u32,
    /// Active health checks.
    pub health: Option<HealthCheck>,
    /// When an endpoint is taken out of service for what it answers.
    pub outlier: Outlier,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// As it is configured: names the endpoint in records and metrics.
    pub url: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// Whether TLS is spoken.
    pub encrypted: bool,
    /// Its share, from 1.
    pub weight: u32,
}

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name or an IP address, and a port.
    Tcp {
        /// Without brackets.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether both are one place: names ignore letter case and the dot of the root, and an IP address has many spellings.
    pub fn is_also(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp { host, port }, Self::Tcp { host: other, port: other_port }) => {
                port == other_port && is_host(host, other)
            }
            _ => self == other,
        }
    }
}

fn is_host(one: &str, other: &str) -> bool {
    let canonical = |host: &str| host.parse().ok().map(|address: IpAddr| address.to_canonical());
    match (canonical(one), canonical(other)) {
        (None, None) => {
            let relative = |host| str::strip_suffix(host, '.').unwrap_or(host);
            relative(one).eq_ignore_ascii_case(relative(other))
        }
        (one, other) => one == other,
    }
}

/// Which HTTP an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 and nothing else: agreed on by ALPN over TLS, by prior knowledge without (RFC 9113 section 3).
    Http2,
    /// Over TLS what ALPN gives, else HTTP/1.1.
    Auto,
}

/// Who gets the next request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The endpoint with the fewest open requests for its weight.
    #[default]
    LeastRequests,
    /// Each in turn, as often as its weight says.
    RoundRobin,
    /// The same subject (or, when nobody is known, the same address) always gets the same endpoint, in shares by weight.
    Subject,
}

/// Deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name, TCP and TLS together.
    pub connect: Duration,
    /// From the request's last byte to the end of the answer's head.
    pub header: Duration,
    /// Between two pieces of a body, in either direction.
    pub idle: Duration,
    /// Between two pieces of an upgraded connection, in whichever direction.
    pub tunnel_idle: Duration,
    /// The whole exchange, bodies included; none by default, for streams have no end.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            header: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(3_600),
            total: None,
        }
    }
}

/// Caps on connections, each for one endpoint and one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Requests in flight.
    pub active: usize,
    /// Connections kept for later.
    pub idle: usize,
    /// Requests that wait for one of the `active` places.
    pub waiting: usize,
    /// How long they wait.
    pub wait: Duration,
    /// How long a connection is kept unused; shorter than the service's own keep-alive time.
    pub keep: Duration,
    /// How old a connection becomes before it is replaced.
    pub age: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: usize,
}

impl Default for Pooling {
    fn default() -> Self {
        Self {
            active: 1_024,
            idle: 128,
            waiting: 1_024,
            wait: Duration::from_secs(2),
            keep: Duration::from_secs(30),
            age: Duration::from_secs(600),
            streams: 100,
        }
    }
}

/// What the service sees as its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client asked for.
    #[default]
    Preserve,
    /// The endpoint's own host and port.
    Upstream,
}

/// Header fields that tell the service who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Field and what stands in it.
    pub fields: Vec<(HeaderName, IdentityValue)>,
    /// Between the elements of a list; an element that holds it is refused.
    pub separator: Separator,
}

/// What stands between the elements of a list in an identity header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Separator {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// `|`
    Pipe,
}

impl Separator {
    /// The character.
    pub const fn as_char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
            Self::Pipe => '|',
        }
    }
}

/// What stands in an identity header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityValue {
    /// `sub`.
    User,
    /// `iss`.
    Issuer,
    /// `client_id`.
    Client,
    /// The groups, as a list.
    Groups,
    /// The scopes, as a list.
    Scopes,
    /// The claim `email`, unless `email_verified` says otherwise.
    Email,
    /// The SPIFFE ID of the client's certificate.
    SpiffeId,
    /// The subject of the client's certificate.
    CertificateSubject,
    /// A signed assertion for this audience.
    Assertion(Arc<str>),
    /// Any claim: a string, a number, true or false, or a list of these.
    Claim(ClaimPath),
}

/// Header fields that tell the service how the request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginHeaders {
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// `Client-Cert` (RFC 9440).
    pub client_cert: bool,
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    pub x_forwarded_client_cert: bool,
}

/// Changes to header fields, in this order: remove, set, add. None of them can name a field that the gateway owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Taken out.
    pub remove: Vec<HeaderName>,
    /// Put in place of whatever is there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Put beside whatever is there.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRules {
    /// The fields that are no longer what the client sent.
    pub(super) fn replaced(&self) -> impl Iterator<Item = &HeaderName> {
        self.remove.iter().chain(self.set.iter().map(|(name, _)| name))
    }

    /// The fields to which something is added.
    pub(super) fn added(&self) -> impl Iterator<Item = &HeaderName> {
        self.add.iter().map(|(name, _)| name)
    }
}

/// Asks each endpoint, now and then, whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The request target.
    pub path: Box<str>,
    /// The Host field; the endpoint's own when absent.
    pub host: Option<Box<str>>,
    /// Between two questions.
    pub interval: Duration,
    /// For one answer, connecting included.
    pub timeout: Duration,
    /// Good answers in a row that bring an endpoint back.
    pub rise: u32,
    /// Bad answers in a row that take it out.
    pub fall: u32,
    /// The statuses that count as good: from, to, both included.
    pub statuses: (u16, u16),
    /// What holds when no endpoint is well.
    pub when_all_unwell: AllUnwell,
}

/// What holds when the health checks find no endpoint well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllUnwell {
    /// Requests are refused until one is well again.
    #[default]
    Refuse,
    /// Requests are sent as if all were well: the checks may be what is wrong.
    Try,
}

/// Takes an endpoint out of service for what it answers to real requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row (no connection, no answer, 502, 503 or 504); 0 switches it off.
    pub failures: u32,
    /// For how long, times the number of ejections in a row.
    pub eject: Duration,
    /// At most this share of the endpoints is out at once, in percent; the last one never is.
    pub most_percent: u32,
}

impl Default for Outlier {
    fn default() -> Self {
        Self { failures: 5, eject: Duration::from_secs(10), most_percent: 50 }
    }
}
