//! How this side proves itself to an authorization server, as it arrives there.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::authn::{Algorithm, ClientAuth, ClientSettings, SharedSecret};
use portcullis::outbound::{ClientIdentity, Roots};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};

use crate::introspection::{INTROSPECT, active};
use crate::refusals::kind;
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

/// Who signs the certificates of one side.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn leaf(&self, usage: ExtendedKeyUsagePurpose) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    fn client(&self) -> ClientIdentity {
        let (leaf, key) = self.leaf(ExtendedKeyUsagePurpose::ClientAuth);
        ClientIdentity { chain: vec![leaf], key: Arc::new(key) }
    }

    /// A server that this authority vouches for, and that takes the clients of `clients` and nobody else.
    fn server(&self, clients: &Self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(clients.certificate.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
        let (leaf, key) = self.leaf(ExtendedKeyUsagePurpose::ServerAuth);
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        builder.with_client_cert_verifier(verifier).with_single_cert(vec![leaf], key).unwrap()
    }
}

#[tokio::test]
async fn tls_client_auth() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let ours = clients.client();
    for (name, believed, shown, counts) in [
        ("our certificate", &servers, Some(ours.clone()), true),
        ("none", &servers, None, false),
        ("a stranger's", &servers, Some(strangers.client()), false),
        ("ours, to a server that we do not know", &strangers, Some(ours.clone()), false),
    ] {
        let provider = FakeProvider::start_tls(servers.server(&clients)).await;
        provider.answers(INTROSPECT, active(json!({})));
        let mut settings = server(&format!("https://{}{INTROSPECT}", provider.address));
        settings.client = ClientSettings { id: "portcullis & co".into(), auth: ClientAuth::MutualTls };
        settings.outbound.roots = Roots::Only(vec![believed.certificate.clone()]);
        settings.outbound.identity = shown;
        let house = House::new(Vec::new(), vec![settings]);
        let outcome = house.bearer("partners", "opaque-1").await.map(drop).map_err(|error| kind(&error));
        let asked = provider.asked(INTROSPECT);
        if counts {
            assert_eq!((outcome, asked.len()), (Ok(()), 1), "{name}");
            assert_eq!(asked[0].certificate.as_ref(), ours.chain.first(), "the server saw another certificate");
            let form = form(&asked[0]);
            // RFC 8705 section 2: the client says who it is, and the certificate proves it.
            assert_eq!(names(&form), ["client_id", "token", "token_type_hint"]);
            assert_eq!(form["client_id"], "portcullis & co");
            assert!(!asked[0].headers.contains_key("authorization"));
        } else {
            assert_eq!((outcome, asked.len()), (Err("introspection-unavailable"), 0), "{name}: a token was sent");
        }
    }
}

#[test]
fn a_key_of_another_kind_is_a_fault_at_the_start() {
    let key = SharedSecret::new(KeyPair::generate().unwrap().serialize_pem().into_bytes());
    for algorithm in [Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Es384, Algorithm::Hs256] {
        let auth = ClientAuth::PrivateKeyJwt { key: key.clone(), algorithm, key_id: None, audience: "as".into() };
        assert!(ClientSettings { id: "portcullis".into(), auth }.check().is_err(), "{algorithm}");
    }
}
