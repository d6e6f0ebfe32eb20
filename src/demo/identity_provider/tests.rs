use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::{Endpoint, FormerKeys, IdentityProvider, Mood, PERSON_GRANT, Signing};
use crate::demo::caller::{CallError, Caller};
use crate::telemetry::Clock;

async fn read(provider: &IdentityProvider, url: &str) -> Result<Response<Bytes>, CallError> {
    Caller::plain(provider.address()).call(Request::get(url).body(Bytes::new()).unwrap()).await
}

/// Posts a form, as `client` with its own secret.
async fn post(provider: &IdentityProvider, endpoint: Endpoint, client: &str, form: &str) -> (StatusCode, Value) {
    let secret = provider.client_secret(client).unwrap_or_default();
    post_with(provider, &provider.url(endpoint), &format!("{client}:{secret}"), form).await
}

async fn post_with(provider: &IdentityProvider, url: &str, pair: &str, form: &str) -> (StatusCode, Value) {
    let mut request = Request::post(url).header("content-type", "application/x-www-form-urlencoded");
    if !pair.is_empty() {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
    }
    let request = request.body(Bytes::from(form.to_owned())).unwrap();
    let answer = Caller::plain(provider.address()).call(request).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

async fn json(provider: &IdentityProvider, url: &str) -> Value {
    let answer = read(provider, url).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    serde_json::from_slice(answer.body()).unwrap()
}

/// The claims of a token that verifies with a key that the provider publishes now.
async fn verified(provider: &IdentityProvider, token: &str) -> Option<Value> {
    let keys: JwkSet = serde_json::from_value(json(provider, &provider.url(Endpoint::Jwks)).await).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert!(matches!(header.alg, Algorithm::ES256 | Algorithm::RS256));
    let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["payments-api"]);
    validation.set_issuer(&[provider.issuer()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode(token, &key, &validation).ok().map(|decoded| decoded.claims)
}

#[tokio::test]
async fn discovery_says_where_everything_is() {
    let provider = IdentityProvider::start().await.unwrap();
    let openid = json(&provider, &format!("{}/.well-known/openid-configuration", provider.issuer())).await;
    let oauth = json(&provider, &format!("{}/.well-known/oauth-authorization-server", provider.issuer())).await;
    assert_eq!(openid, oauth);
    assert_eq!(openid["issuer"], provider.issuer());
    assert_eq!(openid["jwks_uri"], provider.url(Endpoint::Jwks));
    assert_eq!(openid["token_endpoint"], provider.url(Endpoint::Token));
    assert_eq!(openid["introspection_endpoint"], provider.url(Endpoint::Introspection));
    assert_eq!(openid["revocation_endpoint"], provider.url(Endpoint::Revocation));
    // The library that the gateway reads metadata with agrees.
    let parsed: openidconnect::core::CoreProviderMetadata = serde_json::from_value(openid).unwrap();
    assert_eq!(parsed.issuer().as_str(), provider.issuer());
    assert!(provider.address().ip().is_loopback());
}

#[tokio::test]
async fn tokens_of_both_algorithms_verify_with_the_published_keys_and_a_forged_one_does_not() {
    let provider = IdentityProvider::start().await.unwrap();
    for signing in [Signing::Es256, Signing::Rs256] {
        let claims = verified(&provider, &provider.token("alice").signing(signing).jwt()).await.unwrap();
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["groups"], serde_json::json!(["staff", "finance"]));
        assert_eq!(claims["scope"], "payments:read payments:write");
        assert_eq!(claims["acr"], "mfa");
        assert!(
            claims["auth_time"].as_i64() < claims["iat"].as_i64() && claims["iat"].as_i64() < claims["exp"].as_i64()
        );
        let forged = provider.token("alice").signing(signing).forged().jwt();
        assert_eq!(verified(&provider, &forged).await, None);
    }
    let expired = provider.token("alice").expires_in(SignedDuration::from_hours(-1)).jwt();
    assert_eq!(verified(&provider, &expired).await, None);
    assert_eq!(verified(&provider, &provider.token("alice").audience("other").jwt()).await, None);
}

#[tokio::test]
async fn the_token_endpoint_gives_a_client_its_token_and_nobody_elses() {
    let provider = IdentityProvider::start().await.unwrap();
    let (status, answer) = post(&provider, Endpoint::Token, "settlement", "grant_type=client_credentials").await;
    assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (StatusCode::OK, &"Bearer".into(), &600.into()));
    let claims = verified(&provider, answer["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"settlement".into(), &"settlement".into()));
    let refused = [
        ("settlement", "grant_type=client_credentials&scope=payments:write", "invalid_scope"),
        ("settlement", "grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("settlement", "scope=a", "invalid_request"),
        ("settlement", "grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("portcullis", "grant_type=client_credentials", "unauthorized_client"),
        ("nobody", "grant_type=client_credentials", "invalid_client"),
    ];
    for (client, form, error) in refused {
        assert_eq!(post(&provider, Endpoint::Token, client, form).await.1["error"], error, "{form}");
    }
    let person = format!("grant_type={PERSON_GRANT}&user=alice");
    assert_eq!(post(&provider, Endpoint::Token, "settlement", &person).await.1["error"], "unauthorized_client");
}

#[tokio::test]
async fn the_demo_client_gets_a_token_for_a_person() {
    let provider = IdentityProvider::start().await.unwrap();
    let url = provider.url(Endpoint::Token);
    let ask = |more: &str| format!("client_id=demo-cli&grant_type={PERSON_GRANT}&{more}");
    let (_, answer) = post_with(&provider, &url, "", &ask("user=bob&scope=payments:read")).await;
    let claims = verified(&provider, answer["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["sub"], &claims["scope"]), (&"bob".into(), &"payments:read".into()));
    let (_, answer) = post_with(&provider, &url, "", &ask("user=bob&format=opaque")).await;
    assert!(answer["access_token"].as_str().unwrap().starts_with("ptk_"));
    for (more, error) in [
        ("user=eve", "invalid_grant"),
        ("", "invalid_request"),
        ("user=bob&format=x", "invalid_request"),
        ("user=bob&expires_in=99999999", "invalid_request"),
    ] {
        assert_eq!(post_with(&provider, &url, "", &ask(more)).await.1["error"], error, "{more}");
    }
    // A client without a secret is not a client with an empty one.
    assert_eq!(post_with(&provider, &url, "demo-cli:", &ask("user=bob")).await.1["error"], "invalid_client");
}

#[tokio::test]
async fn introspection_tells_a_registered_client_alone() {
    let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let clock = Clock::fixed(at);
    let provider = IdentityProvider::start_at(0, clock.clone()).await.unwrap();
    let token = provider.client_token("acme").opaque();
    let form = format!("token={token}");
    let (status, said) = post(&provider, Endpoint::Introspection, "portcullis", &form).await;
    assert_eq!((status, &said["active"]), (StatusCode::OK, &true.into()));
    assert_eq!((&said["client_id"], &said["scope"]), (&"acme".into(), &"payments:read".into()));
    assert_eq!(said["exp"], at.as_second() + 600);
    let inactive = serde_json::json!({ "active": false });
    assert_eq!(post(&provider, Endpoint::Introspection, "portcullis", "token=ptk_guess").await.1, inactive);
    let (status, said) = post(&provider, Endpoint::Introspection, "acme", &form).await;
    assert_eq!((status, &said["error"]), (StatusCode::BAD_REQUEST, &"unauthorized_client".into()));
    let wrong = post_with(&provider, &provider.url(Endpoint::Introspection), "portcullis:wrong", &form).await;
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    clock.set(at + SignedDuration::from_secs(600));
    assert_eq!(post(&provider, Endpoint::Introspection, "portcullis", &form).await.1, inactive);
}

#[tokio::test]
async fn a_revoked_token_is_inactive_and_only_its_client_can_revoke_it() {
    let provider = IdentityProvider::start().await.unwrap();
    let token = provider.client_token("acme").opaque();
    let form = format!("token={token}");
    let active = async || post(&provider, Endpoint::Introspection, "portcullis", &form).await.1["active"].clone();
    assert_eq!(post(&provider, Endpoint::Revocation, "settlement", &form).await.1["error"], "invalid_grant");
    assert_eq!(active().await, true);
    assert_eq!(post(&provider, Endpoint::Revocation, "acme", &form).await.0, StatusCode::OK);
    assert_eq!(active().await, false);
    assert_eq!(post(&provider, Endpoint::Revocation, "acme", "token=never-known").await.0, StatusCode::OK);
}

#[tokio::test]
async fn new_keys_sign_and_former_keys_go_when_told() {
    let provider = IdentityProvider::start().await.unwrap();
    let before = provider.token("alice").jwt();
    provider.rotate(FormerKeys::Published).unwrap();
    let after = provider.token("alice").jwt();
    assert!(verified(&provider, &before).await.is_some() && verified(&provider, &after).await.is_some());
    let url = format!("{}/rotate", provider.issuer());
    assert_eq!(post_with(&provider, &url, "", "former=withdrawn").await.0, StatusCode::UNAUTHORIZED);
    assert!(verified(&provider, &after).await.is_some());
    let operator = format!("operator:{}", provider.client_secret("operator").unwrap());
    assert_eq!(post_with(&provider, &url, &operator, "former=withdrawn").await.0, StatusCode::OK);
    assert!(verified(&provider, &after).await.is_none());
    assert!(verified(&provider, &provider.token("alice").jwt()).await.is_some());
}

#[tokio::test]
async fn every_bad_mood_shows_and_passes() {
    let provider = IdentityProvider::start().await.unwrap();
    let url = provider.url(Endpoint::Jwks);
    provider.behave(Endpoint::Jwks, Mood::Down);
    assert!(read(&provider, &url).await.is_err());
    provider.behave(Endpoint::Jwks, Mood::Failing);
    assert_eq!(read(&provider, &url).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    provider.behave(Endpoint::Jwks, Mood::Garbage);
    assert!(serde_json::from_slice::<Value>(read(&provider, &url).await.unwrap().body()).is_err());
    provider.behave(Endpoint::Jwks, Mood::Huge);
    assert!(matches!(read(&provider, &url).await, Err(CallError::Http(_))));
    provider.behave(Endpoint::Jwks, Mood::Redirect(9));
    let answer = read(&provider, &url).await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["location"]),
        (StatusCode::FOUND, &"http://127.0.0.1:9/jwks.json".parse().unwrap())
    );
    // The other endpoints went on.
    json(&provider, &provider.url(Endpoint::Discovery)).await;
    provider.behave_everywhere(Mood::Well);
    json(&provider, &url).await;
    assert_eq!((provider.asked(Endpoint::Jwks), provider.asked(Endpoint::Discovery)), (6, 1));
}

#[tokio::test]
async fn what_is_not_there_or_not_meant_is_refused() {
    let provider = IdentityProvider::start().await.unwrap();
    assert_eq!(read(&provider, &format!("{}/authorize", provider.issuer())).await.unwrap().status(), 404);
    assert_eq!(read(&provider, &provider.url(Endpoint::Token)).await.unwrap().status(), 405);
    let large = format!("token={}", "x".repeat(70_000));
    assert_eq!(post(&provider, Endpoint::Introspection, "portcullis", &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let address = provider.address();
    drop(provider);
    tokio::task::yield_now().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
