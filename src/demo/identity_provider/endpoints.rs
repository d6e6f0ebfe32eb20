//! The provider's endpoints: a request in, an answer out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::form::{ClientCredentials, Form};
use super::mood::{Endpoint, Mood};
use super::order::{LIFETIME, Order};
use super::register::{Client, ClientPurpose, PEOPLE, same_secret};
use super::{FormerKeys, PERSON_GRANT, Shared, lock};
use crate::demo::loopback::HangUp;

/// A request body of a client of the provider.
const BODY: usize = 64 * 1024;

const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
const ROTATION: &str = "/rotate";

type Answer = Response<Full<Bytes>>;

/// Where an endpoint lies.
pub(super) const fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Discovery => "/.well-known/openid-configuration",
        Endpoint::Jwks => "/jwks.json",
        Endpoint::Token => "/token",
        Endpoint::Introspection => "/introspect",
        Endpoint::Revocation => "/revoke",
    }
}

/// Answers one request, in the mood that was set for its endpoint.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, HangUp> {
    let asked = request.uri().path();
    if asked == ROTATION {
        return Ok(posted(request, |headers, form| rotate(&shared, headers, form)).await);
    }
    let found = Endpoint::ALL.into_iter().find(|endpoint| path(*endpoint) == asked);
    let Some(endpoint) = found.or((asked == AUTHORIZATION_SERVER).then_some(Endpoint::Discovery)) else {
        return Ok(plain(StatusCode::NOT_FOUND, "There is nothing here.\n"));
    };
    match shared.moods.ask(endpoint) {
        Mood::Well => {}
        Mood::Down => return Err(HangUp),
        Mood::Failing => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "The provider is unwell.\n")),
        Mood::Slow(delay) => tokio::time::sleep(delay).await,
        Mood::Silent => std::future::pending().await,
        Mood::Garbage => return Ok(plain(StatusCode::OK, "<html>Sign in to the hotel's network</html>")),
        Mood::Huge => return Ok(json_answer(StatusCode::OK, &json!({ "keys": [], "padding": "x".repeat(2 << 20) }))),
        Mood::Redirect(port) => {
            let mut answer = plain(StatusCode::FOUND, "");
            if let Ok(target) = HeaderValue::try_from(format!("http://127.0.0.1:{port}{asked}")) {
                answer.headers_mut().insert(LOCATION, target);
            }
            return Ok(answer);
        }
    }
    Ok(match endpoint {
        Endpoint::Discovery => read(&request, || metadata(&shared)),
        Endpoint::Jwks => read(&request, || shared.key_set()),
        Endpoint::Token => posted(request, |headers, form| token(&shared, headers, form)).await,
        Endpoint::Introspection => posted(request, |headers, form| introspect(&shared, headers, form)).await,
        Endpoint::Revocation => posted(request, |headers, form| revoke(&shared, headers, form)).await,
    })
}

/// An endpoint that is read.
fn read(request: &Request<Incoming>, document: impl FnOnce() -> Value) -> Answer {
    if *request.method() == Method::GET { json_answer(StatusCode::OK, &document()) } else { not_allowed("GET") }
}

/// An endpoint that takes a form.
async fn posted(
    request: Request<Incoming>,
    answer: impl FnOnce(&HeaderMap, &Form) -> Result<Answer, OauthError>,
) -> Answer {
    if *request.method() != Method::POST {
        return not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.\n");
    };
    let form = Form::parse(&head.headers, &body.to_bytes()).ok_or(OauthError::Request("not a form"));
    form.and_then(|form| answer(&head.headers, &form)).unwrap_or_else(|error| error.answer())
}

/// RFC 8414 section 2 and OpenID Connect Discovery 1.0 section 3.
fn metadata(shared: &Shared) -> Value {
    let url = |endpoint| format!("{}{}", shared.issuer, path(endpoint));
    json!({
        "issuer": shared.issuer,
        // OpenID Connect Discovery demands the member. Nothing answers there: this provider signs nobody in.
        "authorization_endpoint": format!("{}/authorize", shared.issuer),
        "token_endpoint": url(Endpoint::Token),
        "jwks_uri": url(Endpoint::Jwks),
        "introspection_endpoint": url(Endpoint::Introspection),
        "revocation_endpoint": url(Endpoint::Revocation),
        "grant_types_supported": ["client_credentials", PERSON_GRANT],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "scopes_supported": ["payments:read", "payments:write", "payments:settle"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    })
}

/// RFC 6749 section 5. Beside `scope` (RFC 6749) and `resource` (RFC 8707) the person grant takes `user`, `format`
/// (`jwt` or `opaque`) and `expires_in` (seconds; a negative one gives a token that has ended, to see it refused).
fn token(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Answer, OauthError> {
    let client = authenticate(shared, headers, form)?;
    let grant = form.parameter("grant_type").ok_or(OauthError::Request("grant_type is missing"))?;
    let (order, scopes, opaque, lifetime) = match (grant, client.purpose) {
        ("client_credentials", ClientPurpose::Jwt | ClientPurpose::Opaque) => {
            (Order::for_client(shared, client), client.scopes, client.purpose == ClientPurpose::Opaque, LIFETIME)
        }
        (PERSON_GRANT, ClientPurpose::People) => {
            let name = form.parameter("user").ok_or(OauthError::Request("user is missing"))?;
            let person = PEOPLE.iter().find(|person| person.name == name).ok_or(OauthError::Grant)?;
            let opaque = match form.parameter("format") {
                None | Some("jwt") => false,
                Some("opaque") => true,
                Some(_) => return Err(OauthError::Request("format is jwt or opaque")),
            };
            (Order::for_person(shared, person), person.scopes, opaque, lifetime(form)?)
        }
        ("client_credentials" | PERSON_GRANT, _) => return Err(OauthError::UnauthorizedClient),
        _ => return Err(OauthError::UnsupportedGrant),
    };
    let granted = form.parameter("scope").map_or_else(|| Ok(scopes.join(" ")), |asked| narrowed(asked, scopes))?;
    let mut order = order.scope(&granted).expires_in(lifetime);
    if let Some(resource) = form.parameter("resource") {
        order = order.audience(resource);
    }
    let token = if opaque { order.opaque() } else { order.jwt() };
    Ok(json_answer(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "scope": granted,
        }),
    ))
}

