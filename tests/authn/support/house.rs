//! The rooms before `authn`, and an authenticator at the end of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use portcullis::authn::{
    Algorithm, Audiences, Authenticator, AuthnError, ClientAuth, ClientSettings, GroupsClaim, Identified,
    IntrospectionCache, IntrospectionSettings, IssuerSettings, KeyOrigin, ProofMemory, RefreshSettings, Revocations,
    SharedSecret, SourceState, SourceStatus, TokenCache, TokenRules, TokenSources, TokenType,
};
use portcullis::credential::{Presented, extract};
use portcullis::identity::{Audience, Issuer, Name, PeerCertificate};
use portcullis::outbound::{Endpoint, OutboundSettings, PlainHttp};
use portcullis::request::{
    Arrival, Body, Connection, ConnectionId, Derived, HostProfiles, HttpVersion, IntakeSettings, PathForms, Received,
    TlsFacts,
};
use portcullis::route::{
    Authorization, Binding, HostPattern, Methods, PathPattern, PrefixRewrite, Resolved, Route, Routes,
};
use portcullis::telemetry::Clock;
use serde_json::{Value, json};
use tokio::runtime::Handle;

/// The time of every test, in seconds since 1970.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://login.corp.example";
pub(crate) const AUDIENCE: &str = "payments-api";

/// A moment, counted from [`NOW`] in seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// An authenticator and what it needs.
pub(crate) struct House {
    pub(crate) authenticator: Authenticator,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) proofs: Arc<ProofMemory>,
    pub(crate) tokens: TokenCache,
    pub(crate) clock: Clock,
    pub(crate) connection: Arc<Connection>,
    pub(crate) routes: Routes,
}

impl House {
    /// Every path names the token sources that count there, joined by `+`: `/corp+partners`. `/none` has none. The binding
    /// stands in the host: `required.example`, `if-bound.example`, `off.example`; any other host leaves it to the source.
    pub(crate) fn new(issuers: Vec<IssuerSettings>, servers: Vec<IntrospectionSettings>) -> Self {
        let names: Vec<_> =
            issuers.iter().map(|it| it.name.clone()).chain(servers.iter().map(|it| it.name.clone())).collect();
        let sources = TokenSources::new(issuers, servers).unwrap();
        let clock = Clock::fixed(at(0));
        let revocations = Arc::new(Revocations::default());
        let proofs = Arc::new(ProofMemory::since(at(-86_400)));
        let authenticator =
            Authenticator::open(&sources, revocations.clone(), proofs.clone(), &Handle::current(), &clock, None)
                .unwrap();
        Self {
            authenticator,
            revocations,
            proofs,
            tokens: TokenCache::default(),
            clock,
            connection: Arc::new(connection(PeerCertificate::Absent)),
            routes: routes(&names),
        }
    }

    /// Presents a request over a connection.
    pub(crate) fn present(&self, request: Request<()>, connection: &Arc<Connection>) -> Presented {
        let arrival = Arrival::of(&request, self.clock.now());
        let settings = IntakeSettings { max_head_bytes: 1 << 20, ..IntakeSettings::default() };
        let request = request.map(|()| Body::Empty);
        let received = Received::intake(Box::new(request), connection.clone(), &arrival, &settings).unwrap();
        match self.routes.resolve(received).unwrap() {
            Resolved::Route(routed) => extract(routed).unwrap(),
            Resolved::Own(_) => panic!("not a route"),
        }
    }

    /// Sends a request through the room.
    pub(crate) async fn send(&self, request: Request<()>) -> Result<Identified, AuthnError> {
        let presented = self.present(request, &self.connection);
        self.authenticator.identify(presented, &self.tokens, self.clock.now()).await
    }

    /// Sends a bearer token over a connection that nobody has used, through a worker that remembers nothing.
    pub(crate) async fn stranger(&self, route: &str, token: &str) -> Result<Identified, AuthnError> {
        let connection = Arc::new(connection(self.connection.peer.clone()));
        let presented = self.present(request(route, &format!("Bearer {token}")), &connection);
        self.authenticator.identify(presented, &TokenCache::default(), self.clock.now()).await
    }

    /// Waits until every source has answered well.
    pub(crate) async fn fresh(&self) {
        self.until(|source| source.state == SourceState::Fresh).await;
    }

    /// Waits until every source stands so. Nothing but the answers of a provider on loopback is waited for.
    pub(crate) async fn until(&self, stands: impl Fn(&SourceStatus) -> bool) {
        while !self.authenticator.source_status().iter().all(&stands) {
            tokio::task::yield_now().await;
        }
    }

    /// How the first source stands: the state, and what went wrong last.
    pub(crate) fn stands(&self) -> (SourceState, Option<&'static str>) {
        let status = self.authenticator.source_status();
        (status[0].state, status[0].last_error)
    }

    /// Sends a bearer token to a route.
    pub(crate) async fn bearer(&self, route: &str, token: &str) -> Result<Identified, AuthnError> {
        self.send(request(route, &format!("Bearer {token}"))).await
    }

    /// The same house for another connection.
    pub(crate) fn on(mut self, peer: PeerCertificate) -> Self {
        self.connection = Arc::new(connection(peer));
        self
    }

