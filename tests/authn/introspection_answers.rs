//! What an authorization server may say: what refuses a token, and what says nothing about it and is never a pass.

use portcullis::authn::{Audiences, AuthnError};
use serde_json::{Value, json};

use crate::introspection::{INTROSPECT, active, inactive};
use crate::refusals::kind;
use crate::support::{FakeProvider, House, NOW, Reply, Still, encode, server};

async fn answer_to(reply: Reply, audiences: Option<Audiences>) -> (FakeProvider, Result<(), AuthnError>) {
    let provider = FakeProvider::start().await;
    provider.answers(INTROSPECT, reply);
    let mut settings = server(&provider.url(INTROSPECT));
    if let Some(audiences) = audiences {
        settings.token.audiences = audiences;
    }
    let house = House::new(Vec::new(), vec![settings]);
    let outcome = house.bearer("partners", "opaque-1").await.map(drop);
    (provider, outcome)
}

#[tokio::test]
async fn hostile_answers_refuse_each_for_its_reason() {
    let _still = Still::begin();
    let thumbprint = encode(&[7; 32]);
    for (name, expected, reply) in [
        ("not active", "inactive", inactive()),
        ("not active, with claims", "inactive", active(json!({"active": false}))),
        ("no aud", "audience", active(json!({"aud": null}))),
        ("another aud", "audience", active(json!({"aud": "wiki"}))),
        ("aud begins like ours", "audience", active(json!({"aud": "payments-api-test"}))),
        ("aud is a number", "claim", active(json!({"aud": 1}))),
        ("aud is an empty list", "claim", active(json!({"aud": []}))),
        ("another iss", "issuer", active(json!({"iss": "https://as.evil.example"}))),
        ("iss with a slash", "issuer", active(json!({"iss": "https://as.partners.example/"}))),
        ("iss is a list", "claim", active(json!({"iss": ["https://as.partners.example"]}))),
        ("expired", "expired", active(json!({"exp": NOW - 30}))),
        ("expired at zero", "expired", active(json!({"exp": 0}))),
        ("exp is a string", "claim", active(json!({"exp": (NOW + 600).to_string()}))),
        ("exp is true", "claim", active(json!({"exp": true}))),
        ("exp is 1e300", "claim", active(json!({"exp": 1e300}))),
        ("not yet", "not-yet-valid", active(json!({"nbf": NOW + 31}))),
        ("nbf is a string", "claim", active(json!({"nbf": "0"}))),
        ("issued in the future", "not-yet-valid", active(json!({"iat": NOW + 31}))),
        ("a refresh token", "type", active(json!({"token_type": "refresh_token"}))),
        ("a token type that is a number", "claim", active(json!({"token_type": 1}))),
        ("nobody", "claim", active(json!({"sub": null, "client_id": null}))),
        ("sub is a number", "claim", active(json!({"sub": 4}))),
        ("sub is empty", "claim", active(json!({"sub": ""}))),
        ("scope is a number", "claim", active(json!({"scope": 1}))),
        ("bound to a certificate that was not shown", "binding", active(json!({"cnf": {"x5t#S256": thumbprint}}))),
        ("bound to a DPoP key", "binding", active(json!({"cnf": {"jkt": thumbprint}}))),
        ("bound in a way that is not known", "binding", active(json!({"cnf": {"kid": "x"}}))),
        ("a DPoP token of no key", "binding", active(json!({"token_type": "DPoP"}))),
        (
            "a DPoP token of a certificate alone",
            "binding",
            active(json!({"token_type": "dpop", "cnf": {"x5t#S256": thumbprint}})),
        ),
        ("cnf is a string", "binding", active(json!({"cnf": "x"}))),
    ] {
        let (provider, outcome) = answer_to(reply, None).await;
        assert_eq!(outcome.map_err(|error| kind(&error)), Err(expected), "{name}");
        assert_eq!(provider.count(INTROSPECT), 1, "{name}");
    }
    let json_null = |claim: &str| {
        let mut body: Value = serde_json::from_slice(&active(json!({})).body).unwrap();
        body[claim] = Value::Null;
        Reply::json(&body)
    };
    for claim in ["aud", "iss", "exp", "nbf", "iat", "sub", "scope", "token_type", "cnf"] {
        let (_, outcome) = answer_to(json_null(claim), None).await;
        assert!(outcome.is_err(), "{claim} is null");
    }
}

#[tokio::test]
async fn what_is_no_answer_says_nothing_and_is_never_a_pass() {
    let still = Still::begin();
    let good = active(json!({}));
    let body = String::from_utf8(good.body.to_vec()).unwrap();
    let elsewhere = FakeProvider::start().await;
    elsewhere.answers(INTROSPECT, active(json!({})));
    for (name, reply) in [
        ("no active", active(json!({"active": null}))),
        ("active is a string", active(json!({"active": "true"}))),
        ("active is a number", active(json!({"active": 1}))),
        ("active is said twice", Reply::text(body.replacen('{', r#"{"active":true,"#, 1))),
        ("sub is said twice", Reply::text(body.replacen('{', r#"{"sub":"admin","#, 1))),
        ("a list", Reply::text(format!("[{body}]"))),
        ("true", Reply::text("true")),
        ("garbage", Reply::text("<html>active</html>")),
        ("nothing", Reply::text("")),
        ("more behind the end", Reply::text(format!("{body}{body}"))),
        ("2 MB", active(json!({"x": "x".repeat(2 << 20)}))),
        ("a good answer under 201", Reply { status: 201, ..good.clone() }),
        ("a good answer under 400", Reply { status: 400, ..good.clone() }),
        ("a good answer under 401", Reply { status: 401, ..good.clone() }),
        ("a good answer under 403", Reply { status: 403, ..good.clone() }),
        ("a good answer under 500", Reply { status: 500, ..good.clone() }),
        ("a redirect", Reply::status(307).header("location", elsewhere.url(INTROSPECT))),
    ] {
        let (_, outcome) = answer_to(reply, None).await;
        assert_eq!(outcome.map_err(|error| kind(&error)), Err("introspection-unavailable"), "{name}");
    }
    assert_eq!(elsewhere.count(INTROSPECT), 0, "a token was sent to where a redirect points");
    let provider = FakeProvider::start().await;
    provider.answers(INTROSPECT, good.held());
    let house = House::new(Vec::new(), vec![server(&provider.url(INTROSPECT))]);
    let (outcome, ()) = tokio::join!(house.bearer("partners", "opaque-1"), async {
        provider.until(INTROSPECT, 1).await;
        still.passes(5).await;
    });
    assert_eq!(outcome.map(drop).map_err(|error| kind(&error)), Err("introspection-unavailable"), "too slow");
}

#[tokio::test]
async fn an_audience_that_nobody_checks_is_said_aloud() {
    let _still = Still::begin();
    for aud in [Value::Null, json!("wiki"), json!(["a", "b"])] {
        let (_, outcome) = answer_to(active(json!({"aud": aud})), Some(Audiences::Unchecked)).await;
        assert!(outcome.is_ok(), "{aud}");
    }
    let (_, outcome) = answer_to(active(json!({"aud": 1})), Some(Audiences::Unchecked)).await;
    assert!(outcome.is_err());
}