fn lifetime(form: &Form) -> Result<SignedDuration, OauthError> {
    let Some(text) = form.parameter("expires_in") else { return Ok(LIFETIME) };
    let seconds = text.parse().ok().filter(|seconds| (-86_400..=86_400).contains(seconds));
    seconds
        .map(SignedDuration::from_secs)
        .ok_or(OauthError::Request("expires_in is a number of seconds, a day at most"))
}

/// The scopes that were asked for, when all of them may be had.
fn narrowed(asked: &str, scopes: &[&str]) -> Result<String, OauthError> {
    if asked.split(' ').all(|scope| scopes.contains(&scope)) { Ok(asked.to_owned()) } else { Err(OauthError::Scope) }
}

/// RFC 7662 section 2. A token that has ended, was revoked or was never known is inactive, and nothing else is said.
fn introspect(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Answer, OauthError> {
    let client = authenticate(shared, headers, form)?;
    if client.purpose != ClientPurpose::Introspection {
        return Err(OauthError::UnauthorizedClient);
    }
    let token = form.parameter("token").ok_or(OauthError::Request("token is missing"))?;
    let now = shared.clock.now().as_second();
    let mut said = Map::new();
    if let Some(claims) = lock(&shared.issued).active(token, now) {
        said.insert("active".into(), Value::Bool(true));
        said.insert("token_type".into(), json!("Bearer"));
        said.extend(claims.clone());
    } else {
        said.insert("active".into(), Value::Bool(false));
    }
    Ok(json_answer(StatusCode::OK, &Value::Object(said)))
}

/// RFC 7009 section 2. A token that is not known needs no revoking, so that is no error.
fn revoke(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Answer, OauthError> {
    let client = authenticate(shared, headers, form)?;
    let token = form.parameter("token").ok_or(OauthError::Request("token is missing"))?;
    let mut issued = lock(&shared.issued);
    if issued.client(token).is_some_and(|owner| owner != client.id) {
        return Err(OauthError::Grant);
    }
    issued.revoke(token);
    Ok(plain(StatusCode::OK, ""))
}

/// Not part of any standard: scripts change the keys here. `former=withdrawn` takes the former keys away at once.
fn rotate(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Answer, OauthError> {
    let client = authenticate(shared, headers, form)?;
    if client.purpose != ClientPurpose::Operation {
        return Err(OauthError::UnauthorizedClient);
    }
    let former = match form.parameter("former") {
        None | Some("published") => FormerKeys::Published,
        Some("withdrawn") => FormerKeys::Withdrawn,
        Some(_) => return Err(OauthError::Request("former is published or withdrawn")),
    };
    shared.rotate(former).ok_or(OauthError::Server)?;
    Ok(json_answer(StatusCode::OK, &shared.key_set()))
}

fn authenticate<'a>(shared: &'a Shared, headers: &HeaderMap, form: &Form) -> Result<&'a Client, OauthError> {
    let shown = ClientCredentials::read(headers, form).ok_or(OauthError::Client)?;
    let client = shared.clients.iter().find(|client| client.id == shown.id).ok_or(OauthError::Client)?;
    let proved = match (&client.secret, &shown.secret) {
        (None, None) => true,
        (Some(known), Some(shown)) => same_secret(known.expose(), shown.expose()),
        _ => false,
    };
    if proved { Ok(client) } else { Err(OauthError::Client) }
}

/// RFC 6749 section 5.2.
#[derive(Clone, Copy, Debug)]
enum OauthError {
    Request(&'static str),
    Client,
    Grant,
    UnauthorizedClient,
    UnsupportedGrant,
    Scope,
    Server,
}

impl OauthError {
    fn answer(self) -> Answer {
        let (status, code, description) = match self {
            Self::Request(what) => (StatusCode::BAD_REQUEST, "invalid_request", what),
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client", "who is asking?"),
            Self::Grant => (StatusCode::BAD_REQUEST, "invalid_grant", "not known, or somebody else's"),
            Self::UnauthorizedClient => (StatusCode::BAD_REQUEST, "unauthorized_client", "not for this client"),
            Self::UnsupportedGrant => (StatusCode::BAD_REQUEST, "unsupported_grant_type", "no such grant here"),
            Self::Scope => (StatusCode::BAD_REQUEST, "invalid_scope", "not all of these scopes can be had"),
            Self::Server => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no random numbers"),
        };
        let mut answer = json_answer(status, &json!({ "error": code, "error_description": description }));
        if matches!(self, Self::Client) {
            let challenge = HeaderValue::from_static("Basic realm=\"demo identity provider\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

fn not_allowed(method: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Not this way.\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    answer
}

fn json_answer(status: StatusCode, document: &Value) -> Answer {
    respond(status, "application/json", document.to_string())
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    respond(status, "text/plain; charset=utf-8", text)
}

/// RFC 6749 section 5.1: whatever may hold a token is not stored.
fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
