//! Signed answers (RFC 9701): a JWT about a token, made just now, for this client, by the authorization server's issuer.
//! In comes the answer's body, out go the claims that an unsigned answer would have been.

use std::str::from_utf8;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Value;

use crate::authn::AuthnError;
use crate::authn::facts::{self, Registered};
use crate::authn::issuer::IssuerVerifier;
use crate::authn::jwks::KeySet;
use crate::authn::jwt::{self, Compact, Wanted};
use crate::authn::settings::{IntrospectionSettings, IssuerSettings, TokenType};
use crate::identity::{Claims, TokenFacts};
use crate::outbound::{Answer, CallError};

/// What is asked for, and what must come (section 4).
pub(super) const MEDIA_TYPE: &str = "application/token-introspection+jwt";
/// The `typ` of such a JWT (section 5), without which any other JWT of the issuer could stand in for one.
const TYPE: &str = "token-introspection+jwt";
/// An answer is made when it is asked for: an older one is somebody else's, shown again.
const MOST_AGE: Duration = Duration::from_secs(60);

/// The claims in a signed answer.
pub(super) async fn read(
    answer: &Answer,
    signer: &IssuerVerifier,
    settings: &IntrospectionSettings,
    now: Timestamp,
) -> Result<Claims, CallError> {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(CallError::Useless("unsigned"));
    }
    let malformed = CallError::Useless("signed-malformed");
    let token = parse(&answer.body).ok_or(malformed)?;
    let wanted = check_header(&token, signer.settings()).ok_or(malformed)?;
    let verified = match signer.signature(&token, &wanted) {
        Err(AuthnError::KeyUnknown) => signer.signature_with_fresh_keys(&token, &wanted).await,
        verified => verified,
    };
    verified.map_err(|error| match error {
        AuthnError::IssuerUnavailable { .. } => CallError::Useless("signer-unavailable"),
        _ => CallError::Useless("signature"),
    })?;
    contents(token.claims, signer.settings(), settings, now).ok_or(CallError::Useless("signed-claims"))
}

fn parse(body: &[u8]) -> Option<Compact<'_>> {
    Compact::parse(from_utf8(body).ok()?)
}

/// Nothing is verified yet.
fn check_header<'t>(token: &'t Compact<'_>, signer: &IssuerSettings) -> Option<Wanted<'t>> {
    let kind = token.header.member("typ").and_then(Value::as_str).map(TokenType::named);
    if kind != Some(TokenType::named(TYPE)) {
        return None;
    }
    token.check_extensions().ok()?;
    Some(Wanted { algorithm: jwt::check_algorithm(token, signer).ok()?, key_id: token.key_id().ok()? })
}

/// What a JWT whose signature was verified says about the token.
fn contents(
    claims: Claims,
    signer: &IssuerSettings,
    settings: &IntrospectionSettings,
    now: Timestamp,
) -> Option<Claims> {
    let registered = Registered::read(&claims).ok()?;
    jwt::check_issuer(&registered, signer).ok()?;
    registered.check_times(&settings.token, now).ok()?;
    let oldest = facts::earlier(now, MOST_AGE.saturating_add(settings.token.clock_skew));
    let is_new = registered.issued_at.is_some_and(|issued| issued >= oldest);
    let is_ours = registered.audiences.iter().any(|audience| audience.as_str() == &*settings.client.id);
    match claims.member("token_introspection") {
        Some(Value::Object(said)) if is_new && is_ours => Some(Claims::from(said.clone())),
        _ => None,
    }
}

impl IntrospectionSettings {
    /// What a signed answer of this server says of a token, when `keys` are those of `signer`. Nothing when it is no answer.
    pub fn signed_verdict(
        &self,
        answer: &[u8],
        signer: &IssuerSettings,
        keys: &KeySet,
        now: Timestamp,
    ) -> Option<Result<TokenFacts, AuthnError>> {
        let token = parse(answer)?;
        jwt::check_signature(&token, &check_header(&token, signer)?, keys).ok()?;
        let said = contents(token.claims, signer, self, now)?;
        super::response::verdict(said, self, now).map(|verdict| verdict.map(|active| active.facts))
    }
}
