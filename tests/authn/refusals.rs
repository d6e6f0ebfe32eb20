//! No way to be refused goes untested: each has a row among the hostile tokens, or is met here.

use std::collections::BTreeSet;

use portcullis::authn::{AuthnError, Revocation, Revocations};
use portcullis::identity::{PeerCertificate, PeerRefusal};
use serde_json::json;

use crate::dpop::{Dpop, bound_to, dpop_request};
use crate::hostile::every_row;
use crate::support::{FakeProvider, House, Reply, SigningKey, at, header, issuer, issuer_at, key, request, server};

/// Names every variant. Exhaustive: a new variant does not compile until it is named, and then it must be met.
macro_rules! named {
    ($(#[$doc:meta])* $function:ident, $all:ident, $type:ident { $($pattern:pat => $name:literal,)+ }) => {
        $(#[$doc])*
        pub(crate) fn $function(refusal: &$type) -> &'static str {
            match refusal { $($pattern => $name,)+ }
        }

        /// Every such name.
        pub(crate) const $all: &[&str] = &[$($name,)+];
    };
}

pub(crate) use named;

named! {
    /// The name of a refusal.
    kind, KINDS, AuthnError {
        AuthnError::Certificate(_) => "certificate",
        AuthnError::Malformed => "malformed",
        AuthnError::TooLarge => "too-large",
        AuthnError::Type => "type",
        AuthnError::Algorithm => "algorithm",
        AuthnError::Critical => "critical",
        AuthnError::Source => "source",
        AuthnError::KeyUnknown => "key-unknown",
        AuthnError::Signature => "signature",
        AuthnError::Issuer => "issuer",
        AuthnError::Audience => "audience",
        AuthnError::Expired => "expired",
        AuthnError::NotYetValid => "not-yet-valid",
        AuthnError::Lifetime => "lifetime",
        AuthnError::Claim(_) => "claim",
        AuthnError::Inactive => "inactive",
        AuthnError::Revoked => "revoked",
        AuthnError::Binding(_) => "binding",
        AuthnError::Dpop(_) => "dpop",
        AuthnError::DpopReplayed => "dpop-replayed",
        AuthnError::DpopNonce { .. } => "dpop-nonce",
        AuthnError::Flood => "flood",
        AuthnError::IssuerUnavailable { .. } => "issuer-unavailable",
        AuthnError::IntrospectionUnavailable { .. } => "introspection-unavailable",
    }
}

/// Brings about the refusals that need more than a token.
async fn met(kind: &str) -> AuthnError {
    let corp = || issuer(&[key("ES256").jwk()]);
    let good = key("ES256").token(json!({}));
    let provider = FakeProvider::start().await;
    let partners = || server(&provider.url("/introspect"));
    let identified = match kind {
        "certificate" => {
            let house = House::new(vec![corp()], Vec::new()).on(PeerCertificate::Refused(PeerRefusal::Expired));
            house.bearer("corp", &good).await
        }
        "issuer" => {
            let other = json!({"active": true, "sub": "u-17", "aud": "payments-api", "iss": "https://other.example"});
            provider.answers("/introspect", Reply::json(&other));
            House::new(Vec::new(), vec![partners()]).bearer("partners", "opaque").await
        }
        "inactive" => {
            provider.answers("/introspect", Reply::json(&json!({"active": false})));
            House::new(Vec::new(), vec![partners()]).bearer("partners", "opaque").await
        }
        "revoked" => {
            let house = House::new(vec![corp()], Vec::new());
            house.revocations.revoke(Revocation::Token(Revocations::hash(&good)), at(0), at(600)).unwrap();
            house.bearer("corp", &good).await
        }
        "dpop" | "dpop-replayed" | "dpop-nonce" => {
            let (mut settings, dpop) = (corp(), Dpop::new());
            settings.token.dpop_nonce = kind == "dpop-nonce";
            let house = House::new(vec![settings], Vec::new());
            let token = bound_to(&dpop.key);
            let method = if kind == "dpop" { "POST" } else { "GET" };
            let proof = dpop.proof(&token, &json!({}), &json!({"htm": method}));
            let first = house.send(dpop_request(&token, &proof)).await;
            if kind == "dpop-replayed" { house.send(dpop_request(&token, &proof)).await } else { first }
        }
        "flood" => {
            let house = House::new(vec![corp()], Vec::new());
            let forged = SigningKey::ec("ec", "ES256");
            for number in 0..32 {
                let token = forged.token(json!({"jti": number.to_string()}));
                assert_eq!(house.bearer("corp", &token).await.unwrap_err(), AuthnError::Signature);
            }
            house.bearer("corp", &forged.token(json!({}))).await
        }
        "issuer-unavailable" => {
            House::new(vec![issuer_at(&provider.url("/jwks"))], Vec::new()).bearer("corp", &good).await
        }
        "introspection-unavailable" => House::new(Vec::new(), vec![partners()]).bearer("partners", "opaque").await,
        other => panic!("nothing is known that is refused as {other}"),
    };
    identified.unwrap_err()
}

#[tokio::test]
async fn every_refusal_is_met() {
    let rows: BTreeSet<&str> = every_row().iter().map(|(_, kind, _)| *kind).collect();
    for expected in KINDS.iter().filter(|kind| !rows.contains(*kind)) {
        assert_eq!(kind(&met(expected).await), *expected);
    }
    assert!(rows.iter().all(|kind| KINDS.contains(kind)));
}

#[tokio::test]
async fn whatever_fails_after_its_signature_was_verified_counts_as_a_flood() {
    for (name, changes) in [
        ("expired", json!({"exp": 1_799_999_000, "iat": 1_799_998_000, "nbf": null})),
        ("not yet", json!({"nbf": 1_800_000_100})),
        ("for too long", json!({"exp": 1_800_100_000})),
        ("nobody", json!({"sub": null})),
        ("bound in an unknown way", json!({"cnf": {"kid": "x"}})),
        ("another audience", json!({"aud": "wiki"})),
    ] {
        let house = House::new(vec![issuer(&[key("EdDSA").jwk()])], Vec::new());
        let token = key("EdDSA").token(changes);
        for _ in 0..32 {
            assert_ne!(house.bearer("corp", &token).await.unwrap_err(), AuthnError::Flood, "{name}");
        }
        assert_eq!(house.bearer("corp", &token).await.unwrap_err(), AuthnError::Flood, "{name}");
    }
}

#[tokio::test]
async fn a_flood_ends_for_unknown_tokens_of_its_connection_alone_and_time_forgives_it() {
    let mut house = House::new(vec![issuer(&[key("ES256").jwk()])], Vec::new());
    let (known, unknown) = (key("ES256").token(json!({})), key("ES256").token(json!({"jti": "t-2"})));
    assert!(house.bearer("corp", &known).await.is_ok());
    let forged = SigningKey::ec("ec", "ES256");
    let forged = forged.sign(&header(&forged, json!({})), &crate::support::claims(json!({})));
    for _ in 0..32 {
        assert_eq!(house.bearer("corp", &forged).await.unwrap_err(), AuthnError::Signature);
    }
    assert_eq!(house.bearer("corp", &unknown).await.unwrap_err(), AuthnError::Flood);
    assert!(house.bearer("corp", &known).await.is_ok(), "what is known costs nothing");
    assert!(house.send(request("corp", &format!("Bearer {known}"))).await.is_ok());
    house.clock.set(at(1));
    assert!(house.bearer("corp", &unknown).await.is_ok(), "a second forgives one failure");
    house.clock.set(at(0));
    house.reconnect();
    assert!(house.stranger("corp", &unknown).await.is_ok());
}
