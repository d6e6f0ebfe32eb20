//! What one request leaves behind while it walks: owned by whoever has the request in hand, recorded when it is dropped.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::line::Seconds;
use super::record::micros;
use super::{Durations, Record, Recorder, Slot};
use crate::authn::Identified;
use crate::identity::{Name, PeerCertificate, Reason, TokenFacts};
use crate::lease::Ended;
use crate::policy::rules::LogLevel;
use crate::policy::{Allowed, Denied, PolicyVersion, Watched};
use crate::request::{Arrival, Connection, PathForms, Received};
use crate::route::Routed;

/// An exchange open for longer than this leaves an `opened` notice besides its final record.
const LONG: Duration = Duration::from_secs(10);
/// The most bytes that are recorded of what a client chooses: its path, the host and method that it states, what was wrong.
const MAX_PATH: usize = 8 * 1024;
const MAX_HOST: usize = 256;
const MAX_METHOD: usize = 32;
const MAX_DETAIL: usize = 1024;

/// The trail of one request. Dropping it writes the one final record, whatever happened.
#[derive(Debug)]
pub struct Trail {
    recorder: Rc<Recorder>,
    exchange: Rc<Exchange>,
    key: usize,
    slot: Option<Slot>,
}

/// A step of the walk whose time is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Who asks is known.
    Identified,
    /// The decision is made.
    Decided,
    /// The head of the upstream's answer is here.
    Answered,
}

/// What is known so far; shared with the recorder, which writes `opened` notices.
#[derive(Debug)]
pub(super) struct Exchange {
    arrival: Arrival,
    connection: Arc<Connection>,
    started: Instant,
    opened: Cell<bool>,
    facts: RefCell<Facts>,
    /// Of a request without a body there is none.
    bytes_in: OnceCell<Arc<AtomicU64>>,
    bytes_out: Cell<u64>,
}

#[derive(Debug, Default)]
struct Facts {
    source: Option<IpAddr>,
    authority: bool,
    route: Option<Name>,
    rewritten: Option<Box<str>>,
    conceal: bool,
    forms: PathForms,
    token: Option<Arc<TokenFacts>>,
    rule: Option<Name>,
    policy: Option<PolicyVersion>,
    watched: Option<Watched>,
    allowed: bool,
    upstream: Option<Name>,
    endpoint: Option<Arc<str>>,
    status: Option<StatusCode>,
    reason: Option<Reason>,
    detail: Option<String>,
    identified: Option<u64>,
    decided: Option<u64>,
    answered: Option<u64>,
    complete: bool,
}

impl Trail {
    /// Begins with what is known before any check.
    pub fn begin(recorder: &Rc<Recorder>, arrival: Arrival, connection: Arc<Connection>) -> Self {
        let exchange = Rc::new(Exchange {
            started: arrival.started,
            arrival,
            connection,
            opened: Cell::new(false),
            facts: RefCell::default(),
            bytes_in: OnceCell::new(),
            bytes_out: Cell::new(0),
        });
        recorder.meters().in_flight.add(1);
        let key = recorder.open.borrow_mut().insert(exchange.clone());
        Self { recorder: recorder.clone(), exchange, key, slot: None }
    }

    /// What the request arrived with: its id, and the style in which a refusal is answered.
    pub fn arrival(&self) -> &Arrival {
        &self.exchange.arrival
    }

    /// The counter of request body bytes, for the body that is streamed.
    pub fn bytes_in(&self) -> Arc<AtomicU64> {
        self.exchange.bytes_in.get_or_init(Arc::default).clone()
    }

    /// Counts bytes of the answer's body.
    pub fn count_out(&self, bytes: usize) {
        self.exchange.bytes_out.set(self.exchange.bytes_out.get() + bytes as u64);
    }

    /// The request has one meaning.
    pub fn received(&mut self, received: &Received) {
        let mut facts = self.exchange.facts.borrow_mut();
        facts.source = Some(received.source());
        facts.authority = true;
        facts.forms = received.path().forms();
    }

    /// The forms of the path that a route must admit by name.
    pub fn forms(&self) -> PathForms {
        self.exchange.facts.borrow().forms
    }

