//! One exchange with a service: a place, a connection, the request, the answer; and what may be tried again.
//!
//! A request is tried again only when the service cannot have acted on it: no connection was made, or the request never
//! left, or a connection that was kept from earlier died before any byte of an answer and the method is idempotent
//! (RFC 9110 section 9.2.2). Never when a byte of its body was taken.

use std::future::{Future, poll_fn, ready};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::Either;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use jiff::Timestamp;
use tokio::time::Instant;

use super::assertion::Speaker;
use super::body::{Body, Failure, Limits, Pace, Progress, RequestBody, Watch};
use super::endpoint::Endpoint;
use super::error::{Deadline, ForwardError, StreamError};
use super::headers::{self, Journey, Origin};
use super::pool::{Held, Hold};
use super::settings::Protocol;
use super::spare::Spare;
use super::target::Target;
use super::upgrade::Upgrade;
use super::upstreams::{Upstream, Upstreams};
use super::{Forwarded, Pools};
use crate::credential::Credential;
use crate::identity::{Name, PeerCertificate, PeerFacts, Principal, TokenFacts};
use crate::lease::{Lease, Leases};
use crate::policy::Allowed;
use crate::request::{self, RequestId};
use crate::route::Authorization;

/// An admitted request, in parts.
pub(super) struct Exchange {
    pub(super) parts: http::request::Parts,
    pub(super) body: request::Body,
    pub(super) id: RequestId,
    pub(super) source: IpAddr,
    /// Whether the client spoke TLS to us.
    pub(super) encrypted: bool,
    /// What the route took off the path that the client asked for.
    pub(super) prefix: Option<HeaderValue>,
    pub(super) upstream: Name,
    pub(super) pass_authorization: bool,
    pub(super) token: Option<Arc<TokenFacts>>,
    /// Where the token stood, for a service that wants another one instead.
    pub(super) credential: Option<Credential>,
    pub(super) peer: Option<Arc<PeerFacts>>,
    /// Header fields that rules set, and that a client must not.
    pub(super) owned: Vec<HeaderName>,
    /// Header fields that the rule that allowed sets.
    pub(super) granted: Vec<(HeaderName, HeaderValue)>,
    pub(super) lease: Rc<Lease>,
    /// When it was decided.
    pub(super) at: Timestamp,
}

/// A request on its way.
struct Attempt<'a> {
    pools: &'a Pools,
    upstreams: &'a Upstreams,
    upstream: &'a Upstream,
    target: Target,
    principal: Option<Principal>,
    source: IpAddr,
    lease: Rc<Lease>,
    total: Option<Instant>,
    progress: Option<Rc<Progress>>,
    upgrade: Option<Upgrade>,
    tried: Vec<u64>,
    retries: u32,
    /// What is to be sent; `None` while it is under way.
    request: Option<Request<RequestBody>>,
}

/// The head of an answer, the connection that it comes over, and what can cut its body.
type Answer = (Response<Incoming>, Hold, Watch);

impl Exchange {
    /// Takes an admitted request apart. This is the only way from a decision to a service.
    pub(super) fn of(allowed: Allowed, leases: &Leases, now: (Timestamp, Instant)) -> Self {
        let (identified, grant) = allowed.into_parts();
        let peer = identified.peer().cloned();
        let (routed, token, credential) = identified.into_parts();
        let (received, route, _) = routed.into_parts();
        let (id, source) = (received.id(), received.source());
        let (parts, body, connection) = received.into_parts();
        let check = match &connection.peer {
            PeerCertificate::Verified(identity) => identity.check().cloned(),
            PeerCertificate::Absent | PeerCertificate::Refused(_) => None,
        };
        Self {
            parts,
            body,
            id,
            source,
            encrypted: connection.tls.is_some(),
            prefix: route.prefix_rewrite.as_ref().and_then(|rewrite| rewrite.forwarded_prefix().cloned()),
            upstream: route.upstream.clone(),
            pass_authorization: route.authorization == Authorization::Pass,
            token,
            credential,
            peer,
            owned: grant.owned_headers().to_vec(),
            granted: grant.headers().to_vec(),
            lease: leases.open(grant, check, now),
            at: now.0,
        }
    }

