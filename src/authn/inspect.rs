//! Why a token counts here, or does not: every check of the long way one by one, each with what it found.
//!
//! The checks are the verifier's own and stand in its order, so the first that fails is the refusal that a request with
//! the token would meet. What is shown are decoded members, cut short and without control characters; never the token.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::authenticator::{Authenticator, Kind, Source};
use super::error::{AuthnError, BindingFault};
use super::facts::{self, Registered};
use super::introspection::IntrospectionServer;
use super::issuer::IssuerVerifier;
use super::jwt::{self, Compact};
use super::revocations::sha256;
use super::settings::{Audiences, IssuerSettings, TokenRules, TokenType};
use crate::identity::{Claims, Confirmation, Name, TokenFacts};
use crate::route::Binding;

/// The most characters of a member that are shown.
const MOST_SHOWN: usize = 120;

/// What became of every check of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The source that judges the token, when one does.
    pub source: Option<Name>,
    /// In the order of the verifier.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is checked, in a word.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// What was found, in a sentence.
    pub found: String,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing is wrong with it.
    Passed,
    /// For this the token is refused.
    Failed(AuthnError),
    /// It could not be checked, or depends on the connection that brings the token.
    Open,
}

impl Inspection {
    /// For what a request with this token would be refused.
    pub fn refusal(&self) -> Option<&AuthnError> {
        self.checks.iter().find_map(|check| match &check.outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Passed | Outcome::Open => None,
        })
    }

    fn add<T>(&mut self, name: &'static str, result: Result<T, AuthnError>, found: String) -> Option<T> {
        let (outcome, value) = match result {
            Ok(value) => (Outcome::Passed, Some(value)),
            Err(error) => (Outcome::Failed(error), None),
        };
        self.checks.push(Check { name, outcome, found });
        value
    }

    fn open(&mut self, name: &'static str, found: impl Into<String>) {
        self.checks.push(Check { name, outcome: Outcome::Open, found: found.into() });
    }
}

/// Whom an inspection may ask over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The token's issuer for its keys, or its authorization server for its state.
    TheSource,
    /// Nobody: what only they know stays open.
    Nobody,
}

impl Authenticator {
    /// The source that a token means on a route with these sources, without asking anybody.
    ///
    /// # Errors
    /// Why it means none.
    pub fn source_of(&self, token: &str, route: &[Name]) -> Result<&Name, AuthnError> {
        let compact = Compact::parse(token);
        self.source_for(token, compact.as_ref(), route).map(|source| &source.name)
    }

    /// Walks every check of a token on a route with these sources and this binding.
    pub async fn inspect(
        &self,
        token: &str,
        route: &[Name],
        binding: Option<Binding>,
        ask: Ask,
        now: Timestamp,
    ) -> Inspection {
        let mut seen = Inspection { source: None, checks: Vec::new() };
        let compact = Compact::parse(token);
        let form = match compact {
            Some(_) => "a compact JWS with strict JSON",
            None => "no compact JWS with strict JSON: an opaque token, or a malformed one",
        };
        let source = self.source_for(token, compact.as_ref(), route);
        let claimed = compact.as_ref().and_then(Compact::claimed_issuer);
        let source = match source {
            Err(AuthnError::Malformed) => {
                seen.add::<()>("form", Err(AuthnError::Malformed), form.into());
                return seen;
            }
            Err(error) => {
                seen.add("form", Ok(()), form.into());
                let iss =
                    claimed.map_or_else(|| "no issuer is stated".to_owned(), |iss| format!("iss is {}", shown(iss)));
                seen.add::<()>("source", Err(error), format!("{iss}; no source of the route stands behind that"));
                return seen;
            }
            Ok(source) => source,
        };
        seen.source = Some(source.name.clone());
        seen.add("form", Ok(()), form.into());
        seen.add("source", Ok(()), chosen(source, claimed));
        let (length, most) = (token.len(), source.rules().max_bytes);
        let size = if length > most { Err(AuthnError::TooLarge) } else { Ok(()) };
        if seen.add("size", size, format!("{length} bytes; at most {most}")).is_none() {
            return seen;
        }
        let rules = source.rules();
        let confirmation = match (&source.kind, compact) {
            (Kind::Issuer(issuer), Some(compact)) => {
                inspect_header(&mut seen, issuer, &compact, ask).await;
                inspect_claims(&mut seen, issuer.settings(), compact, now)
            }
            (Kind::Issuer(_), None) => None,
            (Kind::Server(server), _) => inspect_opaque(&mut seen, server, token, ask, now).await,
        };
        if let Some(confirmation) = confirmation {
            inspect_binding(&mut seen, confirmation.as_ref(), binding.unwrap_or(rules.binding));
        }
        seen
    }
}

