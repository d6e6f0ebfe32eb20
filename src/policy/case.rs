//! A request that is described instead of received: for tests, explanations, questions and replays.
//!
//! A case proves nothing and can never become an `Allowed`; it is judged by the same rules.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::rules::{Explanation, Facts, Refusal, RequestFacts, RuleSet, Verdict, evaluate, explain};
use crate::identity::{Name, PathParams, PeerFacts, Reason, TokenFacts};
use crate::request::{CanonicalPath, Host};
use crate::route::{Meant, RouteError, Routes};

/// A described request.
#[derive(Clone, Debug)]
pub struct Case {
    /// The method.
    pub method: Method,
    /// The host.
    pub host: Host,
    /// The path that is asked for.
    pub path: CanonicalPath,
    /// The query, without `?`.
    pub query: Option<Box<str>>,
    /// The header fields, without the credential.
    pub headers: HeaderMap,
    /// The verified token, as it is assumed to be.
    pub token: Option<TokenFacts>,
    /// The verified client certificate, as it is assumed to be.
    pub peer: Option<PeerFacts>,
    /// Where it comes from.
    pub source: IpAddr,
    /// When.
    pub at: Timestamp,
}

/// What becomes of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is admitted.
    pub allowed: bool,
    /// The route, when there is one.
    pub route: Option<Name>,
    /// The reason of a refusal.
    pub reason: Option<Reason>,
    /// The rule that made it so, when one did.
    pub rule: Option<Name>,
    /// What the person refused is told.
    pub advice: Option<Arc<str>>,
    /// What was nearest to being allowed.
    pub nearest: Option<String>,
}

impl Case {
    /// What the case is meant for.
    ///
    /// # Errors
    /// As for a request that was received.
    pub fn route(&self, routes: &Routes) -> Result<Meant, RouteError> {
        routes.find(&self.host, &self.path, &self.method, &self.headers)
    }

    /// The facts that the rules judge, on a route or without one.
    pub fn facts<'c>(&'c self, meant: Option<&'c Meant>) -> Facts<'c> {
        static NO_PARAMS: PathParams = PathParams::NONE;
        let rewritten = meant.and_then(|meant| meant.rewritten.as_ref());
        Facts {
            request: RequestFacts {
                method: self.method.as_str(),
                host: self.host.as_str(),
                path: rewritten.unwrap_or(&self.path).as_str(),
                query: self.query.as_deref(),
                params: meant.map_or(&NO_PARAMS, |meant| &meant.params),
                headers: &self.headers,
            },
            token: self.token.as_ref(),
            peer: self.peer.as_ref(),
            source: self.source,
        }
    }

    /// What becomes of the case.
    pub fn judge(&self, routes: &Routes, rules: &RuleSet) -> Outcome {
        let meant = match self.route(routes) {
            Ok(found) => found,
            Err(error) => return Outcome::unrouted(&error),
        };
        let name = meant.route.name.clone();
        let Some(of_route) = rules.route(&name) else { return Outcome::refused(name, &Refusal::closed()) };
        let facts = self.facts(Some(&meant));
        let verdict = evaluate(of_route, &facts, self.at);
        match (&verdict, Refusal::of(&verdict, of_route, &facts, self.at)) {
            (Verdict::Allowed(rule), _) => Outcome {
                allowed: true,
                route: Some(name),
                reason: None,
                rule: Some(rule.name.clone()),
                advice: None,
                nearest: None,
            },
            (_, refusal) => Outcome::refused(name, &refusal.unwrap_or(Refusal::closed())),
        }
    }

    /// What becomes of the case, and everything that was looked at.
    ///
    /// # Errors
    /// When no route is meant, there is nothing to explain.
    pub fn explain(&self, routes: &Routes, rules: &RuleSet) -> Result<(Meant, Explanation), RouteError> {
        let meant = self.route(routes)?;
        let explanation = match rules.route(&meant.route.name) {
            Some(of_route) => explain(of_route, &self.facts(Some(&meant)), self.at),
            None => Explanation::closed(),
        };
        Ok((meant, explanation))
    }
}

impl Outcome {
    fn refused(route: Name, refusal: &Refusal<'_>) -> Self {
        Self {
            allowed: false,
            route: Some(route),
            reason: Some(refusal.reason),
            rule: refusal.rule.map(|rule| rule.name.clone()),
            advice: refusal.advice.clone(),
            nearest: refusal.nearest.clone(),
        }
    }

    fn unrouted(error: &RouteError) -> Self {
        let (reason, route) = match error {
            RouteError::Unknown => (Reason::RouteUnknown, None),
            RouteError::Method { route, .. } => (Reason::MethodNotAllowed, Some(route.clone())),
            RouteError::Misdirected => (Reason::Misdirected, None),
            RouteError::Path { route, .. } => (Reason::PathAmbiguous, route.clone()),
            RouteError::Header(_) => (Reason::HeaderInvalid, None),
        };
        Self { allowed: false, route, reason: Some(reason), rule: None, advice: None, nearest: None }
    }

    /// `allow` or `deny`.
    pub const fn decision(&self) -> &'static str {
        if self.allowed { "allow" } else { "deny" }
    }
}