    /// The host that the client named, once it is known to be well-formed.
    pub fn authority(&self) -> Option<Cow<'_, str>> {
        let known = self.exchange.facts.borrow().authority;
        self.arrival().stated_host().filter(|_| known)
    }

    /// The route is known.
    pub fn route(&mut self, routed: &Routed) {
        let (route, request) = (routed.route(), routed.request());
        let mut facts = self.exchange.facts.borrow_mut();
        facts.route = Some(route.name.clone());
        facts.rewritten = route.prefix_rewrite.is_some().then(|| request.path().as_str().into());
        facts.conceal = route.conceal;
    }

    /// Whether refusals on the route look like an unknown address.
    pub fn conceals(&self) -> bool {
        self.exchange.facts.borrow().conceal
    }

    /// Who asks is known.
    pub fn subject(&mut self, identified: &Identified) {
        self.exchange.facts.borrow_mut().token = identified.token().cloned();
        self.passed(Stage::Identified);
    }

    /// The decision, and the rule and version behind it.
    pub fn decision(&mut self, decision: &Result<Allowed, Box<Denied>>, version: &PolicyVersion) {
        {
            let mut facts = self.exchange.facts.borrow_mut();
            facts.allowed = decision.is_ok();
            facts.rule = match decision {
                Ok(allowed) => Some(allowed.grant().rule().clone()),
                Err(denied) => denied.rule.clone(),
            };
            facts.watched = match decision {
                Ok(allowed) => allowed.grant().watched().cloned(),
                Err(denied) => denied.watched.clone(),
            };
            if let Some(watched) = &facts.watched {
                self.recorder.meters().watched(watched.allowed).add(1);
            }
            facts.policy = Some(version.clone());
        }
        self.recorder.meters().decisions.observe(self.passed(Stage::Decided));
        self.count_subject(decision);
        self.speak(decision);
    }

    /// Tells the operational log of a decision when its rule says how loudly.
    fn speak(&self, decision: &Result<Allowed, Box<Denied>>) {
        let (level, word, reason) = match decision {
            Ok(allowed) => (allowed.grant().log(), "allow", None),
            Err(denied) => (denied.log, "deny", Some(denied.reason.code())),
        };
        let Some(level) = level.filter(|_| self.recorder.may_speak(self.arrival().at)) else { return };
        let facts = self.exchange.facts.borrow();
        let (id, route, rule) =
            (self.arrival().id, facts.route.as_ref().map(Name::as_str), facts.rule.as_ref().map(Name::as_str));
        match level {
            LogLevel::Debug => tracing::debug!(%id, decision = word, route, rule, reason, "a decision"),
            LogLevel::Info => tracing::info!(%id, decision = word, route, rule, reason, "a decision"),
            LogLevel::Warn => tracing::warn!(%id, decision = word, route, rule, reason, "a decision"),
        }
    }

    /// Counts who was decided about, once they are known: by their token, else by their certificate. Whoever is only asked
    /// for a token was not refused yet.
    fn count_subject(&self, decision: &Result<Allowed, Box<Denied>>) {
        let refused = match decision {
            Ok(_) => false,
            Err(denied) if denied.reason == Reason::CredentialMissing => return,
            Err(_) => true,
        };
        let subjects = &self.recorder.meters().subjects;
        match (&self.exchange.facts.borrow().token, &self.exchange.connection.peer) {
            (Some(token), _) => subjects.note(&token.principal, refused),
            (None, PeerCertificate::Verified(peer)) => match &peer.facts().spiffe_id {
                // Its certificate is another one every hour.
                Some(id) => subjects.note(id.as_str(), refused),
                None => subjects.note(peer.facts().fingerprint, refused),
            },
            (None, _) => {}
        }
    }

    /// Reserves the place of the final record. `false`: there is none, and the request must not be forwarded.
    pub fn reserve(&mut self) -> bool {
        self.slot = self.recorder.reserve();
        self.slot.is_some()
    }

    /// The upstream answered.
    pub fn forwarded(&mut self, upstream: &Name, endpoint: &Arc<str>) {
        {
            let mut facts = self.exchange.facts.borrow_mut();
            facts.upstream = Some(upstream.clone());
            facts.endpoint = Some(endpoint.clone());
        }
        self.passed(Stage::Answered);
    }

    /// The status that the client is sent.
    pub fn status(&mut self, status: StatusCode) {
        self.exchange.facts.borrow_mut().status = Some(status);
    }

    /// Why the request was refused, or why an allowed exchange ended other than well. The first reason stays.
    pub fn ended(&mut self, reason: Reason, detail: Option<String>) {
        let mut facts = self.exchange.facts.borrow_mut();
        if facts.reason.is_none() {
            facts.reason = Some(reason);
            facts.detail = detail;
        }
    }

    /// The end of an upgraded connection.
    pub fn tunnelled(&mut self, ended: &Ended) {
        self.bytes_in().store(ended.to_upstream, Ordering::Relaxed);
        self.exchange.bytes_out.set(ended.to_client);
        if let Some(reason) = ended.reason {
            self.ended(reason, None);
        }
    }

    /// The answer went out to its end. A trail that is dropped without this was cut.
    pub fn complete(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.exchange.facts.borrow_mut().complete = true;
    }

    /// How long that took since the arrival.
    fn passed(&self, stage: Stage) -> Duration {
        let elapsed = self.exchange.started.elapsed();
        let at = Some(micros(elapsed));
        let mut facts = self.exchange.facts.borrow_mut();
        match stage {
            Stage::Identified => facts.identified = at,
            Stage::Decided => facts.decided = at,
            Stage::Answered => facts.answered = at,
        }
        elapsed
    }

    fn cut_reason(&self) -> Reason {
        if std::thread::panicking() {
            Reason::InternalError
        } else if self.recorder.draining() {
            Reason::Drained
        } else {
            Reason::ClientGone
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if !self.exchange.facts.borrow().complete {
            let reason = self.cut_reason();
            self.ended(reason, None);
        }
        self.recorder.open.borrow_mut().try_remove(self.key);
        let total = self.exchange.started.elapsed();
        self.exchange.count(self.recorder.meters(), total);
        let (exchange, seconds) = (&self.exchange, &self.recorder.seconds);
        match self.slot.take() {
            Some(slot) => slot.fill(|lines| exchange.render(lines, "request", total, seconds), &self.recorder),
            None => self.recorder.push_refusal(|lines| exchange.render(lines, "request", total, seconds)),
        }
    }
}

