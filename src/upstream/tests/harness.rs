//! A gate that forwards everything it is sent, as if it had been allowed, between raw TCP on both sides.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use crate::credential::Credential;
use crate::identity::{Claims, Issuer, Name, PeerFacts, Principal, Rendered, TokenFacts};
use crate::lease::{Ended, Lease};
use crate::request::{self, RequestId};
use crate::upstream::error::StreamError;
use crate::upstream::forward::Exchange;
use crate::upstream::settings::{
    Address, Balance, EndpointSettings, HostHeader, IdentityHeaders, OriginHeaders, Outlier, Pooling, Protocol,
    Settings, Timeouts,
};
use crate::upstream::tls::Tls;
use crate::upstream::{Body, Pools, Upstreams};

/// Settings for one endpoint at `address`, short of nothing.
pub(super) fn settings(address: SocketAddr) -> Settings {
    Settings {
        name: Name::new("app"),
        endpoints: vec![endpoint(address)],
        protocol: Protocol::Http1,
        tls: Tls::none(),
        balance: Balance::RoundRobin,
        timeouts: Timeouts::default(),
        pool: Pooling::default(),
        host: HostHeader::Preserve,
        identity: IdentityHeaders::default(),
        token_exchange: None,
        origin: OriginHeaders::default(),
        request_headers: Default::default(),
        response_headers: Default::default(),
        max_request_body: 1 << 30,
        body_rate: 0,
        retries: 2,
        health: None,
        outlier: Outlier { failures: 0, ..Outlier::default() },
    }
}

pub(super) fn endpoint(address: SocketAddr) -> EndpointSettings {
    EndpointSettings {
        url: format!("http://{address}").into(),
        address: Address::Tcp { host: address.ip().to_string().into(), port: address.port() },
        encrypted: false,
        weight: 1,
    }
}

/// A token of `sub` with these claims.
pub(in crate::upstream) fn token(sub: &str, claims: serde_json::Value) -> TokenFacts {
    TokenFacts {
        source: Name::new("corp"),
        principal: Principal { issuer: Issuer::new("https://login.example"), subject: sub.into() },
        client_id: None,
        audiences: Vec::new(),
        scopes: Vec::new(),
        groups: Vec::new(),
        groups_claim: crate::identity::ClaimForm::Stated,
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        issued_at: None,
        expires_at: Timestamp::MAX,
        id: None,
        confirmation: None,
        claims: Claims::parse(claims.to_string().as_bytes()).unwrap(),
        recorded: Rendered::default(),
    }
}

/// What the gate knows of whoever asks.
pub(super) struct Who {
    pub(super) token: Option<Arc<TokenFacts>>,
    pub(super) peer: Option<Arc<PeerFacts>>,
    pub(super) pass_authorization: bool,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) owned: Vec<HeaderName>,
    pub(super) granted: Vec<(HeaderName, HeaderValue)>,
}

impl Default for Who {
    fn default() -> Self {
        let token = Some(Arc::new(token("u-17", json!({}))));
        Self { token, peer: None, pass_authorization: false, expires_at: None, owned: Vec::new(), granted: Vec::new() }
    }
}

/// What the gate saw of one request.
#[derive(Debug)]
pub(super) enum Seen {
    Answered(u16),
    Refused(String),
    Cut(String),
    Ended(Ended),
}

/// The gate.
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    pub(super) pools: Rc<Pools>,
    pub(super) upstreams: Rc<RefCell<Arc<Upstreams>>>,
    pub(super) leases: Rc<RefCell<Vec<Rc<Lease>>>>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

#[derive(Clone)]
struct Worker {
    pools: Rc<Pools>,
    upstreams: Rc<RefCell<Arc<Upstreams>>>,
    leases: Rc<RefCell<Vec<Rc<Lease>>>>,
    who: Rc<Who>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Gate {
    pub(super) async fn open(settings: Vec<Settings>, who: Who) -> Self {
        Self::open_for(settings, who, false).await
    }

    pub(super) async fn open_http2(settings: Vec<Settings>, who: Who) -> Self {
        Self::open_for(settings, who, true).await
    }

    async fn open_for(settings: Vec<Settings>, who: Who, http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = mpsc::unbounded_channel();
        let worker = Worker {
            pools: Rc::new(Pools::new()),
            upstreams: Rc::new(RefCell::new(Arc::new(Upstreams::new(settings, None)))),
            leases: Rc::default(),
            who: Rc::new(who),
            seen: tell,
        };
        let gate = Self {
            address,
            pools: worker.pools.clone(),
            upstreams: worker.upstreams.clone(),
            leases: worker.leases.clone(),
            seen,
        };
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(worker.clone().serve(stream, http2));
            }
        });
        gate
    }

    /// What became of the next request, cut or tunnel.
    pub(super) async fn seen(&mut self) -> Seen {
        self.seen.recv().await.unwrap()
    }

    /// What the gate refused the next request with.
    pub(super) async fn refusal(&mut self) -> String {
        match self.seen().await {
            Seen::Refused(error) => error,
            other => panic!("not refused but {other:?}"),
        }
    }

    /// Sends raw bytes and reads until the gate closes or `done` is content.
    pub(super) async fn talk(&self, request: &str, done: impl Fn(&str) -> bool) -> String {
        let mut client = Peer::connect(self.address).await;
        client.send(request).await;
        client.read_until(done).await
    }

    /// Sends a GET and gives the whole answer.
    pub(super) async fn get(&self, headers: &str) -> String {
        let request = format!("GET /a?b HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n{headers}\r\n");
        self.talk(&request, |_| false).await
    }
}

