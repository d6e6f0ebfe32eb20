//! Tokens that are bound to a DPoP key, and proofs that they are (RFC 9449).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::Request;
use portcullis::authn::{AuthnError, BindingFault, DpopFault, ProofMemory};
use serde_json::{Value, json};

use crate::refusals::named;
use crate::support::keys::merged;
use crate::support::{House, NOW, SigningKey, at, encode, issuer, key};

named! {
    /// The name of what is wrong with a proof.
    fault, FAULTS, DpopFault {
        DpopFault::Malformed => "malformed",
        DpopFault::Type => "type",
        DpopFault::Algorithm => "algorithm",
        DpopFault::Key => "key",
        DpopFault::Signature => "signature",
        DpopFault::Method => "method",
        DpopFault::Address => "address",
        DpopFault::Time => "time",
        DpopFault::Token => "token",
        DpopFault::Identifier => "identifier",
        DpopFault::OtherKey => "other-key",
        DpopFault::MemoryFull => "memory-full",
        DpopFault::Leaving => "leaving",
    }
}

/// A client that holds a key.
pub(crate) struct Dpop {
    pub(crate) key: SigningKey,
}

impl Dpop {
    pub(crate) fn new() -> Self {
        Self { key: SigningKey::ec("dpop", "ES256") }
    }

    /// A proof for `GET https://a.example/corp`, never the same twice, with some members replaced; `null` removes one.
    pub(crate) fn proof(&self, token: &str, header: &Value, claims: &Value) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let good_header = json!({"typ": "dpop+jwt", "alg": self.key.algorithm, "jwk": self.key.bare_jwk()});
        let good_claims = json!({
            "jti": format!("p-{}", NEXT.fetch_add(1, Ordering::Relaxed)), "htm": "GET",
            "htu": "https://a.example/corp", "iat": NOW,
            "ath": encode(digest(&SHA256, token.as_bytes()).as_ref()),
        });
        self.key.sign(&merged(good_header, header.clone()), &merged(good_claims, claims.clone()))
    }
}

/// The RFC 7638 thumbprint of a key on P-256.
pub(crate) fn thumbprint(key: &SigningKey) -> String {
    let jwk = key.bare_jwk();
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    encode(digest(&SHA256, canonical.as_bytes()).as_ref())
}

/// A good access token that is bound to a key.
pub(crate) fn bound_to(dpop: &SigningKey) -> String {
    key("ES256").token(json!({"cnf": {"jkt": thumbprint(dpop)}}))
}

pub(crate) fn dpop_request(token: &str, proof: &str) -> Request<()> {
    let request = Request::get("/corp?page=2").header("host", "a.example");
    request.header("authorization", format!("DPoP {token}")).header("dpop", proof).body(()).unwrap()
}

fn house() -> House {
    House::new(vec![issuer(&[key("ES256").jwk()])], Vec::new())
}

#[tokio::test]
async fn good_proofs_are_accepted_each_once() {
    let (house, dpop) = (house(), Dpop::new());
    let token = bound_to(&dpop.key);
    for (name, header, claims) in [
        ("as it is", json!({}), json!({})),
        ("typ in capitals", json!({"typ": "DPOP+JWT"}), json!({})),
        ("the default port, said aloud", json!({}), json!({"htu": "https://a.example:443/corp"})),
        ("the host in capitals", json!({}), json!({"htu": "https://A.EXAMPLE/corp"})),
        ("another query", json!({}), json!({"htu": "https://a.example/corp?page=3"})),
        ("as old as a proof may be", json!({}), json!({"iat": NOW - 90})),
        ("from a clock that is ahead", json!({}), json!({"iat": NOW + 30})),
        ("claims that nobody knows", json!({"kid": "x"}), json!({"x": 1})),
    ] {
        let proof = dpop.proof(&token, &header, &claims);
        assert!(house.send(dpop_request(&token, &proof)).await.is_ok(), "{name}");
        let again = house.send(dpop_request(&token, &proof)).await.unwrap_err();
        assert_eq!(again, AuthnError::DpopReplayed, "{name}");
    }
    assert_eq!(house.tokens.len(), 1, "the token is remembered, the proof is asked for each time");
}

#[tokio::test]
async fn a_reload_forgets_no_proof() {
    let (mut house, dpop) = (house(), Dpop::new());
    let token = bound_to(&dpop.key);
    let proof = dpop.proof(&token, &json!({}), &json!({}));
    assert!(house.send(dpop_request(&token, &proof)).await.is_ok());
    house.reload(vec![issuer(&[key("ES256").jwk(), key("ES384").jwk()])], Vec::new());
    assert_eq!(house.send(dpop_request(&token, &proof)).await.unwrap_err(), AuthnError::DpopReplayed);
}

