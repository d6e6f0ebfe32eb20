//! An issuer's keys: fetched, kept fresh, taken away, and what a hostile or broken server can and cannot do.

use futures_util::future::join_all;
use portcullis::authn::{AuthnError, IssuerSettings, KeyOrigin, SourceState};
use portcullis::identity::{Issuer, Name};
use portcullis::outbound::{Endpoint, PlainHttp};
use serde_json::{Value, json};

use crate::refusals::kind;
use crate::support::{
    FakeProvider, House, Reply, SigningKey, Still, claims, encode, header, issuer, issuer_at, key, refresh,
};

const JWKS: &str = "/jwks";

/// A provider that publishes these keys, and a house that has them.
async fn begin(reply: Reply) -> (Still, FakeProvider, House) {
    let (still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers(JWKS, reply);
    let house = House::new(vec![issuer_at(&provider.url(JWKS))], Vec::new());
    house.fresh().await;
    assert_eq!(provider.count(JWKS), 1);
    (still, provider, house)
}

fn old() -> &'static SigningKey {
    key("ES256")
}

fn new() -> &'static SigningKey {
    key("EdDSA")
}

/// A token that names a key that nobody has.
fn false_kid(kid: &str) -> String {
    old().sign(&header(old(), json!({"kid": kid})), &claims(json!({})))
}

fn refused(outcome: Result<portcullis::authn::Identified, AuthnError>) -> &'static str {
    outcome.map_or_else(|error| kind(&error), |_| "accepted")
}

#[tokio::test]
async fn an_unknown_key_leads_to_one_fetch_for_everybody_who_waits() {
    let (still, provider, house) = begin(Reply::keys(&[old().jwk()])).await;
    provider.answers(JWKS, Reply::keys(&[old().jwk(), new().jwk()]));
    let tokens: Vec<String> = (0..200).map(|number| new().token(json!({"jti": number.to_string()}))).collect();
    let waiters = join_all(tokens.iter().map(|token| house.stranger("corp", token)));
    let (outcomes, ()) = tokio::join!(waiters, async {
        assert_eq!(provider.count(JWKS), 1, "not before 5 s have passed since the last fetch");
        still.passes(5).await;
    });
    assert!(outcomes.iter().all(Result::is_ok), "a rotation loses no request");
    assert_eq!(provider.count(JWKS), 2);
    assert!(house.bearer("corp", &old().token(json!({}))).await.is_ok());
}

#[tokio::test]
async fn false_key_identifiers_cost_one_fetch_in_five_seconds_and_are_remembered() {
    let (still, provider, house) = begin(Reply::keys(&[old().jwk()])).await;
    let flood = async |numbers: std::ops::Range<u32>| {
        let tokens: Vec<String> = numbers.map(|number| false_kid(&number.to_string())).collect();
        let outcomes = join_all(tokens.iter().map(|token| house.stranger("corp", token))).await;
        assert!(outcomes.into_iter().all(|outcome| refused(outcome) == "key-unknown"));
    };
    let ((), ()) = tokio::join!(flood(0..500), still.passes(5));
    assert_eq!(provider.count(JWKS), 2);
    // Now they are known to be false: nobody waits, nothing is fetched.
    flood(0..500).await;
    assert_eq!(provider.count(JWKS), 2);
    let ((), ()) = tokio::join!(flood(500..2500), still.passes(5));
    assert_eq!(provider.count(JWKS), 3);
    // More than can be remembered: some are asked for again, all together, once.
    let ((), ()) = tokio::join!(flood(500..2500), still.passes(5));
    assert_eq!(provider.count(JWKS), 4);
}