    /// A new connection, like the old one.
    pub(crate) fn reconnect(&mut self) {
        self.connection = Arc::new(connection(self.connection.peer.clone()));
    }

    pub(crate) fn reload(&mut self, issuers: Vec<IssuerSettings>, servers: Vec<IntrospectionSettings>) {
        let sources = TokenSources::new(issuers, servers).unwrap();
        let previous = Some(&self.authenticator);
        self.authenticator = Authenticator::open(
            &sources,
            self.revocations.clone(),
            self.proofs.clone(),
            &Handle::current(),
            &self.clock,
            previous,
        )
        .unwrap();
    }
}

pub(crate) fn request(route: &str, authorization: &str) -> Request<()> {
    Request::get(format!("/{route}"))
        .header("host", "a.example")
        .header("authorization", authorization)
        .body(())
        .unwrap()
}

fn connection(peer: PeerCertificate) -> Connection {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let profile = Name::new("edge");
    Connection {
        id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
        listener: Name::new("edge"),
        client: "192.0.2.1:4711".parse().unwrap(),
        local: "192.0.2.2:8443".parse().unwrap(),
        tls: Some(TlsFacts {
            version: "TLSv1.3",
            server_name: None,
            profile: profile.clone(),
            hosts: Arc::new(HostProfiles::new(profile, [])),
            resumed: false,
        }),
        peer,
        http: HttpVersion::Http1,
        derived: Derived::default(),
    }
}

fn routes(names: &[Name]) -> Routes {
    let mut paths: Vec<Vec<Name>> = names.iter().map(|name| vec![name.clone()]).collect();
    paths.push(Vec::new());
    for (number, one) in names.iter().enumerate() {
        paths.extend(names.iter().skip(number + 1).map(|two| vec![one.clone(), two.clone()]));
    }
    let mut all = Vec::new();
    for (host, binding) in [
        ("**", None),
        ("required.example", Some(Binding::Required)),
        ("if-bound.example", Some(Binding::IfBound)),
        ("off.example", Some(Binding::Off)),
        ("rewritten.example", None),
    ] {
        for tokens in &paths {
            let joined = tokens.iter().map(Name::as_str).collect::<Vec<_>>().join("+");
            let path = if joined.is_empty() { "none" } else { &joined };
            let rewritten = host == "rewritten.example";
            all.push(Route {
                name: Name::new(format!("{path} at {host}")),
                host: HostPattern::parse(host).unwrap(),
                path: PathPattern::parse(&format!("/{path}")).unwrap(),
                methods: Methods::Any,
                headers: Vec::new(),
                upstream: Name::new("echo"),
                prefix_rewrite: rewritten.then(|| PrefixRewrite::parse(&format!("/{path}"), "/service").unwrap()),
                tokens: tokens.clone(),
                conceal: false,
                admits: PathForms::NONE,
                authorization: Authorization::Take,
                binding,
                cors: None,
            });
        }
    }
    Routes::new(all).unwrap()
}

/// `[issuer.corp]` with these keys in a document.
pub(crate) fn issuer(keys: &[Value]) -> IssuerSettings {
    let text = json!({"keys": keys}).to_string();
    IssuerSettings {
        name: Name::new("corp"),
        issuer: Issuer::new(ISSUER),
        keys: KeyOrigin::Document(text.into()),
        token: rules(),
        algorithms: Algorithm::ALL.iter().copied().filter(|algorithm| !algorithm.is_symmetric()).collect(),
        token_types: vec![TokenType::named("at+jwt")],
        max_lifetime: Duration::from_secs(3600),
    }
}

pub(crate) fn rules() -> TokenRules {
    TokenRules {
        audiences: Audiences::OneOf(vec![Audience::new(AUDIENCE), Audience::new("other-api")]),
        clock_skew: Duration::from_secs(30),
        max_bytes: 8192,
        groups: GroupsClaim::default(),
        binding: Binding::IfBound,
        dpop_nonce: false,
    }
}

/// The same, with keys at an address.
pub(crate) fn issuer_at(url: &str) -> IssuerSettings {
    let url = Endpoint::parse(url, PlainHttp::Loopback).unwrap();
    IssuerSettings { keys: KeyOrigin::Url { url, refresh: refresh() }, ..issuer(&[]) }
}

pub(crate) fn refresh() -> RefreshSettings {
    RefreshSettings {
        outbound: OutboundSettings::default(),
        interval: Duration::from_secs(600),
        stale_if_error: Duration::from_secs(3600),
    }
}

/// `[introspection.partners]` at an address.
pub(crate) fn server(url: &str) -> IntrospectionSettings {
    IntrospectionSettings {
        name: Name::new("partners"),
        endpoint: Endpoint::parse(url, PlainHttp::Loopback).unwrap(),
        issuer: Issuer::new("https://as.partners.example"),
        client: ClientSettings {
            id: "portcullis".into(),
            auth: ClientAuth::Basic(SharedSecret::new(b"s3cret/+ &".to_vec())),
        },
        signed_by: None,
        prefix: None,
        token: rules(),
        cache: IntrospectionCache {
            positive: Duration::from_secs(60),
            negative: Duration::from_secs(10),
            max_entries: 1000,
            stale_if_error: Duration::ZERO,
        },
        outbound: OutboundSettings::default(),
    }
}