impl Exchange {
    pub(super) fn is_long(&self) -> bool {
        self.started.elapsed() >= LONG && !self.opened.replace(self.started.elapsed() >= LONG)
    }

    pub(super) fn render_opened(&self, lines: &mut Vec<u8>, seconds: &Seconds) {
        self.render(lines, "opened", self.started.elapsed(), seconds);
    }

    fn count_in(&self) -> u64 {
        self.bytes_in.get().map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn count(&self, meters: &crate::telemetry::Meters, total: Duration) {
        let facts = self.facts.borrow();
        match facts.reason {
            Some(reason) => meters.refused(reason).add(1),
            None => meters.allowed.add(1),
        }
        meters.durations.observe(total);
        meters.bytes_in.add(self.count_in());
        meters.bytes_out.add(self.bytes_out.get());
        meters.in_flight.add(-1);
    }

    fn render(&self, lines: &mut Vec<u8>, kind: &'static str, total: Duration, seconds: &Seconds) {
        let facts = self.facts.borrow();
        let host = self.arrival.stated_host();
        let record = Record {
            kind,
            time: self.arrival.at,
            id: &self.arrival.id,
            trace: &self.arrival.trace,
            connection: &self.connection,
            source: facts.source,
            token: facts.token.as_deref(),
            method: bounded(self.arrival.method.as_str(), MAX_METHOD),
            host: host.as_deref().map(|host| bounded(host, MAX_HOST)),
            path: bounded(self.arrival.stated_path(), MAX_PATH),
            rewritten: facts.rewritten.as_deref().map(|path| bounded(path, MAX_PATH)),
            route: facts.route.as_ref(),
            allowed: facts.allowed,
            reason: facts.reason,
            rule: facts.rule.as_ref(),
            policy: facts.policy.as_ref().map(|version| &**version.as_arc()),
            watched: facts.watched.as_ref(),
            upstream: facts.upstream.as_ref(),
            endpoint: facts.endpoint.as_deref(),
            status: facts.status.map(|status| status.as_u16()),
            bytes_in: self.count_in(),
            bytes_out: self.bytes_out.get(),
            durations_us: Durations {
                identified: facts.identified,
                decided: facts.decided,
                answered: facts.answered,
                total: micros(total),
            },
            detail: facts.detail.as_deref().map(|detail| bounded(detail, MAX_DETAIL)),
        };
        record.write(lines, seconds);
    }
}

/// What is longer is recorded by its beginning.
fn bounded(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}
