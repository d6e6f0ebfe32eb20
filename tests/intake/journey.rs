//! The first three rooms as one walk, told in one line of text.

use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use portcullis::credential::{Credential, CredentialError, extract};
use portcullis::identity::{Name, PeerCertificate};
use portcullis::request::{
    Arrival, Body, CanonicalPath, Connection, ConnectionId, Derived, Host, HostProfiles, HttpVersion, IntakeError,
    IntakeSettings, PathForms, Received, TlsFacts,
};
use portcullis::route::{Authorization, HostPattern, Methods, PathPattern, Resolved, Route, RouteError, Routes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection over TLS from 192.0.2.1.
pub(crate) fn connection(http: HttpVersion) -> Connection {
    let profile = Name::new("edge");
    let hosts = HostProfiles::new(profile.clone(), [("strict.example", Name::new("strict"))]);
    Connection {
        id: ConnectionId(1),
        listener: Name::new("edge"),
        client: "192.0.2.1:4711".parse().unwrap(),
        local: "192.0.2.2:8443".parse().unwrap(),
        tls: Some(TlsFacts {
            version: "TLSv1.3",
            server_name: Some("a.example".into()),
            profile,
            hosts: Arc::new(hosts),
            resumed: false,
        }),
        peer: PeerCertificate::Absent,
        http,
        derived: Derived::default(),
    }
}

/// A route for every method.
pub(crate) fn route(name: &str, host: &str, path: &str) -> Route {
    Route {
        name: Name::new(name),
        host: HostPattern::parse(host).unwrap(),
        path: PathPattern::parse(path).unwrap(),
        methods: Methods::Any,
        headers: Vec::new(),
        upstream: Name::new("echo"),
        prefix_rewrite: None,
        tokens: vec![Name::new("corp")],
        conceal: false,
        admits: PathForms::NONE,
        authorization: Authorization::Take,
        binding: None,
        cors: None,
    }
}

/// Routes that let nearly everything through, so that what is refused is refused by intake.
pub(crate) fn open_routes() -> Routes {
    let every = PathForms { encoded_slash: true, semicolon: true, empty_segments: true };
    let lenient = Route { admits: every, ..route("lenient", "lenient.example", "/{rest...}") };
    let passing =
        Route { authorization: Authorization::Pass, tokens: Vec::new(), ..route("pass", "pass.example", "/**") };
    Routes::new(vec![route("open", "**", "/{rest...}"), lenient, passing]).unwrap()
}

/// Walks a request through intake, route and credential. What comes out is told as it would be forwarded:
/// `METHOD HOST-FIELD TARGET`, and what was found beside it; a refusal by its reason code.
pub(crate) fn walk<B>(
    request: Request<B>,
    body: Body,
    connection: &Connection,
    routes: &Routes,
) -> Result<Told, String> {
    walk_over(&Arc::new(connection.clone()), request, body, routes)
}

/// The same over a connection that had requests before.
pub(crate) fn walk_over<B>(
    connection: &Arc<Connection>,
    request: Request<B>,
    body: Body,
    routes: &Routes,
) -> Result<Told, String> {
    let arrival = Arrival::of(&request, Timestamp::UNIX_EPOCH);
    let request = request.map(|_| body);
    let settings = IntakeSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..IntakeSettings::default() };
    let received = Received::intake(Box::new(request), connection.clone(), &arrival, &settings);
    let received = received.map_err(|error| intake_code(&error).to_owned())?;
    let routed = match routes.resolve(received).map_err(|error| route_code(&error).to_owned())? {
        Resolved::Route(routed) => routed,
        Resolved::Own(endpoint) => return Err(format!("own: {endpoint:?}")),
    };
    let presented = extract(routed).map_err(|error| credential_code(error).to_owned())?;
    let routed = presented.routed();
    let request = routed.request();
    // What every later room relies on.
    assert_eq!(request.headers().get_all("host").iter().count(), 1);
    assert!(Host::parse_authority(request.headers()["host"].as_bytes()).unwrap().0 == *request.host());
    assert!(CanonicalPath::parse(request.path().as_str()).unwrap() == *request.path());
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(request.path_and_query(), format!("{}{query}", request.path()));
    let host = request.headers()["host"].to_str().unwrap();
    Ok(Told {
        line: format!("{} {host} {}", request.method(), request.path_and_query()),
        route: routed.route().name.to_string(),
        params: routed.params().iter().map(|(name, value)| format!("{name}={value}")).collect(),
        credential: presented.credential().map(|credential| match credential {
            Credential::Bearer(token) => format!("Bearer {}", token.expose()),
            Credential::Dpop { token, proof } => format!("DPoP {} {}", token.expose(), proof.expose()),
        }),
        headers: request.headers().clone(),
        source: request.source().to_string(),
    })
}