impl Worker {
    async fn serve(self, stream: TcpStream, http2: bool) {
        let client = stream.peer_addr().unwrap().ip();
        let service = service_fn(move |request| {
            let worker = self.clone();
            async move { Ok::<_, Infallible>(worker.answer(request, client).await) }
        });
        let io = TokioIo::new(stream);
        // A client that breaks its connection is part of the tests.
        if http2 {
            let mut builder = hyper::server::conn::http2::Builder::new(Local);
            let _ = builder.timer(TokioTimer::new()).enable_connect_protocol().serve_connection(io, service).await;
        } else {
            let builder = hyper::server::conn::http1::Builder::new();
            let _ = builder.serve_connection(io, service).with_upgrades().await;
        }
    }

    async fn answer(self, request: Request<Incoming>, source: IpAddr) -> Response<Watched> {
        let (parts, body) = request.into_parts();
        let lease = Lease::until(self.who.expires_at, Timestamp::now());
        self.leases.borrow_mut().push(lease.clone());
        let credential = parts.headers.get(http::header::AUTHORIZATION);
        let credential = credential.and_then(|value| Credential::parse(value, None).ok());
        let exchange = Exchange {
            prefix: None,
            parts,
            body: request::Body::Incoming(body),
            id: RequestId::random(),
            source,
            encrypted: false,
            upstream: Name::new("app"),
            pass_authorization: self.who.pass_authorization,
            token: self.who.token.clone(),
            credential,
            peer: self.who.peer.clone(),
            owned: self.who.owned.clone(),
            granted: self.who.granted.clone(),
            lease,
            at: Timestamp::now(),
        };
        let upstreams = self.upstreams.borrow().clone();
        match exchange.run(&self.pools, &upstreams).await {
            Ok(forwarded) => {
                if let Some(tunnel) = forwarded.tunnel {
                    let seen = self.seen.clone();
                    spawn_local(async move { seen.send(Seen::Ended(tunnel.await.unwrap())) });
                }
                let (parts, body) = forwarded.response.into_parts();
                self.seen.send(Seen::Answered(parts.status.as_u16())).unwrap();
                Response::from_parts(parts, Watched { body, seen: self.seen })
            }
            Err(error) => {
                self.seen.send(Seen::Refused(format!("{error:?}"))).unwrap();
                let mut response = Response::new(Watched { body: Body::default(), seen: self.seen });
                *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
                response
            }
        }
    }
}

/// Tells how a body ended badly.
pub(super) struct Watched {
    body: Body,
    seen: mpsc::UnboundedSender<Seen>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = &polled {
            self.seen.send(Seen::Cut(format!("{error:?}"))).unwrap();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// One end of a TCP connection, spoken to in bytes.
pub(super) struct Peer {
    stream: TcpStream,
    kept: Vec<u8>,
}

impl Peer {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), kept: Vec::new() }
    }

    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, kept: Vec::new() }
    }

    pub(super) async fn send(&mut self, text: impl AsRef<[u8]>) {
        // The other side may have closed: then the test sees that elsewhere.
        self.try_send(text).await;
    }

    /// False when the other side has closed.
    pub(super) async fn try_send(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(text.as_ref()).await.is_ok()
    }

    /// Everything up to the end of a head, as text. Empty when the connection closed before.
    pub(super) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.kept.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.kept.split_off(end + 4);
                let head = std::mem::replace(&mut self.kept, rest);
                return String::from_utf8(head).unwrap();
            }
            if !self.more().await {
                return String::new();
            }
        }
    }

    /// Exactly this many bytes.
    pub(super) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.kept.len() < count {
            assert!(self.more().await, "closed after {:?}", self.kept);
        }
        let rest = self.kept.split_off(count);
        std::mem::replace(&mut self.kept, rest)
    }

    /// Until `done`, or until the other side closes.
    pub(super) async fn read_until(&mut self, done: impl Fn(&str) -> bool) -> String {
        while !done(&String::from_utf8_lossy(&self.kept)) && self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.kept)).into_owned()
    }

    /// What is there, or comes next; empty when the other side has closed.
    pub(super) async fn piece(&mut self) -> Vec<u8> {
        if self.kept.is_empty() {
            self.more().await;
        }
        std::mem::take(&mut self.kept)
    }

    /// Everything until the other side closes.
    pub(super) async fn rest(&mut self) -> String {
        self.read_until(|_| false).await
    }

    /// Reads once. False when the other side has closed.
    pub(super) async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.kept.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }
}

/// A service of raw TCP: `talk` is called for every connection, numbered from 0.
pub(super) async fn service<F, T>(talk: F) -> SocketAddr
where
    F: Fn(usize, Peer) -> T + 'static,
    T: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(talk(number, Peer::new(stream)));
            number += 1;
        }
    });
    address
}

/// A service that answers every request without a body with its own head as text, and keeps its connections.
pub(super) async fn echo() -> SocketAddr {
    service(|number, mut peer| async move {
        loop {
            let head = peer.head().await;
            if head.is_empty() {
                return;
            }
            let text = format!("connection {number}\n{head}");
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
        }
    })
    .await
}

#[derive(Clone)]
pub(super) struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
