//! What an authorization server answers: about a token, as it is and signed, and in exchange for one.

use std::str::from_utf8;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use portcullis::authn::{
    Algorithm, ClientAuth, ClientSettings, IntrospectionCache, IntrospectionSettings, IssuerSettings, KeyOrigin,
    KeySet, SharedSecret, TokenType,
};
use portcullis::identity::{Issuer, Name, TokenFacts};
use portcullis::outbound::{Endpoint, OutboundSettings, PlainHttp};
use portcullis::upstream::ExchangedToken;
use serde_json::Value;

use super::token::{AUDIENCE, NOW, SKEW, rules};

/// The key of the server.
const SEED: [u8; 32] = [9; 32];
const SERVER: &str = "https://as.partners.example";

/// An answer that makes a token good says so itself, of us, of somebody, of now.
pub fn plain(input: &[u8]) -> bool {
    let settings = server();
    assert!(settings.is_some(), "the server's settings do not stand");
    let (Some(settings), Ok(now)) = (settings, Timestamp::from_second(NOW)) else { return false };
    let Some(Ok(facts)) = settings.verdict(input, now) else { return false };
    let answer: Value = serde_json::from_slice(input).unwrap_or_default();
    holds(&answer, &facts, &settings);
    true
}

fn holds(answer: &Value, facts: &TokenFacts, settings: &IntrospectionSettings) {
    assert_eq!(answer["active"], true);
    let ours = |aud: &Value| aud == AUDIENCE || aud.as_array().is_some_and(|list| list.contains(&AUDIENCE.into()));
    assert!(ours(&answer["aud"]));
    assert!(answer["iss"].is_null() || answer["iss"] == settings.issuer.as_str());
    assert!(answer["exp"].is_null() || answer["exp"].as_f64().is_some_and(|end| end > (NOW - SKEW - 1) as f64));
    assert_eq!(facts.principal.issuer, settings.issuer);
    let subject = answer["sub"].as_str().or(answer["client_id"].as_str()).or(answer["azp"].as_str());
    assert_eq!(Some(&*facts.principal.subject), subject);
    let bound = answer["cnf"].as_object().map(|cnf| cnf.keys().all(|name| name == "jkt" || name == "x5t#S256"));
    assert_eq!(facts.confirmation.is_some(), bound == Some(true));
    let kind = answer["token_type"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(!kind.contains("refresh"));
    assert!(kind != "dpop" || answer["cnf"]["jkt"].is_string(), "a DPoP token of no key");
}

/// A signed answer counts only if the server signed it, as an answer, for us, just now.
///
/// Two lines are a header and claims, which are signed properly; one line is an answer as it is.
pub fn signed(input: &[u8]) -> bool {
    let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(&SEED) else { return false };
    let answer = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => {
            let (header, claims) = (input.get(..at).unwrap_or_default(), input.get(at + 1..).unwrap_or_default());
            let signed = format!("{}.{}", encode(header), encode(claims));
            format!("{signed}.{}", encode(pair.sign(signed.as_bytes()))).into_bytes()
        }
        None => input.to_vec(),
    };
    let (settings, signer) = (server(), signer());
    assert!(settings.is_some() && signer.is_some(), "the settings do not stand");
    let (Some(settings), Some(signer), Ok(now)) = (settings, signer, Timestamp::from_second(NOW)) else { return false };
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{}"}}]}}"#, encode(pair.public_key().as_ref()));
    let Ok(keys) = KeySet::parse(set.as_bytes(), &signer.algorithms) else { return false };
    let Some(Ok(facts)) = settings.signed_verdict(&answer, &signer, &keys, now) else { return false };
    let text = from_utf8(&answer).unwrap_or_default();
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    let [head, claims, signature] = parts.as_slice() else { return false };
    let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    assert!(key.verify(format!("{head}.{claims}").as_bytes(), &signature).is_ok(), "nobody signed this");
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or_default()
    };
    let (head, claims) = (json(head), json(claims));
    let kind = head["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert_eq!(kind.strip_prefix("application/").unwrap_or(&kind), "token-introspection+jwt");
    assert_eq!((&head["crit"], &claims["iss"]), (&Value::Null, &SERVER.into()));
    let aud = &claims["aud"];
    assert!(aud == "portcullis" || aud.as_array().is_some_and(|list| list.contains(&"portcullis".into())));
    let age = claims["iat"].as_f64().map(|issued| NOW as f64 - issued);
    assert!(age.is_some_and(|age| age < (60 + SKEW + 1) as f64 && age > -(SKEW + 1) as f64));
    holds(&claims["token_introspection"], &facts, &settings);
    true
}

/// What is issued in exchange goes on in one header field: as one bearer token, and nothing beside it.
pub fn exchange(input: &[u8]) -> bool {
    let Some(issued) = ExchangedToken::read(input) else { return false };
    let answer: Value = serde_json::from_slice(input).unwrap_or_default();
    let token = answer["access_token"].as_str().unwrap_or_default();
    assert_eq!(issued.authorization().as_bytes(), format!("Bearer {token}").as_bytes());
    assert!(
        !token.is_empty() && token.len() <= 8192 && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
    );
    assert!(answer["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    assert!(
        answer["issued_token_type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with(":jwt") || kind.ends_with(":access_token"))
    );
    assert_eq!(issued.lasts().map(|lasts| lasts.as_secs()), answer["expires_in"].as_u64());
    assert!(issued.authorization().is_sensitive() && issued.lasts() != Some(Duration::ZERO));
    true
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signer() -> Option<IssuerSettings> {
    Some(IssuerSettings {
        name: Name::new("as"),
        issuer: Issuer::new(SERVER),
        keys: KeyOrigin::Document("".into()),
        token: rules()?,
        algorithms: vec![Algorithm::from_name("EdDSA")?],
        token_types: vec![TokenType::named("at+jwt")],
        max_lifetime: Duration::from_secs(3600),
    })
}

fn server() -> Option<IntrospectionSettings> {
    Some(IntrospectionSettings {
        name: Name::new("partners"),
        endpoint: Endpoint::parse("https://as.partners.example/introspect", PlainHttp::Loopback).ok()?,
        issuer: Issuer::new(SERVER),
        client: ClientSettings { id: "portcullis".into(), auth: ClientAuth::Basic(SharedSecret::new(vec![1])) },
        signed_by: None,
        prefix: None,
        token: rules()?,
        cache: IntrospectionCache {
            positive: Duration::from_secs(60),
            negative: Duration::from_secs(10),
            max_entries: 10,
            stale_if_error: Duration::ZERO,
        },
        outbound: OutboundSettings::default(),
    })
}
