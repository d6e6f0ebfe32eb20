//! The decision about a request that was received: the only place where an [`Allowed`] is made.
//!
//! In: an [`Identified`] and the moment. Out: [`Allowed`], which can be forwarded, or [`Denied`], which can be answered.
//! The rules themselves are pure and know no request; see [`rules`](super::rules).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::grant::{Grant, GrantFacts};
use super::rules::{
    Facts, LogLevel, Obligations, Refusal, RequestFacts, RouteRules, Rule, RuleSet, Verdict, evaluate,
    evaluate_with_shadows,
};
use crate::authn::Identified;
use crate::identity::{Name, Reason};

/// The policy that is served: its rules, and the version that records name.
#[derive(Debug)]
pub struct Policy {
    pub(super) rules: RuleSet,
    candidate: Option<Arc<RuleSet>>,
    version: PolicyVersion,
}

/// A hash of everything that the policy was read from. Equal content is an equal version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyVersion(Arc<str>);

/// Proof that the policy allows this very request. The only thing that `upstream` forwards.
///
/// It contains the request that it was decided for. It cannot be built elsewhere:
///
/// ```compile_fail,E0451
/// # fn forge(request: portcullis::authn::Identified, grant: portcullis::policy::Grant) {
/// let forged = portcullis::policy::Allowed { request, grant };
/// # }
/// ```
/// and it cannot be copied: one decision, one forward.
///
/// ```compile_fail,E0599
/// # fn twice(allowed: portcullis::policy::Allowed) {
/// let copy = allowed.clone();
/// # }
/// ```
/// Nor is there a default:
///
/// ```compile_fail,E0599
/// let forged = portcullis::policy::Allowed::default();
/// ```
#[derive(Debug)]
pub struct Allowed {
    request: Identified,
    grant: Grant,
}

/// A refusal: what the answer, the page and the record need.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The reason. [`Reason::CredentialMissing`] is 401, every other one is 403.
    pub reason: Reason,
    /// The route.
    pub route: Name,
    /// The rule that refused, when one did.
    pub rule: Option<Name>,
    /// The version of the policy that decided.
    pub version: PolicyVersion,
    /// A text that a rule holds ready for the person refused.
    pub advice: Option<Arc<str>>,
    /// The scopes that a token would need (RFC 6750 section 3).
    pub scopes: Vec<Box<str>>,
    /// The classes of sign-in that would do (RFC 9470 section 3).
    pub acr: Vec<Box<str>>,
    /// How old a sign-in may be (RFC 9470 section 3).
    pub max_age: Option<Duration>,
    /// What was nearest to being allowed. For the operator, never for the client.
    pub nearest: Option<String>,
    /// How loudly the rule wants this logged.
    pub log: Option<LogLevel>,
    /// What the rules that are only watched would have said instead.
    pub watched: Option<Watched>,
}

/// A difference between the rules that count and those that are only watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Whether the request would have been admitted.
    pub allowed: bool,
    /// The rule that would have made it so.
    pub rule: Option<Name>,
}

impl Policy {
    /// Serves these rules.
    pub const fn new(rules: RuleSet, version: PolicyVersion) -> Self {
        Self { rules, candidate: None, version }
    }

    /// With a whole set of rules that is only watched: evaluated on live traffic beside the one that counts.
    #[must_use]
    pub fn watching(self, candidate: Option<Arc<RuleSet>>) -> Self {
        Self { candidate, ..self }
    }

    /// The rules that are only watched.
    pub const fn candidate(&self) -> Option<&Arc<RuleSet>> {
        self.candidate.as_ref()
    }

    /// The rules.
    pub const fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The version.
    pub const fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// [`Denied`], unless a rule allows it, every requirement is met, and nothing denies it.
    pub fn decide(&self, mut request: Identified, now: Timestamp) -> Result<Allowed, Box<Denied>> {
        let route = &request.routed().route().name;
        let facts = facts(&request);
        let Some(rules) = self.rules.route(route) else {
            return Err(Box::new(self.denied(route, Refusal::closed(), None)));
        };
        let verdict = evaluate(rules, &facts, now);
        let watched = self.watch(rules, route, &facts, now, &verdict);
        match verdict {
            Verdict::Allowed(rule) => {
                let grant = Grant::new(self, rules, rule, GrantFacts::of(&mut request, rules), watched, now);
                Ok(Allowed { request, grant })
            }
            Verdict::Denied(_) | Verdict::RequirementFailed(_) | Verdict::NothingAllows => {
                let refusal = Refusal::of(&verdict, rules, &facts, now).unwrap_or(Refusal::closed());
                Err(Box::new(self.denied(route, refusal, watched)))
            }
        }
    }

    fn denied(&self, route: &Name, refusal: Refusal<'_>, watched: Option<Watched>) -> Denied {
        Denied {
            reason: refusal.reason,
            route: route.clone(),
            rule: refusal.rule.map(|rule| rule.name.clone()),
            version: self.version.clone(),
            log: refusal.rule.and_then(Rule::log),
            advice: refusal.advice,
            scopes: refusal.scopes,
            acr: refusal.acr,
            max_age: refusal.max_age,
            nearest: refusal.nearest,
            watched,
        }
    }

    /// What would be different if the watched rules counted. The candidate set, when there is one, is the question asked;
    /// else the route's own rules in shadow mode.
    fn watch(
        &self,
        rules: &RouteRules,
        route: &Name,
        facts: &Facts<'_>,
        now: Timestamp,
        enforced: &Verdict<'_>,
    ) -> Option<Watched> {
        let would = match &self.candidate {
            Some(candidate) => candidate.route(route).map_or(Verdict::NothingAllows, |r| evaluate(r, facts, now)),
            None if rules.shadows().is_empty() => return None,
            None => evaluate_with_shadows(rules, facts, now),
        };
        let allowed = would.is_allowed();
        (allowed != enforced.is_allowed())
            .then(|| Watched { allowed, rule: would.rule().map(|rule| rule.name.clone()) })
    }
}

impl Allowed {
    /// The request.
    pub const fn request(&self) -> &Identified {
        &self.request
    }

    /// What it was granted.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The request, to be forwarded, and what it was granted.
    pub(crate) fn into_parts(self) -> (Identified, Grant) {
        (self.request, self.grant)
    }
}

impl Rule {
    /// How loudly the rule wants its decisions logged.
    pub fn log(&self) -> Option<LogLevel> {
        self.obligations.as_ref()?.log
    }

    /// The header fields that the rule gives the upstream.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.obligations.as_deref().map_or(&[], |obligations: &Obligations| obligations.headers.as_slice())
    }
}

impl PolicyVersion {
    /// Takes a hash.
    pub fn new(hash: impl Into<Arc<str>>) -> Self {
        Self(hash.into())
    }

    /// The text, as records show it.
    pub const fn as_arc(&self) -> &Arc<str> {
        &self.0
    }
}

impl std::fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the rules may look at.
fn facts(request: &Identified) -> Facts<'_> {
    let routed = request.routed();
    let received = routed.request();
    Facts {
        request: RequestFacts {
            method: received.method().as_str(),
            host: received.host().as_str(),
            path: received.path().as_str(),
            query: received.query(),
            params: routed.params(),
            headers: received.headers(),
        },
        token: request.token().map(AsRef::as_ref),
        peer: request.peer().map(AsRef::as_ref),
        source: received.source(),
    }
}