    /// Forwards the request and gives the answer's head as soon as it is there.
    pub(super) fn run<'a>(
        self,
        pools: &'a Pools,
        upstreams: &'a Upstreams,
    ) -> impl Future<Output = Result<Forwarded, ForwardError>> + use<'a> {
        let upstream = upstreams.find(&self.upstream);
        let total = upstream.and_then(|upstream| upstream.settings.timeouts.total);
        let total = total.and_then(|total| Instant::now().checked_add(total));
        // Before the future is made, which would have room for both.
        let prepared = match upstream {
            None => Either::Left(ready(Err(ForwardError::Unknown(self.upstream)))),
            Some(upstream) if upstream.settings.token_exchange.is_none() => {
                Either::Left(ready(self.prepare(pools, upstreams, upstream, total, None)))
            }
            Some(upstream) => Either::Right(Box::pin(async move {
                let authorization = self.exchanged(upstreams, &upstream.settings, total).await?;
                self.prepare(pools, upstreams, upstream, total, authorization)
            })),
        };
        async move { prepared.await?.run().await }
    }

    /// Gives the request the head that the service gets. Boxed, since all that waits for an answer would carry it along.
    fn prepare<'a>(
        mut self,
        pools: &'a Pools,
        upstreams: &'a Upstreams,
        upstream: &'a Upstream,
        total: Option<Instant>,
        authorization: Option<HeaderValue>,
    ) -> Result<Box<Attempt<'a>>, ForwardError> {
        let settings = &upstream.settings;
        let upgrade = Upgrade::asked(&mut self.parts, &self.body)?;
        let target = Target::of(&self.parts)?;
        let origin = Origin {
            source: self.source,
            encrypted: self.encrypted,
            authority: target.authority(),
            prefix: self.prefix,
            peer: self.peer.as_deref(),
            request_id: self.id,
        };
        let speaker = Speaker {
            assertions: &pools.assertions,
            signer: upstreams.signer(),
            token: self.token.as_ref(),
            peer: self.peer.as_ref(),
            at: self.at,
        };
        self.owned.extend(settings.request_headers.replaced().cloned());
        let journey = Journey {
            settings,
            reserved: &upstreams.reserved,
            origin,
            speaker,
            authorization,
            pass_authorization: self.pass_authorization,
            owned: &self.owned,
            granted: self.granted,
        };
        journey.walk(&mut self.parts.headers)?;
        if http_body::Body::size_hint(&self.body).lower() > settings.max_request_body {
            return Err(ForwardError::BodyTooLarge { limit: settings.max_request_body });
        }
        let watch = Watch::new(self.lease.clone(), settings.timeouts.idle, total);
        self.owned.extend(settings.request_headers.added().cloned());
        // Only a service that speaks HTTP/2 can be asked by gRPC: before others the word alone frees nobody.
        let is_stream = settings.protocol != Protocol::Http1 && is_grpc(&self.parts.headers);
        let paced = settings.body_rate > 0 && !is_stream;
        let limits = Limits {
            most: settings.max_request_body,
            pace: paced.then(|| Pace::new(settings.body_rate, settings.timeouts.idle)),
            reserved: upstreams.reserved.clone(),
            owned: self.owned,
        };
        let (body, progress) = RequestBody::new(self.body, watch, limits);
        let mut request = Request::new(body);
        *request.method_mut() = if upgrade.is_some() { Method::GET } else { self.parts.method };
        *request.headers_mut() = self.parts.headers;
        Ok(Box::new(Attempt {
            pools,
            upstreams,
            upstream,
            target,
            principal: self.token.as_ref().map(|token| token.principal.clone()),
            source: self.source,
            lease: self.lease,
            total,
            progress,
            upgrade,
            tried: Vec::new(),
            retries: settings.retries,
            request: Some(request),
        }))
    }
}

