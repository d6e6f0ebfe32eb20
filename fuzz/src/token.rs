//! A signed token on its way through route, credential and authentication, at a fixed time.

use std::net::{IpAddr, Ipv4Addr};
use std::str::from_utf8;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use portcullis::authn::{
    Algorithm, Audiences, Authenticator, GroupsClaim, GroupsForm, Identified, IssuerSettings, KeyOrigin, ProofMemory,
    SharedSecret, TokenCache, TokenCacheLimits, TokenRules, TokenSources, TokenType,
};
use portcullis::credential::extract;
use portcullis::identity::{Audience, ClaimPath, Issuer, Name};
use portcullis::request::PathForms;
use portcullis::route::{Authorization, Binding, HostPattern, Methods, PathPattern, Resolved, Route, Routes};
use portcullis::telemetry::Clock;
use serde_json::Value;

use super::request::received;

pub(super) const ISSUER: &str = "https://login.corp.example";
pub(super) const AUDIENCE: &str = "payments-api";
pub(super) const SKEW: i64 = 30;
pub(super) const SECRET: &[u8] = b"a secret of the fuzzer, 32 bytes or more";
/// 2026-11-22T12:00:00Z.
pub(super) const NOW: i64 = 1_795_348_800;

pub(super) struct House {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) routes: Routes,
    pub(super) authenticator: Authenticator,
}

static HOUSE: LazyLock<Option<House>> = LazyLock::new(house);

pub(super) fn rules() -> Option<TokenRules> {
    Some(TokenRules {
        audiences: Audiences::OneOf(vec![Audience::new(AUDIENCE)]),
        clock_skew: Duration::from_secs(SKEW.unsigned_abs()),
        max_bytes: 8192,
        groups: GroupsClaim { path: ClaimPath::parse("groups")?, form: GroupsForm::List },
        binding: Binding::IfBound,
        dpop_nonce: false,
    })
}

/// A house that remembers nothing.
pub(super) fn house() -> Option<House> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    let issuer = IssuerSettings {
        name: Name::new("corp"),
        issuer: Issuer::new(ISSUER),
        keys: KeyOrigin::Secret(SharedSecret::new(SECRET.to_vec())),
        token: rules()?,
        algorithms: vec![Algorithm::from_name("HS256")?],
        token_types: vec![TokenType::named("at+jwt")],
        max_lifetime: Duration::from_secs(3600),
    };
    let sources = TokenSources::new(vec![issuer], Vec::new()).ok()?;
    let clock = Clock::fixed(Timestamp::from_second(NOW).ok()?);
    let proofs = Arc::new(ProofMemory::since(Timestamp::UNIX_EPOCH));
    let authenticator = Authenticator::open(&sources, Arc::default(), proofs, runtime.handle(), &clock, None).ok()?;
    let route = Route {
        name: Name::new("payments"),
        host: HostPattern::parse("**").ok()?,
        path: PathPattern::parse("/{rest...}").ok()?,
        methods: Methods::Any,
        headers: Vec::new(),
        upstream: Name::new("payments"),
        prefix_rewrite: None,
        tokens: vec![Name::new("corp")],
        conceal: false,
        admits: PathForms::NONE,
        authorization: Authorization::Take,
        binding: None,
        cors: None,
    };
    Some(House { runtime, routes: Routes::new(vec![route]).ok()?, authenticator })
}

/// Who is identified holds a token that the issuer signed, for us, that counts now.
///
/// Two lines are a header and claims, which are signed properly; one line is a token as it is.
pub fn token(input: &[u8]) -> bool {
    let token = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => signed(input.get(..at).unwrap_or_default(), input.get(at + 1..).unwrap_or_default()),
        None => from_utf8(input).unwrap_or_default().to_owned(),
    };
    assert!(HOUSE.is_some(), "the house does not stand");
    let Some(identified) = HOUSE.as_ref().and_then(|house| identified(house, &token)) else { return false };
    let Some(facts) = identified.token() else { return overlooked() };
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return overlooked() };
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    assert!(hmac::verify(&key, format!("{header}.{claims}").as_bytes(), &signature).is_ok(), "nobody signed this");
    let json =
        |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or(Value::Null);
    let (header, claims) = (json(header), json(claims));
    assert_eq!((&header["alg"], &header["crit"], &claims["iss"]), (&"HS256".into(), &Value::Null, &ISSUER.into()));
    assert!(header["typ"].as_str().is_some_and(|kind| kind.to_ascii_lowercase().ends_with("at+jwt")));
    assert!(claims["aud"] == AUDIENCE || claims["aud"].as_array().is_some_and(|list| list.contains(&AUDIENCE.into())));
    assert!(claims["exp"].as_f64().is_some_and(|end| end > (NOW - SKEW - 1) as f64 && end < (NOW + 7200) as f64));
    assert!(claims["nbf"].is_null() || claims["nbf"].as_f64().is_some_and(|begin| begin <= (NOW + SKEW + 1) as f64));
    assert!(claims["sub"].as_str().or(claims["client_id"].as_str()).is_some());
    assert!(!format!("{facts:?}").contains(&token));
    true
}

fn overlooked() -> bool {
    assert!(HOUSE.is_none(), "identified without looking at the token");
    false
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn identified(house: &House, token: &str) -> Option<Identified> {
    let head = format!("GET /v1\nHost: payments.corp.example\nAuthorization: Bearer {token}");
    let request = received(head.as_bytes(), IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let Resolved::Route(routed) = house.routes.resolve(request).ok()? else { return None };
    let presented = extract(routed).ok()?;
    let (tokens, now) = (TokenCache::new(TokenCacheLimits::default()), Timestamp::from_second(NOW).ok()?);
    house.runtime.block_on(house.authenticator.identify(presented, &tokens, now)).ok()
}
