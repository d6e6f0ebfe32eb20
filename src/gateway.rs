//! The policy enforcement point: the whole journey on one screen.
//!
//! In comes a request as the HTTP layer parsed it, out goes an answer, whatever happens: a refusal, a panic, an
//! upstream that fails. Nothing else knows the order of the rooms.

mod answer;
mod in_force;
mod own;
mod snapshot;

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, Request, Response};
use hyper::body::Incoming;

pub use answer::AnswerBody;
use in_force::{Held, InForce};
pub use snapshot::Snapshot;

use crate::audit::{Recorder, Trail};
use crate::authn::TokenCache;
use crate::credential;
use crate::identity::Reason;
use crate::lease::Leases;
use crate::policy::Renewal;
use crate::rejection::{Rejection, render};
use crate::request::{AnswerStyle, Arrival, Body, Connection, HttpVersion, Received};
use crate::route::Resolved;
use crate::telemetry::Clock;
use crate::upstream::{Forwarded, Pools};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One worker's gate. `!Send`: its caches and pools are the worker's own.
pub struct Gateway {
    in_force: InForce<Snapshot>,
    tokens: TokenCache,
    pools: Pools,
    leases: Leases,
    /// The configuration and the revocations at the last look at what is open.
    reviewed: RefCell<(Rc<Held<Snapshot>>, u64)>,
    recorder: Rc<Recorder>,
    clock: Clock,
}

/// What an admitted request is answered with.
enum Answer {
    Forwarded(Forwarded),
    Own(Response<Bytes>),
}

impl Gateway {
    /// A gate over the configuration in force, which a reload swaps underneath it.
    pub fn new(snapshot: Arc<ArcSwap<Snapshot>>, recorder: Rc<Recorder>, clock: Clock) -> Self {
        let leases = Leases::new({
            let (snapshot, clock) = (snapshot.clone(), clock.clone());
            move |grant| {
                let (now, snapshot) = (clock.now(), snapshot.load());
                let revoked = grant.token().zip(grant.token_hash());
                let revoked = revoked.is_some_and(|(facts, hash)| snapshot.authenticator.is_revoked(hash, facts));
                (if revoked { Renewal::Ended(Reason::TokenRevoked) } else { snapshot.policy.renew(grant, now) }, now)
            }
        });
        let in_force = InForce::new(snapshot);
        let current = in_force.take();
        let reviewed = RefCell::new((current.clone(), current.authenticator.revocations()));
        Self { in_force, tokens: TokenCache::default(), pools: Pools::new(), leases, reviewed, recorder, clock }
    }

    /// Decides again about everything that is open, if the configuration has changed since the last look or anything was
    /// revoked, and asks each time whether the clients' certificates still count. What is no longer allowed ends, in
    /// mid-stream.
    pub fn review(&self) {
        self.leases.review_peers(self.clock.now());
        let current = self.in_force.take();
        let revocations = current.authenticator.revocations();
        let (known, seen) = self.reviewed.replace((current.clone(), revocations));
        if !Rc::ptr_eq(&known, &current) || seen != revocations {
            self.leases.review();
        }
    }

    /// Answers one request. Never fails: what goes wrong inside is a refusal.
    pub fn serve(
        self: &Rc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> impl Future<Output = Response<AnswerBody>> + use<> {
        let gateway = self.clone();
        let arrival = Arrival::of(&request, self.clock.now());
        let (style, id) = (arrival.style, arrival.id);
        let call = (style == AnswerStyle::Grpc && connection.http == HttpVersion::Http2).then_some(id);
        let mut trail = Trail::begin(&self.recorder, arrival, connection.clone());
        // Boxed: the walk would have room for it at every step.
        let request = Box::new(request.map(|body| Body::counted(body, || trail.bytes_in())));
        async move {
            let walk = AssertUnwindSafe(gateway.admit(request, connection, &mut trail)).catch_unwind().await;
            let mut response = match walk.unwrap_or(Err(Rejection::Internal)) {
                Ok(Answer::Forwarded(forwarded)) => AnswerBody::forwarded(forwarded, trail, call),
                Ok(Answer::Own(response)) => AnswerBody::own(response, trail),
                Err(rejection) => {
                    let verdict = rejection.verdict(trail.conceals(), trail.forms(), trail.authority().as_deref());
                    trail.ended(verdict.recorded, rejection.detail());
                    AnswerBody::own(render(&verdict, style, &id), trail)
                }
            };
            response.headers_mut().insert(X_REQUEST_ID, id.to_header());
            response
        }
    }

    async fn admit(
        &self,
        request: Box<Request<Body>>,
        connection: Arc<Connection>,
        trail: &mut Trail,
    ) -> Result<Answer, Rejection> {
        let snapshot = self.in_force.take();
        let (now, started) = (trail.arrival().at, trail.arrival().started.into());
        let intake = snapshot.intake.get(&connection.listener).ok_or(Rejection::Internal)?;
        let received = Received::intake(request, connection, trail.arrival(), intake)?;
        trail.received(&received);
        let routed = match snapshot.routes.resolve(received)? {
            Resolved::Route(routed) => routed,
            Resolved::Own(endpoint) => return Ok(Answer::Own(own::answer(endpoint, &snapshot))),
        };
        trail.route(&routed);
        let presented = credential::extract(routed)?;
        let identified = snapshot.authenticator.identify(presented, &self.tokens, now).await?;
        trail.subject(&identified);
        let decision = snapshot.policy.decide(identified, now);
        trail.decision(&decision, snapshot.policy.version());
        let allowed = decision?;
        if !trail.reserve() {
            return Err(Rejection::AuditUnavailable);
        }
        Ok(Answer::Forwarded(self.pools.forward(allowed, &snapshot.upstreams, &self.leases, (now, started)).await?))
    }
}