#[tokio::test]
async fn a_good_token_under_a_new_key_counts_within_five_seconds_of_a_flood() {
    let (still, provider, house) = begin(Reply::keys(&[old().jwk()])).await;
    // The new key is asked for before it is published, and held to be false.
    let token = new().token(json!({}));
    let (early, ()) = tokio::join!(house.stranger("corp", &token), still.passes(5));
    assert_eq!(refused(early), "key-unknown");
    provider.answers(JWKS, Reply::keys(&[old().jwk(), new().jwk()]));
    let tokens: Vec<String> = (0..2000).map(|number| false_kid(&number.to_string())).collect();
    let flood = join_all(tokens.iter().map(|token| house.stranger("corp", token)));
    let (_, ()) = tokio::join!(flood, still.passes(5));
    assert!(house.stranger("corp", &token).await.is_ok());
    assert_eq!(provider.count(JWKS), 3);
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_from_those_who_wait_with_it() {
    let (still, provider, house) = begin(Reply::keys(&[old().jwk()])).await;
    provider.answers(JWKS, Reply::keys(&[new().jwk()]));
    let token = new().token(json!({}));
    let mut gone = Box::pin(house.stranger("corp", &token));
    assert!(futures_util::poll!(&mut gone).is_pending());
    let stays = async {
        drop(gone);
        house.stranger("corp", &token).await
    };
    let (stays, ()) = tokio::join!(stays, still.passes(5));
    assert!(stays.is_ok());
    assert_eq!(provider.count(JWKS), 2);
}

#[tokio::test]
async fn a_key_that_vanishes_takes_the_tokens_that_it_signed_with_it() {
    let reply = Reply::keys(&[old().jwk(), new().jwk()]).header("cache-control", "public, max-age=30");
    let (still, provider, house) = begin(reply).await;
    let (lost, kept) = (old().token(json!({})), new().token(json!({})));
    for token in [&lost, &kept] {
        assert!(house.bearer("corp", token).await.is_ok());
    }
    provider.answers(JWKS, Reply::keys(&[new().jwk()]));
    still.passes(30).await;
    house.until(|source| source.keys == 1).await;
    assert_eq!(house.tokens.len(), 2, "both are in the worker's memory still");
    assert!(house.bearer("corp", &kept).await.is_ok());
    let (outcome, ()) = tokio::join!(house.bearer("corp", &lost), still.passes(5));
    assert_eq!(refused(outcome), "key-unknown");
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_name_takes_its_tokens_with_it() {
    let reply = Reply::keys(&[old().jwk()]).header("cache-control", "max-age=30");
    let (still, provider, house) = begin(reply).await;
    let token = old().token(json!({}));
    assert!(house.bearer("corp", &token).await.is_ok());
    let successor = SigningKey::ec("ec", "ES256");
    provider.answers(JWKS, Reply::keys(&[successor.jwk()]));
    still.passes(30).await;
    let successors = successor.token(json!({}));
    while house.stranger("corp", &successors).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(refused(house.bearer("corp", &token).await), "signature");
}

#[tokio::test]
async fn cache_control_is_followed_within_bounds() {
    for (value, second_fetch_after) in [
        ("max-age=0", 30),
        ("no-store", 30),
        ("max-age=1", 30),
        ("max-age=120", 120),
        ("max-age=\"120\", must-revalidate", 120),
        ("max-age=86400", 600),
        ("max-age=18446744073709551616", 600),
        ("max-age=-1", 600),
        ("garbage", 600),
    ] {
        let (still, provider, house) = begin(Reply::keys(&[old().jwk()]).header("cache-control", value)).await;
        still.passes(second_fetch_after - 1).await;
        provider.idle().await;
        assert_eq!(provider.count(JWKS), 1, "{value}: too early");
        still.passes(1).await;
        provider.until(JWKS, 2).await;
        drop(house);
    }
}

#[tokio::test]
async fn keys_outlive_their_server_for_the_stated_time_and_no_longer() {
    let (still, provider, house) = begin(Reply::keys(&[old().jwk()])).await;
    provider.answers(JWKS, Reply::status(500));
    let token = old().token(json!({}));
    still.passes(600).await;
    house.until(|source| source.last_error.is_some()).await;
    assert_eq!(house.stands(), (SourceState::Stale, Some("jwks-status")));
    assert!(house.stranger("corp", &token).await.is_ok());
    // An unknown key cannot be told from a new one while the server is down.
    let unknown = new().token(json!({}));
    let (unknown, ()) = tokio::join!(house.stranger("corp", &unknown), still.passes(5));
    assert_eq!(refused(unknown), "issuer-unavailable");
    assert!(house.bearer("corp", &token).await.is_ok());
    still.passes(3600).await;
    house.until(|source| source.state == SourceState::Down).await;
    for outcome in [house.stranger("corp", &token).await, house.bearer("corp", &token).await] {
        let Err(AuthnError::IssuerUnavailable { issuer, retry_after }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(issuer.as_str(), "corp");
        assert!((1..=61).contains(&retry_after.as_secs()), "{retry_after:?}");
    }
    provider.answers(JWKS, Reply::keys(&[old().jwk()]));
    // The attempt that was under way when the answer changed may have failed yet.
    while house.stands().0 != SourceState::Fresh {
        still.passes(60).await;
        provider.idle().await;
    }
    assert!(house.bearer("corp", &token).await.is_ok());
}

#[tokio::test]
async fn what_is_no_key_set_changes_nothing_and_without_a_key_set_nothing_counts() {
    let elsewhere = FakeProvider::start().await;
    elsewhere.answers(JWKS, Reply::keys(&[new().jwk()]));
    let large = json!({"keys": [new().jwk()], "x": "x".repeat(2 << 20)});
    let many: Vec<Value> = (0..257).map(|_| new().jwk()).collect();
    let keys = json!([new().jwk()]).to_string();
    let redirect = || Reply::status(302).header("location", elsewhere.url(JWKS));
    for (name, reply, word) in [
        ("2 MB", Reply::json(&large), "too-large"),
        ("garbage", Reply::text("<html>"), "jwks-malformed"),
        ("nothing", Reply::text(""), "jwks-malformed"),
        ("a list", Reply::text(keys.clone()), "jwks-malformed"),
        ("no keys", Reply::text("{}"), "jwks-malformed"),
        ("keys is an object", Reply::text(r#"{"keys":{}}"#), "jwks-malformed"),
        ("a key that is no object", Reply::text(r#"{"keys":["x"]}"#), "jwks-malformed"),
        ("two keys members", Reply::text(format!(r#"{{"keys":[],"keys":{keys}}}"#)), "jwks-malformed"),
        ("more keys than there can be", Reply::keys(&many), "jwks-too-many-keys"),
        ("a redirect", redirect(), "jwks-status"),
        (
            "a redirect that brings keys",
            Reply { body: format!(r#"{{"keys":{keys}}}"#).into(), ..redirect() },
            "jwks-status",
        ),
        ("an error that brings keys", Reply { status: 500, ..Reply::keys(&[new().jwk()]) }, "jwks-status"),
        ("no answer", Reply::keys(&[new().jwk()]).held(), "timeout"),
    ] {
        let (still, provider, house) = begin(Reply::keys(&[old().jwk()])).await;
        provider.answers(JWKS, reply.clone());
        still.passes(600).await;
        provider.until(JWKS, 2).await;
        if reply.held {
            still.passes(5).await;
        }
        house.until(|source| source.last_error.is_some()).await;
        assert_eq!(house.stands(), (SourceState::Stale, Some(word)), "{name}");
        assert!(house.stranger("corp", &old().token(json!({}))).await.is_ok(), "{name}");

        let fresh = House::new(vec![issuer_at(&provider.url(JWKS))], Vec::new());
        provider.until(JWKS, 3).await;
        if reply.held {
            still.passes(5).await;
        }
        fresh.until(|source| source.last_error.is_some()).await;
        assert_eq!(fresh.stands(), (SourceState::Never, Some(word)), "{name}");
        for signer in [old(), new()] {
            let outcome = fresh.stranger("corp", &signer.token(json!({}))).await;
            assert_eq!(refused(outcome), "issuer-unavailable", "{name}");
        }
    }
    assert_eq!(elsewhere.count(JWKS), 0, "a redirect was followed");
}

#[tokio::test]
async fn keys_that_must_not_verify_are_skipped_and_counted() {
    let secret = SigningKey::secret("oct", "HS256", &[7; 32]);
    let modulus = [&[0xc5][..], &[7; 127]].concat();
    let weak = json!({"kty": "RSA", "kid": "weak", "n": encode(&modulus), "e": "AQAB"});
    let mut published = secret.bare_jwk();
    published["kid"] = json!("oct");
    let (_still, _provider, house) = begin(Reply::keys(&[old().jwk(), published, weak])).await;
    let status = house.authenticator.source_status();
    assert_eq!((status[0].keys, status[0].skipped_keys), (1, 2));
    assert_eq!(refused(house.stranger("corp", &secret.token(json!({}))).await), "algorithm");
}

/// Two issuers behind one host, one with an OpenID Connect document, one with an OAuth one.
fn tenants(provider: &FakeProvider) -> Vec<IssuerSettings> {
    ["a", "b"]
        .map(|name| {
            let url = provider.url(&format!("/{name}"));
            IssuerSettings {
                name: Name::new(name),
                issuer: Issuer::new(url.as_str()),
                keys: KeyOrigin::Discovery {
                    issuer: Endpoint::parse(&url, PlainHttp::Loopback).unwrap(),
                    jwks_hosts: Vec::new(),
                    refresh: refresh(),
                },
                ..issuer(&[])
            }
        })
        .into()
}

fn openid(issuer: &str, jwks: &str) -> Reply {
    Reply::json(&json!({
        "issuer": issuer, "jwks_uri": jwks, "authorization_endpoint": format!("{issuer}/auth"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

const OPENID: &str = "/a/.well-known/openid-configuration";

#[tokio::test]
async fn two_issuers_share_a_host_and_not_their_keys() {
    let (_still, provider) = (Still::begin(), FakeProvider::start().await);
    let (one, two) = (SigningKey::ec("k", "ES256"), SigningKey::ec("k", "ES256"));
    provider.answers(OPENID, openid(&provider.url("/a"), &provider.url("/a/keys")));
    let oauth = json!({"issuer": provider.url("/b"), "jwks_uri": provider.url("/b/keys")});
    provider.answers("/.well-known/oauth-authorization-server/b", Reply::json(&oauth));
    provider.answers("/a/keys", Reply::keys(&[one.jwk()]));
    provider.answers("/b/keys", Reply::keys(&[two.jwk()]));
    let house = House::new(tenants(&provider), Vec::new());
    house.fresh().await;
    for (tenant, own, other) in [("/a", &one, &two), ("/b", &two, &one)] {
        let iss = json!({"iss": provider.url(tenant)});
        assert!(house.stranger("a+b", &own.token(iss.clone())).await.is_ok());
        assert_eq!(refused(house.stranger("a+b", &other.token(iss)).await), "signature");
    }
    let of_b = two.token(json!({"iss": provider.url("/b")}));
    assert_eq!(refused(house.stranger("a", &of_b).await), "source");
}

#[tokio::test]
async fn a_discovery_document_is_believed_about_its_own_issuer_and_host_alone() {
    let elsewhere = FakeProvider::start().await;
    elsewhere.answers("/keys", Reply::keys(&[new().jwk()]));
    let provider = FakeProvider::start().await;
    let (own, keys) = (provider.url("/a"), provider.url("/keys"));
    provider.answers("/keys", Reply::keys(&[new().jwk()]));
    let by_name = elsewhere.url("/keys").replace("127.0.0.1", "localhost");
    for (name, reply, word) in [
        ("another issuer", openid(&provider.url("/b"), &keys), "discovery-issuer"),
        ("a slash more", openid(&provider.url("/a/"), &keys), "discovery-issuer"),
        ("keys on another host", openid(&own, &by_name), "discovery-jwks-uri"),
        ("keys in a file", openid(&own, "file:///etc/keys"), "discovery-jwks-uri"),
        ("keys without an address", openid(&own, "x"), "discovery-malformed"),
        ("garbage", Reply::text("<html>"), "discovery-malformed"),
        ("too little", Reply::json(&json!({"issuer": own})), "discovery-malformed"),
        ("no document", Reply::status(404), "discovery-status"),
        ("an error", Reply::status(500), "discovery-status"),
        ("a redirect", Reply::status(301).header("location", elsewhere.url("/")), "discovery-status"),
    ] {
        provider.answers(OPENID, reply);
        let house = House::new(tenants(&provider).drain(..1).collect(), Vec::new());
        house.until(|source| source.last_error.is_some()).await;
        assert_eq!(house.stands(), (SourceState::Never, Some(word)), "{name}");
        let token = new().token(json!({"iss": own}));
        assert_eq!(refused(house.stranger("a", &token).await), "issuer-unavailable", "{name}");
    }
    assert_eq!((elsewhere.count("/keys"), provider.count("/keys")), (0, 0));
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_a_source_that_stays() {
    let (_still, provider, mut house) = begin(Reply::keys(&[old().jwk()])).await;
    let token = old().token(json!({}));
    assert!(house.bearer("corp", &token).await.is_ok());
    let mut settings = issuer_at(&provider.url(JWKS));
    house.reload(vec![settings.clone()], Vec::new());
    assert!(house.bearer("corp", &token).await.is_ok());
    settings.token.audiences = portcullis::authn::Audiences::OneOf(vec![portcullis::identity::Audience::new("wiki")]);
    house.reload(vec![settings], Vec::new());
    assert_eq!(
        refused(house.bearer("corp", &token).await),
        "audience",
        "the worker remembers the token, not the rules"
    );
    assert_eq!(provider.count(JWKS), 1);
}
