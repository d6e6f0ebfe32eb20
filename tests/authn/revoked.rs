//! What an operator takes away is gone at once, however well it is remembered.

use portcullis::authn::{AuthnError, Revocation, Revocations};
use portcullis::identity::{Issuer, Principal};
use serde_json::json;

use crate::introspection::{INTROSPECT, active};
use crate::support::{FakeProvider, House, ISSUER, Still, at, issuer, key, server};

#[tokio::test]
async fn a_signed_token_that_is_remembered_ends_with_its_revocation() {
    let principal = || Principal { issuer: Issuer::new(ISSUER), subject: "u-17".into() };
    let token = key("ES256").token(json!({}));
    for (what, hits) in [
        (Revocation::Token(Revocations::hash(&token)), true),
        (Revocation::Token(Revocations::hash("another")), false),
        (Revocation::Id { issuer: Issuer::new(ISSUER), id: "t-1".into() }, true),
        (Revocation::Id { issuer: Issuer::new("https://elsewhere.example"), id: "t-1".into() }, false),
        (Revocation::Id { issuer: Issuer::new(ISSUER), id: "t-2".into() }, false),
        (Revocation::Principal(principal()), true),
        (Revocation::Principal(Principal { subject: "u-18".into(), ..principal() }), false),
    ] {
        let house = House::new(vec![issuer(&[key("ES256").jwk()])], Vec::new());
        assert!(house.bearer("corp", &token).await.is_ok());
        house.revocations.revoke(what.clone(), at(0), at(600)).unwrap();
        let refused = [house.bearer("corp", &token).await, house.stranger("corp", &token).await];
        for outcome in refused {
            let found = outcome.map(drop).map_err(|error| assert_eq!(error, AuthnError::Revoked)).is_err();
            assert_eq!(found, hits, "{what:?}");
        }
    }
}

#[tokio::test]
async fn a_new_sign_in_counts_after_everything_of_somebody_was_revoked() {
    let house = House::new(vec![issuer(&[key("ES256").jwk()])], Vec::new());
    let principal = Principal { issuer: Issuer::new(ISSUER), subject: "u-17".into() };
    house.revocations.revoke(Revocation::Principal(principal), at(0), at(600)).unwrap();
    house.clock.set(at(40));
    // The issuer's clock may be ahead of ours by `clock_skew`, so a sign-in counts again when it is that much later.
    for (iat, outcome) in [(json!(1_800_000_030), false), (json!(1_800_000_031), true), (json!(null), false)] {
        let token = key("ES256").token(json!({"iat": iat}));
        assert_eq!(house.bearer("corp", &token).await.is_ok(), outcome, "{iat}");
    }
}

#[tokio::test]
async fn a_respelt_signature_is_revoked_with_the_first() {
    let house = House::new(vec![issuer(&[key("ES256").jwk()])], Vec::new());
    let (one, two) = (key("ES256").token(json!({})), key("ES256").token(json!({})));
    assert_ne!(one, two, "ECDSA signs each time anew");
    house.revocations.revoke(Revocation::Token(Revocations::hash(&one)), at(0), at(600)).unwrap();
    assert_eq!(house.bearer("corp", &two).await.unwrap_err(), AuthnError::Revoked);
}

#[tokio::test]
async fn an_opaque_token_ends_without_its_server() {
    let _still = Still::begin();
    let provider = FakeProvider::start().await;
    provider.answers(INTROSPECT, active(json!({})));
    let house = House::new(Vec::new(), vec![server(&provider.url(INTROSPECT))]);
    assert!(house.bearer("partners", "opaque-1").await.is_ok());
    house.revocations.revoke(Revocation::Token(Revocations::hash("opaque-1")), at(0), at(600)).unwrap();
    assert_eq!(house.bearer("partners", "opaque-1").await.unwrap_err(), AuthnError::Revoked);
    assert_eq!(house.stranger("partners", "opaque-1").await.unwrap_err(), AuthnError::Revoked);
    assert_eq!(provider.count(INTROSPECT), 1);
}
