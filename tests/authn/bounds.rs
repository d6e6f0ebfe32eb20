//! What strangers can make wait, and how many of them, is bounded.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::authn::{AuthnError, TokenCache, TokenCacheLimits};
use serde_json::json;

use crate::introspection::{INTROSPECT, active, inactive};
use crate::refusals::kind;
use crate::support::{FakeProvider, House, Reply, Still, at, claims, header, issuer_at, key, server};

/// Gives whatever should not happen the chance to happen.
async fn quiet() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_wait_for_a_key_than_there_is_room_for_and_a_new_key_is_not_kept_out() {
    let (still, provider) = (Still::begin(), FakeProvider::start().await);
    let (old, new) = (key("ES256"), key("EdDSA"));
    provider.answers("/jwks", Reply::keys(&[old.jwk()]));
    let house = House::new(vec![issuer_at(&provider.url("/jwks"))], Vec::new());
    house.fresh().await;
    provider.answers("/jwks", Reply::keys(&[old.jwk(), new.jwk()]));
    let false_kid = |number: usize| old.sign(&header(old, json!({"kid": number.to_string()})), &claims(json!({})));
    let tokens: Vec<_> =
        (0..5000).map(|number| if number == 100 { new.token(json!({})) } else { false_kid(number) }).collect();
    let asked = join_all(tokens.iter().map(|token| house.stranger("corp", token)));
    let (answers, ()) = tokio::join!(asked, still.passes(5));
    let count = |wanted| answers.iter().flat_map(|it| it.as_ref().err()).filter(|error| kind(error) == wanted).count();
    assert!(answers[100].is_ok());
    assert_eq!(count("key-unknown"), 4095);
    // Those beyond the bound are told to come back, not that their key is false.
    assert_eq!(count("issuer-unavailable"), 904);
    assert_eq!(provider.count("/jwks"), 2);
}

#[tokio::test]
async fn a_server_is_asked_sixty_four_questions_at_a_time_and_a_thousand_may_wait() {
    let (still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers(INTROSPECT, active(json!({})).held());
    let house = House::new(Vec::new(), vec![server(&provider.url(INTROSPECT))]);
    let tokens: Vec<_> = (0..1100).map(|number| format!("opaque-{number}")).collect();
    let asked = join_all(tokens.iter().map(|token| house.stranger("partners", token)));
    let meanwhile = async {
        provider.until(INTROSPECT, 64).await;
        quiet().await;
        assert_eq!(provider.count(INTROSPECT), 64, "more at a time than a server should bear");
        // Those behind wait as long as one call may take, and then give up.
        still.passes(5).await;
    };
    let (answers, ()) = tokio::join!(asked, meanwhile);
    for answer in answers {
        let error = answer.unwrap_err();
        let comes_back =
            matches!(&error, AuthnError::IntrospectionUnavailable { retry_after, .. } if retry_after.as_secs() >= 1);
        assert!(comes_back, "{error:?}");
    }
    assert_eq!(provider.count(INTROSPECT), 64);
}

#[tokio::test]
async fn what_a_server_called_inactive_has_no_grace_when_it_is_down() {
    let (_still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers(INTROSPECT, active(json!({})));
    let mut settings = server(&provider.url(INTROSPECT));
    settings.cache.stale_if_error = Duration::from_secs(600);
    let house = House::new(Vec::new(), vec![settings]);
    let ask = async || house.stranger("partners", "opaque-1").await.map_or_else(|error| kind(&error), |_| "accepted");
    assert_eq!(ask().await, "accepted");
    provider.answers(INTROSPECT, inactive());
    house.clock.set(at(60));
    assert_eq!(ask().await, "inactive");
    provider.answers(INTROSPECT, Reply::status(500));
    house.clock.set(at(70));
    assert_eq!(ask().await, "introspection-unavailable");
}

#[tokio::test]
async fn long_answers_fill_no_more_memory_than_short_ones() {
    let (_still, provider) = (Still::begin(), FakeProvider::start().await);
    provider.answers(INTROSPECT, active(json!({"x": "x".repeat(10_000)})));
    let mut settings = server(&provider.url(INTROSPECT));
    settings.cache.max_entries = 100;
    let mut house = House::new(Vec::new(), vec![settings]);
    let limits = TokenCacheLimits { entries: 1000, bytes: 200_000 };
    house.tokens = TokenCache::new(limits);
    for number in 0..100 {
        assert!(house.bearer("partners", &format!("opaque-{number}")).await.is_ok());
        assert!(house.tokens.weight() <= limits.bytes);
    }
    assert!(house.tokens.len() <= 4, "{} answers of 10 kB are said to fit into 200 kB", house.tokens.len());
    // The memory that workers share has room for a hundred answers of 2 kB, which is a few of these.
    let before = provider.count(INTROSPECT);
    for number in 0..100 {
        assert!(house.stranger("partners", &format!("opaque-{number}")).await.is_ok());
    }
    assert!(provider.count(INTROSPECT) - before >= 90);
}