/// By which rule the source was chosen.
fn chosen(source: &Source, claimed: Option<&str>) -> String {
    let name = source.name.as_str();
    match (&source.kind, source.prefix(), claimed) {
        (Kind::Issuer(_), _, claimed) => {
            format!("`{name}`, whose `iss` it states: {}", shown(claimed.unwrap_or_default()))
        }
        (Kind::Server(_), Some(prefix), _) => format!("`{name}`, by its prefix {}", shown(prefix)),
        (Kind::Server(_), None, _) => format!("`{name}`, the only server without a prefix"),
    }
}

async fn inspect_header(seen: &mut Inspection, issuer: &IssuerVerifier, token: &Compact<'_>, ask: Ask) {
    let settings = issuer.settings();
    let extensions = ["crit", "b64"].into_iter().filter(|name| token.header.member(name).is_some());
    let extensions: Vec<_> = extensions.collect();
    let found = if extensions.is_empty() { "none demanded".into() } else { format!("has {}", extensions.join(", ")) };
    seen.add("extensions", token.check_extensions(), found);
    let types: Vec<_> = settings.token_types.iter().map(type_name).collect();
    let found = format!("typ is {}; accepted: {}", member(token.header.member("typ")), types.join(", "));
    seen.add("type", jwt::check_type(token, settings), found);
    let allowed: Vec<_> = settings.algorithms.iter().map(|algorithm| algorithm.name()).collect();
    let found = format!("alg is {}; accepted: {}", member(token.header.member("alg")), allowed.join(", "));
    let algorithm = seen.add("algorithm", jwt::check_algorithm(token, settings), found);
    let found = format!("kid is {}", member(token.header.member("kid")));
    let key_id = seen.add("key id", token.key_id(), found);
    let (Some(algorithm), Some(key_id)) = (algorithm, key_id) else {
        return seen.open("signature", "without algorithm and key there is nothing to verify it with");
    };
    if ask == Ask::TheSource {
        issuer.first_keys().await;
    } else if issuer.key_counts() == (0, 0) {
        return seen.open("signature", "the issuer was not asked for its keys");
    }
    let wanted = jwt::Wanted { algorithm, key_id };
    let verified = match issuer.signature(token, &wanted) {
        // As the verifier does: a key that is not known is worth a fresh key set.
        Err(AuthnError::KeyUnknown) if ask == Ask::TheSource => issuer.signature_with_fresh_keys(token, &wanted).await,
        verified => verified,
    };
    let (keys, skipped) = issuer.key_counts();
    let mut found = format!("the issuer has {keys} usable keys and {skipped} that cannot verify tokens");
    if let (_, _, Some(fault)) = issuer.state() {
        found.push_str("; the last fetch failed: ");
        found.push_str(fault);
    }
    seen.add("signature", verified, found);
}

fn type_name(accepted: &TokenType) -> &str {
    match accepted {
        TokenType::Named(name) => name,
        TokenType::Absent => "none",
    }
}

/// What the token is bound to; nothing when its claims cannot be read.
fn inspect_claims(
    seen: &mut Inspection,
    settings: &IssuerSettings,
    token: Compact<'_>,
    now: Timestamp,
) -> Option<Option<Confirmation>> {
    let claims = token.claims;
    let found = "iss, sub, aud, exp, nbf, iat, client_id, azp and cnf have their types";
    let registered = match Registered::read(&claims) {
        Ok(registered) => registered,
        Err(error) => {
            seen.add::<()>("claims", Err(error), "the claims after this one were not looked at".into());
            return None;
        }
    };
    seen.add("claims", Ok(()), found.into());
    let found = format!("iss is {}; wanted: {}", member(claims.member("iss")), shown(settings.issuer.as_str()));
    seen.add("issuer", jwt::check_issuer(&registered, settings), found);
    let ends = registered.expires_at.ok_or(AuthnError::Claim("exp"));
    let found = ends.as_ref().map_or_else(|_| "there is no exp".into(), |exp| format!("exp is {exp}"));
    let expires_at = seen.add("end", ends, found);
    add_audience(seen, &registered, &claims, &settings.token);
    add_times(seen, &registered, &settings.token, now);
    if let Some(expires_at) = expires_at {
        let found = format!("accepted: {} s from `iat`", settings.max_lifetime.as_secs());
        seen.add("lifetime", jwt::check_lifetime(&registered, expires_at, settings, now), found);
    }
    let principal = facts::principal(&registered, &settings.issuer, false);
    let found =
        principal.as_ref().map_or_else(|_| "there is no sub".into(), |it| format!("sub is {}", shown(&it.subject)));
    let principal = seen.add("subject", principal, found)?;
    let confirmation = registered.confirmation.clone();
    let rest = registered.into_facts(claims, principal, expires_at?, &settings.name, &settings.token.groups);
    add_facts(seen, rest.as_ref());
    rest.ok().map(|_| confirmation)
}

