//! What an open exchange rests on: the facts of its decision, without the request and without the token's text.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use super::decide::{Policy, PolicyVersion, Watched};
use super::rules::{Facts, HeadersRead, Refusal, RequestFacts, RouteRules, Rule, Verdict, evaluate};
use crate::authn::Identified;
use crate::identity::{Name, PathParams, PeerFacts, Principal, Reason, TokenFacts};

/// What a request was granted: by which rule of which version, on which facts, until when. Made by `policy` alone.
///
/// ```compile_fail,E0599
/// # fn twice(grant: &portcullis::policy::Grant) {
/// let copy: portcullis::policy::Grant = grant.clone();
/// # }
/// ```
#[derive(Debug)]
pub struct Grant {
    facts: Arc<GrantFacts>,
    rule: Arc<Rule>,
    version: PolicyVersion,
    expires_at: Option<Timestamp>,
    owned_headers: Arc<[HeaderName]>,
    watched: Option<Watched>,
}

/// Whether a grant goes on.
#[derive(Debug)]
pub enum Renewal {
    /// It does, on these terms.
    Renewed(Grant),
    /// It ends, for this reason.
    Ended(Reason),
}

/// The facts of a decision, owned.
#[derive(Debug)]
pub(super) struct GrantFacts {
    route: Name,
    method: Method,
    /// Host, path and query in one piece: a decision costs one allocation for them.
    target: Box<str>,
    host_length: usize,
    path_length: usize,
    has_query: bool,
    params: PathParams,
    headers: HeaderMap,
    headers_kept: HeadersRead,
    token: Option<Arc<TokenFacts>>,
    token_hash: Option<[u8; 32]>,
    peer: Option<Arc<PeerFacts>>,
    source: IpAddr,
}

impl Grant {
    pub(super) fn new(
        policy: &Policy,
        rules: &RouteRules,
        rule: &Arc<Rule>,
        facts: GrantFacts,
        watched: Option<Watched>,
        now: Timestamp,
    ) -> Self {
        Self::over(policy, rules, rule, Arc::new(facts), watched, now)
    }

    fn over(
        policy: &Policy,
        rules: &RouteRules,
        rule: &Arc<Rule>,
        facts: Arc<GrantFacts>,
        watched: Option<Watched>,
        now: Timestamp,
    ) -> Self {
        let changes = rules.next_change(&facts.facts(), now);
        let expires_at = facts.credentials_end().into_iter().chain(changes).min();
        Self {
            rule: Arc::clone(rule),
            version: policy.version().clone(),
            expires_at,
            owned_headers: Arc::clone(rules.owned_headers()),
            watched,
            facts,
        }
    }

    /// The rule that allowed.
    pub fn rule(&self) -> &Name {
        &self.rule.name
    }

    /// The version of the policy that decided.
    pub const fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// The route.
    pub fn route(&self) -> &Name {
        &self.facts.route
    }

    /// Who the token names.
    pub fn principal(&self) -> Option<&Principal> {
        self.facts.token.as_ref().map(|token| &token.principal)
    }

    /// The token's facts.
    pub fn token(&self) -> Option<&Arc<TokenFacts>> {
        self.facts.token.as_ref()
    }

    /// What names that token among revocations.
    pub fn token_hash(&self) -> Option<&[u8; 32]> {
        self.facts.token_hash.as_ref()
    }

    /// The client certificate's facts.
    pub fn peer(&self) -> Option<&Arc<PeerFacts>> {
        self.facts.peer.as_ref()
    }

    /// When the grant ends unless it is renewed: a credential expires, or a condition may change with time. `None`: it
    /// rests on nothing that ends by itself.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Header fields that the rule gives the upstream.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.rule.headers()
    }

    /// Header fields that some rule of the route sets: whatever the client sent under these names must not be forwarded.
    pub fn owned_headers(&self) -> &[HeaderName] {
        &self.owned_headers
    }

    /// How loudly the rule wants this logged.
    pub fn log(&self) -> Option<super::rules::LogLevel> {
        self.rule.log()
    }

    /// What the rules that are only watched would have said instead.
    pub const fn watched(&self) -> Option<&Watched> {
        self.watched.as_ref()
    }
}

impl Policy {
    /// Decides again about an exchange that is open, by the rules of today. Yields no `Allowed`: what was forwarded can be
    /// kept up or cut, never forwarded again.
    pub fn renew(&self, grant: &Grant, now: Timestamp) -> Renewal {
        let facts = &grant.facts;
        if facts.token.as_ref().is_some_and(|token| token.expires_at <= now) {
            return Renewal::Ended(Reason::TokenExpired);
        }
        if facts.peer.as_ref().is_some_and(|peer| peer.not_after <= now) {
            return Renewal::Ended(Reason::CertificateRefused);
        }
        let Some(rules) = self.rules.route(&facts.route) else { return Renewal::Ended(Reason::NoRuleAllows) };
        // A header that today's rules read and that was not kept cannot be taken for absent.
        if !rules.headers_read().within(&facts.headers_kept) {
            return Renewal::Ended(Reason::PolicyChanged);
        }
        let facts = facts.facts();
        let verdict = evaluate(rules, &facts, now);
        match verdict {
            Verdict::Allowed(rule) => {
                Renewal::Renewed(Grant::over(self, rules, rule, Arc::clone(&grant.facts), None, now))
            }
            Verdict::Denied(_) | Verdict::RequirementFailed(_) | Verdict::NothingAllows => {
                let refusal = Refusal::of(&verdict, rules, &facts, now);
                Renewal::Ended(refusal.map_or(Reason::NoRuleAllows, |refusal| refusal.reason))
            }
        }
    }
}

impl GrantFacts {
    /// Keeps what today's rules may ask again.
    pub(super) fn of(request: &mut Identified, rules: &RouteRules) -> Self {
        // The rules were the last to look at them.
        let params = request.take_params();
        let routed = request.routed();
        let received = routed.request();
        let (host, path) = (received.host().as_str(), received.path().as_str());
        let query = received.query();
        let mut target = String::with_capacity(host.len() + path.len() + query.map_or(0, str::len));
        target.push_str(host);
        target.push_str(path);
        target.push_str(query.unwrap_or_default());
        Self {
            route: routed.route().name.clone(),
            method: received.method().clone(),
            host_length: host.len(),
            path_length: path.len(),
            has_query: query.is_some(),
            target: target.into(),
            params,
            headers: rules.headers_read().kept(received.headers()),
            headers_kept: rules.headers_read().clone(),
            token: request.token().cloned(),
            token_hash: request.token_hash().copied(),
            peer: request.peer().cloned(),
            source: received.source(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        let (host, rest) = self.target.split_at_checked(self.host_length).unwrap_or_default();
        let (path, query) = rest.split_at_checked(self.path_length).unwrap_or_default();
        Facts {
            request: RequestFacts {
                method: self.method.as_str(),
                host,
                path,
                query: self.has_query.then_some(query),
                params: &self.params,
                headers: &self.headers,
            },
            token: self.token.as_deref(),
            peer: self.peer.as_deref(),
            source: self.source,
        }
    }

    /// When the first of the credentials expires.
    fn credentials_end(&self) -> Option<Timestamp> {
        let token = self.token.as_ref().map(|token| token.expires_at);
        let peer = self.peer.as_ref().map(|peer| peer.not_after);
        token.into_iter().chain(peer).min()
    }
}