impl Attempt<'_> {
    async fn run(mut self: Box<Self>) -> Result<Forwarded, ForwardError> {
        self.upstreams.budget.earn();
        let mut fresh = false;
        let mut last = None;
        loop {
            let Some(endpoint) = self.pick().cloned() else {
                let none = || ForwardError::NoneInService(self.upstream.settings.name.clone());
                return Err(last.unwrap_or_else(none));
            };
            let hold = match self.connect(&endpoint, fresh).await {
                Ok(hold) => hold,
                Err(error @ ForwardError::Busy(_)) => return Err(error),
                Err(error) => {
                    self.upstream.failed(&endpoint);
                    self.tried.push(endpoint.id);
                    if !self.may_retry() {
                        return Err(error);
                    }
                    last = Some(error);
                    continue;
                }
            };
            match self.send(&endpoint, hold).await {
                Ok(Some(answer)) => return self.answered(&endpoint, answer),
                // The same request again, over a new connection to the same endpoint.
                Ok(None) => fresh = true,
                Err(error) => {
                    if error.is_the_endpoints_fault(self.client_owes()) {
                        self.upstream.failed(&endpoint);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn pick(&self) -> Option<&Arc<Endpoint>> {
        match &self.principal {
            Some(principal) => self.upstream.pick(principal, &self.tried),
            None => self.upstream.pick(self.source, &self.tried),
        }
    }

    fn may_retry(&mut self) -> bool {
        let untouched = self.progress.as_ref().is_none_or(|progress| progress.untouched());
        let may = untouched && self.retries > 0 && self.upstreams.budget.spend();
        self.retries = self.retries.saturating_sub(1);
        may
    }

    async fn connect(&self, endpoint: &Arc<Endpoint>, fresh: bool) -> Result<Hold, ForwardError> {
        let settings = &self.upstream.settings;
        let pool = self.pools.pool(endpoint, settings, self.upstreams);
        let place = pool.place(settings).await?;
        match self.upgrade {
            Some(_) => pool.upgradeable(place, settings).await,
            None => pool.connection(place, settings, fresh).await,
        }
    }

    /// Sends the request and waits for the head of the answer; `None` when it has to be sent again.
    async fn send(&mut self, endpoint: &Arc<Endpoint>, mut hold: Hold) -> Result<Option<Answer>, ForwardError> {
        let settings = &self.upstream.settings;
        let Some(mut request) = self.request.take() else { return Err(ForwardError::ClientGone) };
        hold.sending = self.progress.clone();
        self.target.shape(&mut request, &hold.connection, settings, endpoint);
        if let Some(upgrade) = &self.upgrade {
            upgrade.ask(request.headers_mut());
        }
        let may_die = hold.reused && self.progress.is_none() && request.method().is_idempotent();
        let spare = may_die.then(|| Spare::of(&request));
        let mut watch = Watch::new(self.lease.clone(), settings.timeouts.header, self.total).with(hold.timer());
        let sent = match &mut hold.connection {
            Held::Http1(line) => {
                let answer = pin!(line.sender.send.try_send_request(request));
                self.wait(answer, &mut watch).await
            }
            Held::Http2(stream) => {
                let mut send = stream.sender().send;
                let answer = pin!(send.try_send_request(request));
                self.wait(answer, &mut watch).await
            }
        };
        match sent {
            Ok(Ok(response)) => Ok(Some((response, hold, watch))),
            Ok(Err(failed)) => {
                self.request = Some(self.failed(endpoint, hold.reused, failed, spare)?);
                Ok(None)
            }
            Err(cut) => Err(self.cut(endpoint, cut)),
        }
    }

    /// Whether the client has to send more of its body before the service can answer.
    fn client_owes(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.owed())
    }

    /// Waits for the answer's head. The deadline counts from the last piece of the request, and not while the client owes
    /// another: the body has a deadline of its own.
    async fn wait<T>(
        &self,
        mut answer: Pin<&mut impl Future<Output = T>>,
        watch: &mut Watch,
    ) -> Result<T, StreamError> {
        poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer));
            }
            if let Some(progress) = &self.progress {
                watch.moved_at(if progress.owed() { Instant::now() } else { progress.moved() });
            }
            watch.waits(context).map(Err)
        })
        .await
    }

    /// The request, when it may be sent again.
    fn failed(
        &mut self,
        endpoint: &Arc<Endpoint>,
        reused: bool,
        mut failed: TrySendError<Request<RequestBody>>,
        spare: Option<Spare>,
    ) -> Result<Request<RequestBody>, ForwardError> {
        if let Some(failure) = self.progress.as_ref().and_then(|progress| progress.failure()) {
            return Err(self.body_failed(failure));
        }
        let unsent = failed.take_message();
        let error = failed.into_error();
        let again = match unsent {
            Some(request) => Some(request),
            None if is_closed(&error) => spare.and_then(|spare| spare.request()),
            None => None,
        };
        match again {
            Some(request) if reused && self.may_retry() => Ok(request),
            _ if is_closed(&error) => Err(ForwardError::Closed { endpoint: endpoint.url() }),
            _ => Err(ForwardError::Protocol { endpoint: endpoint.url(), detail: describe(&error) }),
        }
    }

    fn cut(&self, endpoint: &Endpoint, cut: StreamError) -> ForwardError {
        match cut {
            StreamError::LeaseEnded(reason) => ForwardError::LeaseEnded(reason),
            StreamError::Timeout(_) if self.client_owes() => ForwardError::BodyTimeout,
            StreamError::Timeout(Deadline::Total) => {
                ForwardError::Timeout { endpoint: endpoint.url(), which: Deadline::Total }
            }
            _ => ForwardError::Timeout { endpoint: endpoint.url(), which: Deadline::Header },
        }
    }

    fn body_failed(&self, failure: Failure) -> ForwardError {
        match failure {
            Failure::Client => ForwardError::ClientGone,
            Failure::Timeout => ForwardError::BodyTimeout,
            Failure::TooLarge => ForwardError::BodyTooLarge { limit: self.upstream.settings.max_request_body },
            Failure::Lease(reason) => ForwardError::LeaseEnded(reason),
        }
    }

    fn answered(self: Box<Self>, endpoint: &Arc<Endpoint>, answer: Answer) -> Result<Forwarded, ForwardError> {
        let (response, hold, mut watch) = answer;
        let settings = &self.upstream.settings;
        match response.status() {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                if !self.client_owes() {
                    self.upstream.failed(endpoint);
                }
            }
            _ => endpoint.succeeded(),
        }
        let (upstream, endpoint) = (settings.name.clone(), endpoint.url());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let unasked = || ForwardError::Protocol {
                endpoint: endpoint.clone(),
                detail: "an upgrade that it was not asked for".into(),
            };
            let upgrade = self.upgrade.ok_or_else(unasked)?;
            let (response, tunnel) = upgrade.granted(response, hold, settings, self.lease, &endpoint)?;
            return Ok(Forwarded { response, upstream, endpoint, tunnel: Some(tunnel) });
        }
        let (mut parts, incoming) = response.into_parts();
        headers::answer(&mut parts.headers, &settings.response_headers);
        parts.extensions.clear();
        parts.version = http::Version::HTTP_11;
        watch.begin_again(settings.timeouts.idle);
        let response = Response::from_parts(parts, Body::new(incoming, watch, hold));
        Ok(Forwarded { response, upstream, endpoint, tunnel: None })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn is_closed(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    error.is_closed() || error.is_incomplete_message() || error.is_canceled() || io
}

/// hyper's own words, which hold nothing of the message.
fn describe(error: &hyper::Error) -> Box<str> {
    error.to_string().into()
}
