//! The intake: one request in, one meaning out, or a refusal.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use hyper::ext::Protocol;

use super::target::{Target, settle_host};
use super::{
    Arrival, Body, CanonicalPath, Connection, Fields, HeaderFault, Host, HostError, IntakeSettings, PathError,
    QueryError, RequestId, TargetError, TraceContext, headers, query, source_address,
};

/// A request that has one meaning. Its head and its body leave by value, in the rooms of this crate alone.
///
/// It moves from room to room, so it is a pointer to what it is.
pub struct Received(Box<Meaning>);

struct Meaning {
    parts: Parts,
    body: Body,
    connection: Arc<Connection>,
    id: RequestId,
    trace: TraceContext,
    host: Host,
    port: Option<u16>,
    path: CanonicalPath,
    asked_path: Option<CanonicalPath>,
    source: IpAddr,
    fields: Fields,
    tunnels: bool,
}

/// Why a request is refused before anything is asked of it. Each variant is one reason code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// No host, two hosts, or a malformed one.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The target has a form that is not served here.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The path could be read in more than one way, or is encoded invalidly: [`PathError::is_encoding`] tells.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The query is malformed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The length of the body is stated in more than one way.
    #[error("the length of the body is stated in more than one way, or in a way that is not served here")]
    Framing,
    /// A header field is malformed or repeated.
    #[error("the header field `{name}` {fault}")]
    Header {
        /// Which.
        name: HeaderName,
        /// What is wrong with it.
        fault: HeaderFault,
    },
    /// The method is one that is never served: `CONNECT` without a protocol, `TRACE`, or not in upper case.
    #[error("the method is not served")]
    Method,
    /// The head is larger than the settings allow.
    #[error("the request head is too large")]
    HeadTooLarge,
}

impl Received {
    /// Takes a request in.
    pub fn intake(
        request: Box<http::Request<Body>>,
        connection: Arc<Connection>,
        arrival: &Arrival,
        settings: &IntakeSettings,
    ) -> Result<Self, IntakeError> {
        let (mut parts, body) = request.into_parts();
        let fields = arrival.fields;
        debug_assert_eq!(fields, Fields::of(&parts.headers), "another request arrived than is taken in");
        measure(&parts, fields, settings)?;
        let target = Target::of(&parts, &connection)?;
        headers::settle_framing(&mut parts.headers, fields, parts.version)?;
        let (host, port) = settle_host(&mut parts, &connection)?;
        let path = CanonicalPath::parse(target.verbatim.path())?;
        query::inspect(target.verbatim.query())?;
        let source = source_address(connection.client.ip(), &parts.headers, &settings.trusted_proxies);
        headers::settle(&mut parts.headers, fields, connection.http)?;
        arrival.trace.settle(&mut parts.headers, fields);
        let Target { verbatim, tunnels } = target;
        // From here on there is one statement of the host, and the target is a path.
        parts.uri = Uri::from(verbatim);
        let (id, trace) = (arrival.id, arrival.trace);
        let asked_path = None;
        Ok(Self(Box::new(Meaning {
            parts,
            body,
            connection,
            id,
            trace,
            host,
            port,
            path,
            asked_path,
            source,
            fields,
            tunnels,
        })))
    }

    /// Its number.
    pub fn id(&self) -> RequestId {
        self.0.id
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> &TraceContext {
        &self.0.trace
    }

    /// The method that is routed and decided on. A WebSocket over HTTP/2 (extended `CONNECT`) counts as the `GET` that
    /// it is over HTTP/1.1.
    pub fn method(&self) -> &Method {
        if self.0.tunnels { &Method::GET } else { &self.0.parts.method }
    }

    /// The protocol of an extended `CONNECT` (RFC 8441).
    pub fn protocol(&self) -> Option<&Protocol> {
        self.0.parts.extensions.get()
    }

    /// The host: lower case, without port and trailing dot.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The port, when it is stated.
    pub fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// The path that is decided on and forwarded, byte for byte: as it arrived, unless its route rewrites the prefix.
    pub fn path(&self) -> &CanonicalPath {
        &self.0.path
    }

    /// The path that the client asked for, and that its route was found by.
    pub fn asked_path(&self) -> &CanonicalPath {
        self.0.asked_path.as_ref().unwrap_or(&self.0.path)
    }

    /// The query, as it arrived and as it is forwarded, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.0.parts.uri.query()
    }

    /// Path and query, as they are forwarded.
    pub fn path_and_query(&self) -> &str {
        self.0.parts.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }

    /// The header fields, with exactly one `Host`, and without those that only a proxy may set.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.parts.headers
    }

    /// Which fields it arrived with.
    pub(crate) fn fields(&self) -> Fields {
        self.0.fields
    }

    /// The connection that it came over.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.0.connection
    }

    /// Where it comes from: the connection's address, or the one that a trusted proxy states.
    pub fn source(&self) -> IpAddr {
        self.0.source
    }

    /// The body, to look at but not to read.
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    /// Puts another path in the place of the one that was asked for; the query stays.
    pub(crate) fn rewrite(&mut self, path: CanonicalPath) -> Result<(), http::Error> {
        let target = match self.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_string(),
        };
        self.0.parts.uri = Uri::from(PathAndQuery::try_from(target)?);
        let asked = std::mem::replace(&mut self.0.path, path);
        self.0.asked_path.get_or_insert(asked);
        Ok(())
    }

    /// Head, body and connection.
    pub(crate) fn into_parts(self) -> (Parts, Body, Arc<Connection>) {
        let Meaning { parts, body, connection, .. } = *self.0;
        (parts, body, connection)
    }

    /// Removes a header field and gives the first of its values.
    pub(crate) fn take_header(&mut self, name: &HeaderName) -> Option<HeaderValue> {
        self.0.parts.headers.remove(name)
    }
}

/// Neither header fields nor query: they hold cookies and tokens.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.id(), self.method(), self.host(), self.path())
    }
}

fn measure(parts: &Parts, fields: Fields, settings: &IntakeSettings) -> Result<(), IntakeError> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fits = target <= settings.max_target_bytes
        && parts.headers.len() <= settings.max_header_fields
        && target.saturating_add(fields.bytes()) <= settings.max_head_bytes;
    if fits { Ok(()) } else { Err(IntakeError::HeadTooLarge) }
}
