//! Tokens that must be accepted, and what they come to.

use portcullis::authn::{Algorithm, GroupsClaim, GroupsForm, IssuerSettings, KeyOrigin, SharedSecret, TokenType};
use portcullis::identity::{Audience, ClaimForm, ClaimPath, Scope, Subject};
use serde_json::{Value, json};

use crate::support::{House, ISSUER, NOW, SigningKey, at, claims, header, issuer, key};

fn house() -> House {
    let keys: Vec<_> = ["ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        .map(|algorithm| key(algorithm).jwk())
        .into();
    House::new(vec![issuer(&keys)], Vec::new())
}

#[tokio::test]
async fn every_algorithm_verifies() {
    let house = house();
    for algorithm in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let identified = house.bearer("corp", &key(algorithm).token(json!({}))).await;
        assert!(identified.is_ok(), "{algorithm}: {identified:?}");
    }
}

#[tokio::test]
async fn ed25519_has_a_name_of_its_own() {
    let mut jwk = key("EdDSA").jwk();
    jwk["alg"] = json!("Ed25519");
    let house = House::new(vec![issuer(&[jwk])], Vec::new());
    let ed = key("EdDSA");
    let token = |alg: &str| ed.sign(&header(ed, json!({"alg": alg})), &claims(json!({})));
    assert!(house.bearer("corp", &token("Ed25519")).await.is_ok());
    assert!(house.bearer("corp", &token("EdDSA")).await.is_err());
}

#[tokio::test]
async fn good_tokens_in_every_form_are_accepted() {
    let house = house();
    let es = key("ES256");
    let mut rows: Vec<(&str, String)> = [
        ("as it is", json!({})),
        ("one of several audiences is ours", json!({"aud": ["wiki", "payments-api"]})),
        ("our other audience", json!({"aud": "other-api"})),
        ("expired within the skew", json!({"exp": NOW - 29, "iat": NOW - 600})),
        ("not yet, within the skew", json!({"nbf": NOW + 30})),
        ("issued within the skew", json!({"iat": NOW + 30})),
        ("fractions of seconds", json!({"exp": f64::from(1_800_000_600) + 0.25})),
        ("the longest life", json!({"iat": NOW, "exp": NOW + 3600})),
        ("no iat, no nbf", json!({"iat": null, "nbf": null})),
        ("no jti", json!({"jti": null})),
        ("no scope", json!({"scope": null})),
        ("scope as a list", json!({"scope": ["read", "write"]})),
        ("scopes where Okta has them", json!({"scope": null, "scp": ["read"]})),
        ("no groups", json!({"groups": null})),
        ("groups in another form", json!({"groups": "finance"})),
        ("azp for client_id", json!({"client_id": null, "azp": "cli"})),
        ("acr, amr and auth_time", json!({"acr": "mfa", "amr": ["otp"], "auth_time": NOW - 100})),
        ("an actor", json!({"act": {"sub": "service"}})),
        ("a nonce, which an access token may have", json!({"nonce": "n"})),
        ("Keycloak's bearer token", json!({"typ": "Bearer"})),
        ("Cognito's access token", json!({"token_use": "access"})),
        ("claims that nobody knows", json!({"x": {"y": [1, 2.5, null, true]}})),
        ("a sub in another script", json!({"sub": "J\u{fc}rgen \u{7530}"})),
        ("a deep claim", json!({"a": {"b": {"c": {"d": {"e": 1}}}}})),
    ]
    .into_iter()
    .map(|(name, changes)| (name, es.token(changes)))
    .collect();
    let headers = [
        ("no kid where one key fits", json!({"kid": null})),
        ("typ with its prefix", json!({"typ": "application/at+jwt"})),
        ("typ in capitals", json!({"typ": "AT+JWT"})),
        ("header members that nobody follows", json!({"jku": "https://evil.example", "x5t": "x"})),
    ];
    rows.extend(headers.map(|(name, changes)| (name, es.sign(&header(es, changes), &claims(json!({}))))));
    assert!(rows.len() >= 25);
    for (name, token) in rows {
        let first = house.bearer("corp", &token).await;
        assert!(first.is_ok(), "{name}: {first:?}");
        let second = house.bearer("corp", &token).await.unwrap();
        assert_eq!(first.unwrap().token(), second.token(), "{name}: the remembered token differs");
    }
}