#[tokio::test]
async fn a_restart_makes_no_proof_good_again() {
    let (mut house, dpop) = (house(), Dpop::new());
    let token = bound_to(&dpop.key);
    let old: Vec<_> =
        [-90, 0, 30].map(|iat| dpop.proof(&token, &json!({}), &json!({"iat": NOW + iat}))).into_iter().collect();
    for proof in &old {
        assert!(house.send(dpop_request(&token, proof)).await.is_ok());
    }
    house.proofs = Arc::new(ProofMemory::since(at(0)));
    house.reload(vec![issuer(&[key("ES256").jwk()])], Vec::new());
    for proof in &old {
        assert!(matches!(house.send(dpop_request(&token, proof)).await, Err(AuthnError::DpopNonce { .. })));
    }
    let unused = dpop.proof(&token, &json!({}), &json!({}));
    let Err(AuthnError::DpopNonce { nonce }) = house.send(dpop_request(&token, &unused)).await else {
        panic!("no nonce")
    };
    let renewed = dpop.proof(&token, &json!({}), &json!({"nonce": nonce.as_ref()}));
    assert!(house.send(dpop_request(&token, &renewed)).await.is_ok());
    assert_eq!(house.send(dpop_request(&token, &renewed)).await.unwrap_err(), AuthnError::DpopReplayed);
    // A minute on, what is issued now is new, and needs no nonce.
    house.clock.set(at(61));
    let young = dpop.proof(&token, &json!({}), &json!({"iat": NOW + 61}));
    assert!(house.send(dpop_request(&token, &young)).await.is_ok());
}

#[tokio::test]
async fn however_wrong_clocks_may_be_no_proof_is_more_than_a_minute_ahead() {
    let mut corp = issuer(&[key("ES256").jwk()]);
    corp.token.clock_skew = Duration::from_secs(300);
    let (house, dpop) = (House::new(vec![corp], Vec::new()), Dpop::new());
    let token = bound_to(&dpop.key);
    for (ahead, outcome) in [(60, Ok(())), (61, Err(AuthnError::Dpop(DpopFault::Time)))] {
        let proof = dpop.proof(&token, &json!({}), &json!({"iat": NOW + ahead}));
        assert_eq!(house.send(dpop_request(&token, &proof)).await.map(drop), outcome);
    }
}

