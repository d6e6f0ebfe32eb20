//! What an assertion says, and a worker's memory of what it said lately.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use quick_cache::unsync::Cache;
use serde::Serialize;

use super::Signer;
use crate::identity::{Confirmation, PeerFacts, TokenFacts};

/// The most assertions that a worker remembers.
const MOST: usize = 4_096;

/// One worker's assertions, each used for half of its life.
pub(in crate::upstream) struct Assertions(RefCell<Cache<Whom, Said>>);

/// Who is spoken of, and to whom: by where the facts are in memory. That is sound because the entry holds on to them, so
/// that the place cannot become somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Whom {
    token: usize,
    peer: usize,
    audience: usize,
    signer: usize,
}

#[derive(Clone)]
struct Said {
    value: HeaderValue,
    until: Timestamp,
    _held: Held,
}

/// What [`Whom`] points at.
#[derive(Clone)]
#[expect(dead_code, reason = "held so that its place in memory stays its own")]
struct Held {
    token: Option<Arc<TokenFacts>>,
    peer: Option<Arc<PeerFacts>>,
    audience: Arc<str>,
    signer: Arc<Signer>,
}

/// Who asks in one request, and who may speak about them.
pub(in crate::upstream) struct Speaker<'a> {
    pub(in crate::upstream) assertions: &'a Assertions,
    pub(in crate::upstream) signer: Option<&'a Arc<Signer>>,
    pub(in crate::upstream) token: Option<&'a Arc<TokenFacts>>,
    pub(in crate::upstream) peer: Option<&'a Arc<PeerFacts>>,
    pub(in crate::upstream) at: Timestamp,
}

impl Default for Assertions {
    fn default() -> Self {
        Self(RefCell::new(Cache::new(MOST)))
    }
}

/// RFC 7519 section 4.1 and RFC 9068 section 2.2, where these have a name for it.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    /// Whose word for the subject `sub` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Cnf>,
}

/// The client certificate.
#[derive(Serialize)]
struct Device<'a> {
    trust: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<String>,
    subject: &'a str,
    #[serde(rename = "x5t#S256")]
    fingerprint: String,
}

/// The key that the client's token is bound to, which the gateway has seen proved (RFC 7800).
#[derive(Serialize)]
struct Cnf {
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(rename = "jkt", skip_serializing_if = "Option::is_none")]
    jwk: Option<String>,
}

impl Speaker<'_> {
    /// The assertion about whoever asks, for one audience. `None` about somebody of whom nothing is known.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(in crate::upstream) fn assertion(&self, audience: &Arc<str>) -> Result<Option<HeaderValue>, ()> {
        let (token, peer, signer) = (self.token, self.peer, self.signer.ok_or(())?);
        let whom = Whom {
            token: token.map_or(0, |facts| Arc::as_ptr(facts).addr()),
            peer: peer.map_or(0, |facts| Arc::as_ptr(facts).addr()),
            audience: Arc::as_ptr(audience).cast::<u8>().addr(),
            signer: Arc::as_ptr(signer).addr(),
        };
        if token.is_none() && peer.is_none() {
            return Ok(None);
        }
        let remembered = &self.assertions.0;
        if let Some(said) = remembered.borrow_mut().get(&whom)
            && said.until > self.at
        {
            return Ok(Some(said.value.clone()));
        }
        let (value, until) = made(signer, audience, token.map(|facts| &**facts), peer.map(|facts| &**facts), self.at)?;
        let (audience, signer) = (audience.clone(), signer.clone());
        let _held = Held { token: token.cloned(), peer: peer.cloned(), audience, signer };
        remembered.borrow_mut().insert(whom, Said { value: value.clone(), until, _held });
        Ok(Some(value))
    }
}

/// The assertion and when to make another. It never outlives what it rests on.
fn made(
    signer: &Signer,
    audience: &str,
    token: Option<&TokenFacts>,
    peer: Option<&PeerFacts>,
    now: Timestamp,
) -> Result<(HeaderValue, Timestamp), ()> {
    let settings = signer.settings();
    let life = SignedDuration::try_from(settings.lifetime).map_err(|_| ())?;
    let ends = [Some(now + life), token.map(|token| token.expires_at), peer.map(|peer| peer.not_after)];
    let end = ends.into_iter().flatten().min().ok_or(())?;
    let spiffe_id = peer.and_then(|peer| peer.spiffe_id.as_ref()).map(ToString::to_string);
    let scopes = token.map(|token| token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "));
    let claims = Claims {
        iss: &settings.issuer,
        aud: audience,
        sub: subject(token, peer, spiffe_id.as_deref()).ok_or(())?,
        iat: now.as_second(),
        exp: end.as_second(),
        sub_issuer: token.map(|token| token.principal.issuer.as_str()),
        client_id: token.and_then(|token| token.client_id.as_deref()),
        scope: scopes.unwrap_or_default(),
        groups: token.map(|token| &*token.groups).unwrap_or_default(),
        acr: token.and_then(|token| token.acr.as_deref()),
        auth_time: token.and_then(|token| token.auth_time).map(Timestamp::as_second),
        device: peer.map(|peer| Device {
            trust: peer.trust.as_str(),
            spiffe_id: spiffe_id.clone(),
            subject: &peer.subject,
            fingerprint: BASE64.encode(peer.fingerprint),
        }),
        cnf: token.and_then(|token| token.confirmation.as_ref()).map(cnf),
    };
    let claims = serde_json::to_vec(&claims).map_err(|_| ())?;
    let text = signer.sign(&claims).filter(|text| text.len() <= super::super::headers::LONGEST).ok_or(())?;
    let mut value = HeaderValue::try_from(text).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok((value, now + end.duration_since(now) / 2))
}

/// The subject of the token; without one the certificate speaks for itself.
fn subject<'a>(
    token: Option<&'a TokenFacts>,
    peer: Option<&'a PeerFacts>,
    spiffe_id: Option<&'a str>,
) -> Option<&'a str> {
    token.map(|token| &*token.principal.subject).or(spiffe_id).or(peer.map(|peer| &*peer.subject))
}

fn cnf(confirmation: &Confirmation) -> Cnf {
    let (certificate, jwk) = match confirmation {
        Confirmation::Certificate(certificate) => (Some(certificate), None),
        Confirmation::Jwk(jwk) => (None, Some(jwk)),
        Confirmation::Both { certificate, jwk } => (Some(certificate), Some(jwk)),
    };
    Cnf { certificate: certificate.map(|digest| BASE64.encode(digest)), jwk: jwk.map(|digest| BASE64.encode(digest)) }
}