fn add_audience(seen: &mut Inspection, registered: &Registered, claims: &Claims, rules: &TokenRules) {
    let accepted = match &rules.audiences {
        Audiences::OneOf(accepted) => {
            accepted.iter().map(|audience| shown(audience.as_str())).collect::<Vec<_>>().join(", ")
        }
        Audiences::Unchecked => "any".into(),
    };
    let found = format!("aud is {}; accepted: {accepted}", member(claims.member("aud")));
    seen.add("audience", registered.check_audience(rules), found);
}

fn add_times(seen: &mut Inspection, registered: &Registered, rules: &TokenRules, now: Timestamp) {
    let instant = |instant: Option<Timestamp>| instant.map_or_else(|| "absent".into(), |it| it.to_string());
    let found = format!(
        "now is {now}, exp {}, nbf {}, iat {}; clocks may differ by {} s",
        instant(registered.expires_at),
        instant(registered.not_before),
        instant(registered.issued_at),
        rules.clock_skew.as_secs(),
    );
    seen.add("time", registered.check_times(rules, now), found);
}

fn add_facts(seen: &mut Inspection, facts: Result<&TokenFacts, &AuthnError>) {
    let found = facts.map_or_else(
        |_| "a claim that policies read has another type than it must have".into(),
        |facts| format!("{} scopes, {} groups", facts.scopes.len(), facts.groups.len()),
    );
    seen.add("facts", facts.map(drop).map_err(Clone::clone), found);
}

async fn inspect_opaque(
    seen: &mut Inspection,
    server: &Arc<IntrospectionServer>,
    token: &str,
    ask: Ask,
    now: Timestamp,
) -> Option<Option<Confirmation>> {
    if ask == Ask::Nobody {
        seen.open("answer", "the server was not asked");
        return None;
    }
    let answer = server.ask(token, sha256(token.as_bytes()), now).await;
    let found = match &answer {
        Ok(known) => format!("active, for sub {}", shown(&known.facts.principal.subject)),
        Err(error) => error.to_string(),
    };
    seen.add("answer", answer, found).map(|known| known.facts.confirmation.clone())
}

fn inspect_binding(seen: &mut Inspection, bound: Option<&Confirmation>, rule: Binding) {
    let (outcome, found) = match (bound, rule) {
        (_, Binding::Off) => (Outcome::Passed, "not looked at here"),
        (None, Binding::IfBound) => (Outcome::Passed, "bound to no key"),
        (None, Binding::Required) => {
            (Outcome::Failed(AuthnError::Binding(BindingFault::Unbound)), "this route or source takes no other")
        }
        (Some(Confirmation::Certificate(_)), _) => (Outcome::Open, "needs its client certificate on the connection"),
        (Some(Confirmation::Jwk(_)), _) => (Outcome::Open, "needs the DPoP scheme and a proof of its key"),
        (Some(Confirmation::Both { .. }), _) => {
            (Outcome::Open, "needs its client certificate, the DPoP scheme and a proof of its key")
        }
    };
    seen.checks.push(Check { name: "binding", outcome, found: found.into() });
}

fn member(value: Option<&Value>) -> String {
    match value {
        None => "absent".into(),
        Some(Value::String(text)) => shown(text),
        Some(value) => shown(&value.to_string()),
    }
}

/// Somebody else's text, safe for a terminal.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MOST_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        short.push_str("...");
    }
    format!("`{short}`")
}