/// What comes out of the first three rooms.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) route: String,
    pub(crate) params: Vec<String>,
    pub(crate) credential: Option<String>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) source: String,
}

pub(crate) fn intake_code(error: &IntakeError) -> &'static str {
    match error {
        IntakeError::Host(_) => "host-invalid",
        IntakeError::Target(_) => "target-form",
        IntakeError::Path(error) if error.is_encoding() => "encoding-invalid",
        IntakeError::Path(_) => "path-ambiguous",
        IntakeError::Query(_) => "encoding-invalid",
        IntakeError::Framing => "framing-ambiguous",
        IntakeError::Header { .. } => "header-invalid",
        IntakeError::Method => "method-invalid",
        IntakeError::HeadTooLarge => "head-too-large",
    }
}

pub(crate) fn route_code(error: &RouteError) -> &'static str {
    match error {
        RouteError::Unknown => "route-unknown",
        RouteError::Method { .. } => "method-not-allowed",
        RouteError::Misdirected => "misdirected",
        RouteError::Path { .. } => "path-ambiguous",
        RouteError::Header(_) => "header-invalid",
    }
}

pub(crate) fn credential_code(error: CredentialError) -> &'static str {
    match error {
        CredentialError::Ambiguous => "credential-ambiguous",
        CredentialError::Malformed => "credential-malformed",
        CredentialError::TokenInQuery => "token-in-query",
        CredentialError::Scheme => "scheme-unsupported",
        CredentialError::ProofMissing => "dpop-invalid",
    }
}

/// What became of the bytes of one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// One line for each request that reached the walk: what is forwarded with its body, or the reason of a refusal.
    pub(crate) told: Vec<String>,
    /// The status codes that the client saw, in order.
    pub(crate) statuses: Vec<u16>,
    /// Whether the last answer says that the connection is closed.
    pub(crate) closed: bool,
}

/// Sends raw bytes to an HTTP/1.1 server whose service is the walk, and closes the sending side.
pub(crate) async fn send(raw: &[u8]) -> Exchange {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let told = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let told = told.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = Request::from_parts(head, ());
            let line = match walk(request, Body::Empty, &connection(HttpVersion::Http1), &open_routes()) {
                Ok(out) if body.is_empty() => out.line,
                Ok(out) => format!("{} {}", out.line, String::from_utf8_lossy(&body)),
                Err(code) => code,
            };
            let status = if line.contains(' ') { 200 } else { 499 };
            told.lock().unwrap().push(line);
            Ok::<_, hyper::Error>(http::Response::builder().status(status).body(String::new()).unwrap())
        }
    });
    let serve =
        hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
    let mut answer = Vec::new();
    let talk = async {
        client.write_all(raw).await.unwrap();
        client.shutdown().await.unwrap();
        client.read_to_end(&mut answer).await.unwrap();
    };
    let (_, ()) = tokio::join!(serve, talk);
    let answer = String::from_utf8_lossy(&answer);
    let statuses = answer.split("HTTP/1.").skip(1).filter_map(|head| head.get(2..5)?.parse().ok()).collect();
    let told = told.lock().unwrap().clone();
    Exchange { told, statuses, closed: answer.to_ascii_lowercase().contains("connection: close") }
}
