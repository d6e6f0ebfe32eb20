//! The tour's tokens: good ones as any client gets them, and one that is wrong in each way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use jiff::SignedDuration;
use serde_json::Value;

use super::TourError;
use crate::demo::caller::Caller;
use crate::demo::identity_provider::{Endpoint, PEOPLE_CLIENT, PERSON_GRANT};
use crate::demo::stage::Stage;

/// The tokens that the tour needs.
pub(super) struct Tokens {
    pub(super) alice: String,
    pub(super) bob: String,
    pub(super) carol: String,
    pub(super) frank: String,
    pub(super) settlement: String,
    /// Opaque.
    pub(super) acme: String,
    pub(super) expired: String,
    pub(super) for_another_service: String,
    pub(super) forged: String,
    pub(super) id_token: String,
}

impl Tokens {
    /// Gets the good ones from the token endpoint, and has the wrong ones made.
    pub(super) async fn fetch(stage: &Stage) -> Result<Self, TourError> {
        let provider = stage.provider();
        Ok(Self {
            alice: person(stage, "alice").await?,
            bob: person(stage, "bob").await?,
            carol: person(stage, "carol").await?,
            frank: person(stage, "frank").await?,
            settlement: client(stage, "settlement").await?,
            acme: client(stage, "acme").await?,
            expired: provider.token("alice").expires_in(SignedDuration::from_hours(-1)).jwt(),
            for_another_service: provider.token("alice").audience("payroll-api").jwt(),
            forged: provider.token("alice").forged().jwt(),
            id_token: provider.token("alice").header("typ", "JWT").jwt(),
        })
    }
}

/// Revokes a token of the client `acme` (RFC 7009).
pub(super) async fn revoke(stage: &Stage, token: &str) -> Result<(), TourError> {
    post(stage, Endpoint::Revocation, Some("acme"), format!("token={token}")).await.map(|_| ())
}

async fn person(stage: &Stage, name: &str) -> Result<String, TourError> {
    let form = format!("client_id={PEOPLE_CLIENT}&grant_type={PERSON_GRANT}&user={name}");
    token(&post(stage, Endpoint::Token, None, form).await?)
}

async fn client(stage: &Stage, id: &str) -> Result<String, TourError> {
    token(&post(stage, Endpoint::Token, Some(id), "grant_type=client_credentials".into()).await?)
}

fn token(answer: &Response<Bytes>) -> Result<String, TourError> {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let token = body.get("access_token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| TourError::Answer("without a token".into()))
}

async fn post(
    stage: &Stage,
    endpoint: Endpoint,
    client: Option<&str>,
    form: String,
) -> Result<Response<Bytes>, TourError> {
    let provider = stage.provider();
    let mut request = Request::post(provider.url(endpoint)).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(client) = client {
        let pair = STANDARD.encode(format!("{client}:{}", provider.client_secret(client).unwrap_or_default()));
        request = request.header(AUTHORIZATION, format!("Basic {pair}"));
    }
    let request = request.body(Bytes::from(form)).map_err(|error| TourError::Answer(error.to_string()))?;
    let answer = Caller::plain(provider.address()).call(request).await.map_err(TourError::Provider)?;
    if answer.status().is_success() { Ok(answer) } else { Err(TourError::Answer(answer.status().to_string())) }
}