#[tokio::test]
async fn hostile_proofs_are_refused_each_for_its_reason() {
    let dpop = Dpop::new();
    let other = SigningKey::ec("dpop", "ES256");
    let token = bound_to(&dpop.key);
    let header = |changes: Value| dpop.proof(&token, &changes, &json!({}));
    let claims = |changes: Value| dpop.proof(&token, &json!({}), &changes);
    let good = header(json!({}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let mut private = dpop.key.bare_jwk();
    private["d"] = json!("AAAA");
    let long = "x".repeat(5000);
    let rows = [
        ("malformed", "two members of one name", {
            let text = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": dpop.key.bare_jwk()}).to_string();
            dpop.key.sign_texts(&text, r#"{"htm":"GET","htm":"GET"}"#)
        }),
        ("malformed", "crit", header(json!({"crit": ["x"]}))),
        ("malformed", "b64", header(json!({"b64": false}))),
        ("malformed", "too long", claims(json!({"x": long}))),
        ("type", "an access token for a proof", token.clone()),
        ("type", "no typ", header(json!({"typ": null}))),
        ("type", "typ JWT", header(json!({"typ": "JWT"}))),
        ("algorithm", "none", header(json!({"alg": "none"}))),
        ("algorithm", "a secret", header(json!({"alg": "HS256"}))),
        ("algorithm", "no alg", header(json!({"alg": null}))),
        ("key", "no key", header(json!({"jwk": null}))),
        ("key", "a private key", header(json!({"jwk": private}))),
        ("key", "a secret for a key", header(json!({"jwk": {"kty": "oct", "k": encode(&[1; 32])}}))),
        ("key", "the alg of another kind of key", header(json!({"alg": "EdDSA"}))),
        ("key", "a key that is a string", header(json!({"jwk": "x"}))),
        ("other-key", "another key", header(json!({"jwk": other.bare_jwk()}))),
        ("signature", "the key of the token, the signature of another", {
            let head = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": dpop.key.bare_jwk()});
            other.sign(&head, &json!({"htm": "GET"}))
        }),
        ("signature", "zeros for a signature", format!("{signed}.{}", encode(&[0; 64]))),
        ("method", "another method", claims(json!({"htm": "POST"}))),
        ("method", "small letters", claims(json!({"htm": "get"}))),
        ("method", "no method", claims(json!({"htm": null}))),
        ("method", "a list of methods", claims(json!({"htm": ["GET"]}))),
        ("address", "another host", claims(json!({"htu": "https://b.example/corp"}))),
        ("address", "another path", claims(json!({"htu": "https://a.example/corp/x"}))),
        ("address", "the path in capitals", claims(json!({"htu": "https://a.example/CORP"}))),
        ("address", "another port", claims(json!({"htu": "https://a.example:8443/corp"}))),
        ("address", "http", claims(json!({"htu": "http://a.example/corp"}))),
        ("address", "a user", claims(json!({"htu": "https://a.example@evil.example/corp"}))),
        ("address", "our host for a user", claims(json!({"htu": "https://x@a.example/corp"}))),
        ("address", "no scheme", claims(json!({"htu": "/corp"}))),
        ("address", "no address", claims(json!({"htu": null}))),
        ("address", "a number", claims(json!({"htu": 1}))),
        ("time", "too old", claims(json!({"iat": NOW - 91}))),
        ("time", "in the future", claims(json!({"iat": NOW + 31}))),
        ("time", "no time", claims(json!({"iat": null}))),
        ("time", "a string for a time", claims(json!({"iat": "1800000000"}))),
        ("time", "the end of time", claims(json!({"iat": 1e300}))),
        ("token", "no ath", claims(json!({"ath": null}))),
        ("token", "the hash of another token", claims(json!({"ath": encode(&[0; 32])}))),
        ("token", "the token itself", claims(json!({"ath": "token"}))),
        ("identifier", "no jti", claims(json!({"jti": null}))),
        ("identifier", "an empty jti", claims(json!({"jti": ""}))),
        ("identifier", "a number for a jti", claims(json!({"jti": 1}))),
        ("identifier", "an endless jti", claims(json!({"jti": "x".repeat(257)}))),
    ];
    let mut seen = BTreeSet::from(["memory-full", "leaving"]);
    for (expected, name, proof) in &rows {
        let error = house().send(dpop_request(&token, proof)).await.unwrap_err();
        let AuthnError::Dpop(found) = &error else { panic!("{name}: {error:?}") };
        assert_eq!(fault(found), *expected, "{name}");
        seen.insert(*expected);
    }
    // A full memory, and one that is left, are tested where the memory is.
    assert_eq!(seen, FAULTS.iter().copied().collect());
}

/// The client signs the address that it knows, whatever becomes of the path behind the gate.
#[tokio::test]
async fn a_proof_is_for_the_address_that_was_asked_for_and_not_for_what_a_route_makes_of_it() {
    let (house, dpop) = (house(), Dpop::new());
    let token = bound_to(&dpop.key);
    for (path, counts) in [("corp", true), ("service", false)] {
        let proof = dpop.proof(&token, &json!({}), &json!({"htu": format!("https://rewritten.example/{path}")}));
        let mut request = dpop_request(&token, &proof);
        request.headers_mut().insert("host", "rewritten.example".parse().unwrap());
        let answer = house.send(request).await;
        assert_eq!(answer.is_ok(), counts, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_bound_token_is_worth_nothing_without_its_proof_nor_an_unbound_one_with_it() {
    let (house, dpop) = (house(), Dpop::new());
    let bound = bound_to(&dpop.key);
    let bearer = house.bearer("corp", &bound).await.unwrap_err();
    assert_eq!(bearer, AuthnError::Binding(BindingFault::ProofMissing));
    let free = key("ES256").token(json!({}));
    let proof = dpop.proof(&free, &json!({}), &json!({}));
    let error = house.send(dpop_request(&free, &proof)).await.unwrap_err();
    assert_eq!(error, AuthnError::Binding(BindingFault::ProofUnexpected));
}

#[tokio::test]
async fn where_a_nonce_is_required_only_ours_counts_and_not_for_long() {
    let mut corp = issuer(&[key("ES256").jwk()]);
    corp.token.dpop_nonce = true;
    let (house, dpop) = (House::new(vec![corp], Vec::new()), Dpop::new());
    let token = bound_to(&dpop.key);
    let send = async |changes: Value| {
        let proof = dpop.proof(&token, &json!({}), &changes);
        house.send(dpop_request(&token, &proof)).await
    };
    let Err(AuthnError::DpopNonce { nonce }) = send(json!({})).await else { panic!("a proof without nonce counts") };
    let with = |seconds: i64| json!({"nonce": nonce.as_ref(), "iat": NOW + seconds});
    assert!(send(with(0)).await.is_ok());
    for other in [json!("made-up"), json!(""), json!(1), json!(format!("{nonce}A"))] {
        assert!(matches!(send(json!({"nonce": other})).await, Err(AuthnError::DpopNonce { .. })));
    }
    house.clock.set(at(240));
    assert!(matches!(send(with(240)).await, Err(AuthnError::DpopNonce { .. })), "a nonce of long ago");
}

#[tokio::test]
async fn a_nonce_that_we_did_not_give_never_counts_even_where_none_is_asked_for() {
    let (house, dpop) = (house(), Dpop::new());
    let token = bound_to(&dpop.key);
    let proof = dpop.proof(&token, &json!({}), &json!({"nonce": "made-up"}));
    let error = house.send(dpop_request(&token, &proof)).await.unwrap_err();
    assert!(matches!(error, AuthnError::DpopNonce { .. }));
}
