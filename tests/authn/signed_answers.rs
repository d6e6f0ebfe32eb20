//! Signed answers about opaque tokens (RFC 9701): by whom, for whom, of when, and nothing else is one.

use portcullis::authn::{AuthnError, IssuerSettings};
use portcullis::identity::{Issuer, Name};
use serde_json::{Value, json};

use crate::introspection::{INTROSPECT, active, inactive};
use crate::refusals::kind;
use crate::support::keys::merged;
use crate::support::{FakeProvider, House, NOW, Reply, SigningKey, Still, at, issuer, issuer_at, key, server};

const SIGNER: &str = "https://as.partners.example";
const MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// `[issuer.as]`, the same authorization server as one that signs.
fn signer(settings: IssuerSettings) -> IssuerSettings {
    IssuerSettings { name: Name::new("as"), issuer: Issuer::new(SIGNER), ..settings }
}

fn said(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// A good answer with some members of its header and its claims replaced; `null` removes one.
fn jwt(key: &SigningKey, header: Value, claims: Value) -> String {
    let good = json!({"iss": SIGNER, "aud": "portcullis", "iat": NOW, "token_introspection": said(&active(json!({})))});
    let typed = json!({"alg": key.algorithm, "kid": key.kid, "typ": "token-introspection+jwt"});
    key.sign(&merged(typed, header), &merged(good, claims))
}

fn signed(text: impl Into<bytes::Bytes>) -> Reply {
    Reply::text(text).header("content-type", MEDIA_TYPE)
}

/// A house that wants the answers of `provider` to be signed by `issuer`.
fn house(provider: &FakeProvider, issuer: IssuerSettings) -> House {
    let mut settings = server(&provider.url(INTROSPECT));
    settings.signed_by = Some(issuer.clone());
    House::new(vec![issuer], vec![settings])
}

async fn answer_to(reply: Reply) -> (Result<(), AuthnError>, Option<&'static str>) {
    let provider = FakeProvider::start().await;
    provider.answers(INTROSPECT, reply);
    let house = house(&provider, signer(issuer(&[key("ES256").jwk()])));
    let outcome = house.bearer("partners", "opaque-1").await.map(drop);
    let asked = provider.asked(INTROSPECT);
    assert_eq!((asked.len(), asked[0].headers["accept"].to_str().unwrap()), (1, MEDIA_TYPE));
    let status = house.authenticator.source_status();
    (outcome, status.iter().find(|source| source.name.as_str() == "partners").unwrap().last_error)
}

#[tokio::test]
async fn a_signed_answer_says_what_an_unsigned_one_would() {
    let _still = Still::begin();
    let es = key("ES256");
    for (name, reply) in [
        ("as it is", signed(jwt(es, json!({}), json!({})))),
        (
            "with a character set",
            Reply::text(jwt(es, json!({}), json!({})))
                .header("content-type", "Application/Token-Introspection+JWT; charset=utf-8"),
        ),
        ("for others, too", signed(jwt(es, json!({}), json!({"aud": ["x", "portcullis"]})))),
        ("typ in full", signed(jwt(es, json!({"typ": MEDIA_TYPE}), json!({})))),
        ("a minute old, by a clock that is behind", signed(jwt(es, json!({}), json!({"iat": NOW - 90})))),
        ("by a clock that is ahead", signed(jwt(es, json!({}), json!({"iat": NOW + 30})))),
    ] {
        assert_eq!(answer_to(reply).await, (Ok(()), None), "{name}");
    }
    for (changes, expected) in [
        (json!({"active": false}), "inactive"),
        (json!({"aud": "wiki"}), "audience"),
        (json!({"exp": NOW - 30}), "expired"),
        (json!({"exp": "1"}), "claim"),
        (json!({"token_type": "DPoP"}), "binding"),
    ] {
        let answer = jwt(es, json!({}), json!({"token_introspection": said(&active(changes))}));
        let (outcome, error) = answer_to(signed(answer)).await;
        assert_eq!((outcome.map_err(|error| kind(&error)), error), (Err(expected), None));
    }
}

#[tokio::test]
async fn what_is_not_signed_for_us_now_is_no_answer() {
    let _still = Still::begin();
    let es = key("ES256");
    let header = |changes: Value| signed(jwt(es, changes, json!({})));
    let claims = |changes: Value| signed(jwt(es, json!({}), changes));
    let good = jwt(es, json!({}), json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = SigningKey::ec("ec", "ES256");
    let access_token = es.sign(
        &json!({"alg": "ES256", "kid": es.kid, "typ": "at+jwt"}),
        &json!({"iss": SIGNER, "aud": "portcullis", "iat": NOW, "token_introspection": said(&active(json!({})))}),
    );
    for (name, reply, word) in [
        ("an unsigned answer", active(json!({})), "unsigned"),
        ("an unsigned refusal", inactive(), "unsigned"),
        (
            "an unsigned answer under the signed kind",
            active(json!({})).header("content-type", MEDIA_TYPE),
            "signed-malformed",
        ),
        ("a signed answer under no kind", Reply::text(good.clone()), "unsigned"),
        (
            "a signed answer under another kind",
            Reply::text(good.clone()).header("content-type", "application/jwt"),
            "unsigned",
        ),
        ("another JWT of the issuer", signed(access_token), "signed-malformed"),
        ("no typ", header(json!({"typ": null})), "signed-malformed"),
        ("typ JWT", header(json!({"typ": "JWT"})), "signed-malformed"),
        ("typ is a list", header(json!({"typ": ["token-introspection+jwt"]})), "signed-malformed"),
        (
            "alg none",
            signed(format!("{}.", jwt(es, json!({"alg": "none"}), json!({})).rsplit_once('.').unwrap().0)),
            "signed-malformed",
        ),
        ("alg HS256", header(json!({"alg": "HS256"})), "signed-malformed"),
        ("crit", header(json!({"crit": ["x"]})), "signed-malformed"),
        ("b64", header(json!({"b64": false})), "signed-malformed"),
        ("kid is a number", header(json!({"kid": 1})), "signed-malformed"),
        ("an unknown kid", header(json!({"kid": "x"})), "signature"),
        ("the alg of another key", header(json!({"alg": "ES384"})), "signature"),
        ("another key under this kid", signed(jwt(&other, json!({}), json!({}))), "signature"),
        ("its own key in the header", signed(jwt(&other, json!({"jwk": other.bare_jwk()}), json!({}))), "signature"),
        ("another message under this signature", signed(format!("{message}A.{signature}")), "signed-malformed"),
        ("a signature of nothing", signed(format!("{message}.")), "signature"),
        ("two parts", signed(message.to_owned()), "signed-malformed"),
        ("five parts", signed(format!("{good}.x.y")), "signed-malformed"),
        ("padding", signed(format!("{good}=")), "signed-malformed"),
        ("a line end", signed(format!("{good}\n")), "signed-malformed"),
        ("no bytes of text", signed(vec![0xff, 0xfe]), "signed-malformed"),
        ("nothing", signed(""), "signed-malformed"),
        ("no iss", claims(json!({"iss": null})), "signed-claims"),
        ("another iss", claims(json!({"iss": "https://as.evil.example"})), "signed-claims"),
        ("iss with a slash", claims(json!({"iss": format!("{SIGNER}/")})), "signed-claims"),
        ("iss is a list", claims(json!({"iss": [SIGNER]})), "signed-claims"),
        ("no aud", claims(json!({"aud": null})), "signed-claims"),
        ("the aud of another client", claims(json!({"aud": "shop"})), "signed-claims"),
        ("the audience of the token", claims(json!({"aud": "payments-api"})), "signed-claims"),
        ("aud begins like ours", claims(json!({"aud": "portcullis-2"})), "signed-claims"),
        ("aud is an object", claims(json!({"aud": {"portcullis": true}})), "signed-claims"),
        ("no iat", claims(json!({"iat": null})), "signed-claims"),
        ("an answer of long ago", claims(json!({"iat": NOW - 91})), "signed-claims"),
        ("an answer of the future", claims(json!({"iat": NOW + 31})), "signed-claims"),
        ("iat is a string", claims(json!({"iat": NOW.to_string()})), "signed-claims"),
        ("iat is 1e300", claims(json!({"iat": 1e300})), "signed-claims"),
        ("expired", claims(json!({"exp": NOW - 30})), "signed-claims"),
        ("exp is a string", claims(json!({"exp": "9"})), "signed-claims"),
        ("not yet", claims(json!({"nbf": NOW + 31})), "signed-claims"),
        (
            "no token_introspection",
            claims(json!({"token_introspection": null, "active": true, "sub": "p-4"})),
            "signed-claims",
        ),
        ("token_introspection is true", claims(json!({"token_introspection": true})), "signed-claims"),
        (
            "token_introspection is a list",
            claims(json!({"token_introspection": [said(&active(json!({})))]})),
            "signed-claims",
        ),
        (
            "token_introspection is a text",
            claims(json!({"token_introspection": said(&active(json!({}))).to_string()})),
            "signed-claims",
        ),
        ("no active", claims(json!({"token_introspection": said(&active(json!({"active": null})))})), "malformed"),
        ("active is a string", claims(json!({"token_introspection": {"active": "true"}})), "malformed"),
        ("active beside it", claims(json!({"active": true, "token_introspection": {}})), "malformed"),
        ("a good answer under 201", Reply { status: 201, ..signed(good.clone()) }, "status"),
        ("a good answer under 401", Reply { status: 401, ..signed(good.clone()) }, "client-rejected"),
        ("2 MB", claims(json!({"x": "x".repeat(2 << 20)})), "too-large"),
    ] {
        let (outcome, error) = answer_to(reply).await;
        assert_eq!(outcome.map_err(|error| kind(&error)), Err("introspection-unavailable"), "{name}");
        assert_eq!(error, Some(word), "{name}");
    }
    let twice = format!(
        r#"{{"iss":"{SIGNER}","iss":"{SIGNER}","aud":"portcullis","iat":{NOW},"token_introspection":{{"active":true,"sub":"a"}}}}"#
    );
    let header = json!({"alg": "ES256", "kid": es.kid, "typ": "token-introspection+jwt"}).to_string();
    let (outcome, error) = answer_to(signed(es.sign_texts(&header, &twice))).await;
    assert!(outcome.is_err() && error == Some("signed-malformed"), "a member twice");
}

#[tokio::test]
async fn a_new_key_of_the_signer_counts_and_one_that_vanished_does_not() {
    let (still, provider) = (Still::begin(), FakeProvider::start().await);
    let (old, new) = (key("ES256"), key("EdDSA"));
    provider.answers("/jwks", Reply::keys(&[old.jwk()]));
    let house = house(&provider, signer(issuer_at(&provider.url("/jwks"))));
    house.until(|source| source.name.as_str() != "as" || source.keys == 1).await;
    provider.answers(INTROSPECT, signed(jwt(old, json!({}), json!({}))));
    assert!(house.stranger("partners", "opaque-1").await.is_ok());
    provider.answers("/jwks", Reply::keys(&[new.jwk()]));
    provider.answers(INTROSPECT, signed(jwt(new, json!({}), json!({}))));
    let (outcome, ()) = tokio::join!(house.stranger("partners", "opaque-2"), still.passes(5));
    assert!(outcome.is_ok());
    assert_eq!(provider.count("/jwks"), 2);
    provider.answers(INTROSPECT, signed(jwt(old, json!({}), json!({"jti": "x"}))));
    let (outcome, ()) = tokio::join!(house.stranger("partners", "opaque-3"), still.passes(5));
    assert_eq!(outcome.map(drop).map_err(|error| kind(&error)), Err("introspection-unavailable"));
}

#[tokio::test]
async fn without_the_keys_of_the_signer_nothing_counts() {
    let (_still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers("/jwks", Reply::status(500));
    provider.answers(INTROSPECT, signed(jwt(key("ES256"), json!({}), json!({}))));
    let house = house(&provider, signer(issuer_at(&provider.url("/jwks"))));
    let outcome = house.bearer("partners", "opaque-1").await.map(drop);
    assert_eq!(outcome.map_err(|error| kind(&error)), Err("introspection-unavailable"));
    house.clock.set(at(1));
}

#[tokio::test]
async fn a_reload_that_wants_signatures_forgets_what_was_said_without() {
    let (_still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers(INTROSPECT, active(json!({})));
    let unsigned = server(&provider.url(INTROSPECT));
    let mut house = House::new(Vec::new(), vec![unsigned.clone()]);
    assert!(house.bearer("partners", "opaque-1").await.is_ok());
    let issuer = signer(issuer(&[key("ES256").jwk()]));
    let mut wanting = unsigned;
    wanting.signed_by = Some(issuer.clone());
    house.reload(vec![issuer], vec![wanting]);
    let outcome = house.bearer("partners", "opaque-1").await.map(drop);
    assert_eq!(outcome.map_err(|error| kind(&error)), Err("introspection-unavailable"));
}
