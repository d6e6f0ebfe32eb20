//! How this side proves itself to an authorization server, as it arrives there.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::authn::{Algorithm, ClientAuth, ClientSettings, SharedSecret};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use crate::introspection::{INTROSPECT, active};
use crate::support::fake::Asked;
use crate::support::{FakeProvider, House, NOW, Still, server};

/// The requests about two tokens that arrive from a client.
async fn asked_as(auth: ClientAuth) -> Vec<Asked> {
    let _still = Still::begin();
    let provider = FakeProvider::start().await;
    provider.answers(INTROSPECT, active(json!({})));
    let mut settings = server(&provider.url(INTROSPECT));
    settings.client = ClientSettings { id: "portcullis & co".into(), auth };
    let house = House::new(Vec::new(), vec![settings]);
    for token in ["one/+=", "two"] {
        assert!(house.bearer("partners", token).await.is_ok());
    }
    provider.asked(INTROSPECT)
}

fn form(asked: &Asked) -> BTreeMap<String, String> {
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(asked.headers["accept"], "application/json");
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs: Vec<_> = asked.body.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    let form: BTreeMap<_, _> = pairs.iter().map(|(name, value)| (decoded(name), decoded(value))).collect();
    assert_eq!(form.len(), pairs.len(), "a field is said twice");
    form
}

fn names(form: &BTreeMap<String, String>) -> Vec<&str> {
    form.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn client_secret_basic() {
    let asked = asked_as(ClientAuth::Basic(SharedSecret::new(b"s3cret/+ &:".to_vec()))).await;
    let form = form(&asked[0]);
    assert_eq!(names(&form), ["token", "token_type_hint"]);
    assert_eq!((form["token"].as_str(), form["token_type_hint"].as_str()), ("one/+=", "access_token"));
    let value = asked[0].headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
    // RFC 6749 section 2.3.1: both are form-encoded first, so that a colon in either cuts nothing.
    assert_eq!(STANDARD.decode(value).unwrap(), b"portcullis%20%26%20co:s3cret%2F%2B%20%26%3A");
}

#[tokio::test]
async fn client_secret_post() {
    let asked = asked_as(ClientAuth::Post(SharedSecret::new(b"s3cret/+ &:".to_vec()))).await;
    let form = form(&asked[0]);
    assert_eq!(names(&form), ["client_id", "client_secret", "token", "token_type_hint"]);
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("portcullis & co", "s3cret/+ &:"));
    assert!(!asked[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn private_key_jwt() {
    let pair = KeyPair::generate().unwrap();
    let asked = asked_as(ClientAuth::PrivateKeyJwt {
        key: SharedSecret::new(pair.serialize_pem().into_bytes()),
        algorithm: Algorithm::Es256,
        key_id: Some("client-1".into()),
        audience: "https://as.partners.example/token".into(),
    })
    .await;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.der_bytes());
    let mut identifiers = Vec::new();
    for asked in &asked {
        let form = form(asked);
        assert_eq!(
            names(&form),
            ["client_assertion", "client_assertion_type", "client_id", "token", "token_type_hint"]
        );
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert!(!asked.headers.contains_key("authorization"));
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let (signed, signature) = form["client_assertion"].rsplit_once('.').unwrap();
        key.verify(signed.as_bytes(), &decode(signature)).unwrap();
        let (head, body) = signed.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)).unwrap();
        let (head, body) = (json(head), json(body));
        assert_eq!((&head["alg"], &head["kid"]), (&json!("ES256"), &json!("client-1")));
        assert_eq!((&body["iss"], &body["sub"]), (&json!("portcullis & co"), &json!("portcullis & co")));
        assert_eq!((&body["aud"], &body["iat"]), (&json!("https://as.partners.example/token"), &json!(NOW)));
        assert_eq!(body["exp"], json!(NOW + 60));
        identifiers.push(body["jti"].as_str().unwrap().to_owned());
    }
    assert_ne!(identifiers[0], identifiers[1], "an assertion counts once");
}

#[test]
fn a_key_of_another_kind_is_a_fault_at_the_start() {
    let key = SharedSecret::new(KeyPair::generate().unwrap().serialize_pem().into_bytes());
    for algorithm in [Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Es384, Algorithm::Hs256] {
        let auth = ClientAuth::PrivateKeyJwt { key: key.clone(), algorithm, key_id: None, audience: "as".into() };
        assert!(ClientSettings { id: "portcullis".into(), auth }.check().is_err(), "{algorithm}");
    }
}