#[tokio::test]
async fn the_facts_are_what_the_token_says() {
    let house = house();
    let token = key("ES256").token(json!({
        "aud": ["payments-api", "wiki"], "acr": "mfa", "amr": ["pwd", "otp"], "auth_time": NOW - 5, "realm": {"x": 1},
    }));
    let identified = house.bearer("corp", &token).await.unwrap();
    let facts = identified.token().unwrap();
    assert_eq!((facts.source.as_str(), facts.principal.issuer.as_str()), ("corp", ISSUER));
    assert_eq!(identified.subject(), Subject::Principal(facts.principal.clone()));
    assert_eq!((&*facts.principal.subject, facts.client_id.as_deref()), ("u-17", Some("cli")));
    assert_eq!(facts.audiences, ["payments-api", "wiki"].map(Audience::new));
    assert_eq!(facts.scopes, ["read", "write"].map(Scope::new));
    assert_eq!((facts.groups_claim, facts.groups.len()), (ClaimForm::Stated, 2));
    assert_eq!((facts.acr.as_deref(), facts.amr.len()), (Some("mfa"), 2));
    assert_eq!((facts.auth_time, facts.issued_at), (Some(at(-5)), Some(at(-60))));
    assert_eq!((facts.expires_at, facts.id.as_deref()), (at(600), Some("t-1")));
    assert_eq!(facts.claims.at(&ClaimPath::parse("realm.x").unwrap()), Some(&json!(1)));
}

#[tokio::test]
async fn no_credential_is_anonymous_and_says_so() {
    let house = house();
    let request = http::Request::get("/corp").header("host", "a.example").body(()).unwrap();
    let identified = house.send(request).await.unwrap();
    assert_eq!((identified.subject(), identified.token()), (Subject::Anonymous, None));
}

#[tokio::test]
async fn groups_are_read_in_the_stated_form_and_in_no_other() {
    let found = async |form, claim: Value| {
        let mut corp = issuer(&[key("ES256").jwk()]);
        corp.token.groups = GroupsClaim { path: ClaimPath::parse("realm.roles").unwrap(), form };
        let house = House::new(vec![corp], Vec::new());
        let token = key("ES256").token(json!({"realm": {"roles": claim}}));
        let identified = house.bearer("corp", &token).await.unwrap();
        let facts = identified.token().unwrap();
        (facts.groups.iter().map(|group| group.to_string()).collect::<Vec<_>>().join("|"), facts.groups_claim)
    };
    let stated = |groups: &str| (groups.to_owned(), ClaimForm::Stated);
    let other = (String::new(), ClaimForm::Other);
    assert_eq!(found(GroupsForm::List, json!(["a", "b c"])).await, stated("a|b c"));
    assert_eq!(found(GroupsForm::List, json!([])).await, stated(""));
    assert_eq!(found(GroupsForm::List, json!("a b")).await, other);
    assert_eq!(found(GroupsForm::List, json!(["a", 1])).await, other);
    assert_eq!(found(GroupsForm::String, json!("a b")).await, stated("a b"));
    assert_eq!(found(GroupsForm::String, json!(["a"])).await, other);
    assert_eq!(found(GroupsForm::Separated(','), json!("a,b c,,d")).await, stated("a|b c|d"));
    assert_eq!(found(GroupsForm::Separated(','), json!({"a": 1})).await, other);
}

#[tokio::test]
async fn other_types_count_only_where_the_issuer_says_so_and_an_id_token_never() {
    let types = vec![TokenType::named("JWT"), TokenType::Absent];
    let corp = IssuerSettings { token_types: types, ..issuer(&[key("ES256").jwk()]) };
    let house = House::new(vec![corp], Vec::new());
    let es = key("ES256");
    let token = |typ: Value, changes: Value| es.sign(&header(es, json!({"typ": typ})), &claims(changes));
    for typ in [json!("JWT"), Value::Null] {
        assert!(house.bearer("corp", &token(typ.clone(), json!({}))).await.is_ok());
        for id_token in [json!({"nonce": "n"}), json!({"at_hash": "h"}), json!({"c_hash": "h"}), json!({"typ": "ID"})] {
            assert!(house.bearer("corp", &token(typ.clone(), id_token.clone())).await.is_err(), "{typ} {id_token}");
        }
    }
    assert!(house.bearer("corp", &token(json!("at+jwt"), json!({}))).await.is_err());
}

#[tokio::test]
async fn a_shared_secret_verifies_for_its_issuer_alone() {
    let secret = [9; 32];
    let hs = SigningKey::secret("any", "HS256", &secret);
    let corp = IssuerSettings {
        keys: KeyOrigin::Secret(SharedSecret::new(secret.to_vec())),
        algorithms: vec![Algorithm::Hs256],
        ..issuer(&[])
    };
    let house = House::new(vec![corp], Vec::new());
    assert!(house.bearer("corp", &hs.token(json!({}))).await.is_ok());
    assert!(house.bearer("corp", &SigningKey::secret("any", "HS256", &[8; 32]).token(json!({}))).await.is_err());
    assert!(house.bearer("corp", &SigningKey::secret("any", "HS512", &secret).token(json!({}))).await.is_err());
    assert!(house.bearer("corp", &key("ES256").token(json!({}))).await.is_err());
}
