//! Tokens that are bound to a certificate (RFC 8705), and what routes and sources ask of a binding.

use http::Request;
use portcullis::authn::{AuthnError, BindingFault};
use portcullis::identity::{PeerCertificate, PeerRefusal};
use portcullis::route::Binding;
use serde_json::{Value, json};

use crate::dpop::{Dpop, dpop_request, thumbprint};
use crate::support::{House, encode, issuer, key, peer};

fn house(peer: PeerCertificate) -> House {
    House::new(vec![issuer(&[key("ES256").jwk()])], Vec::new()).on(peer)
}

async fn fault(house: &House, host: &str, token: &str) -> Option<BindingFault> {
    let request = Request::get("/corp").header("host", host).header("authorization", format!("Bearer {token}"));
    match house.send(request.body(()).unwrap()).await {
        Ok(_) => None,
        Err(AuthnError::Binding(fault)) => Some(fault),
        Err(other) => panic!("{other:?}"),
    }
}

fn token(cnf: &Value) -> String {
    key("ES256").token(json!({"cnf": cnf}))
}

#[tokio::test]
async fn a_token_counts_on_connections_with_its_certificate_alone() {
    let (mine, yours) = (peer(), peer());
    let bound = token(&json!({"x5t#S256": encode(&mine.facts().fingerprint)}));
    let mine = house(PeerCertificate::Verified(mine));
    assert_eq!(fault(&mine, "a.example", &bound).await, None);
    // The worker's memory of the token is carried over to connections on which it does not count.
    let yours = mine.on(PeerCertificate::Verified(yours));
    assert_eq!(fault(&yours, "a.example", &bound).await, Some(BindingFault::CertificateOther));
    let nobody = yours.on(PeerCertificate::Absent);
    assert_eq!(fault(&nobody, "a.example", &bound).await, Some(BindingFault::CertificateMissing));
    assert_eq!(nobody.tokens.len(), 1);
}

#[tokio::test]
async fn a_refused_certificate_refuses_every_request_even_one_without_a_token() {
    let house = house(PeerCertificate::Refused(PeerRefusal::Expired));
    let request = Request::get("/none").header("host", "a.example").body(()).unwrap();
    assert_eq!(house.send(request).await.unwrap_err(), AuthnError::Certificate(PeerRefusal::Expired));
}

#[tokio::test]
async fn a_token_that_is_bound_twice_needs_both_keys() {
    let (mine, dpop) = (peer(), Dpop::new());
    let certificate = encode(&mine.facts().fingerprint);
    let both = token(&json!({"x5t#S256": certificate, "jkt": thumbprint(&dpop.key)}));
    let nobody = house(PeerCertificate::Absent);
    assert_eq!(fault(&nobody, "a.example", &both).await, Some(BindingFault::CertificateMissing));
    let mine = nobody.on(PeerCertificate::Verified(mine));
    assert_eq!(fault(&mine, "a.example", &both).await, Some(BindingFault::ProofMissing));
    let proof = dpop.proof(&both, &json!({}), &json!({}));
    assert!(mine.send(dpop_request(&both, &proof)).await.is_ok());
}

#[tokio::test]
async fn a_route_says_what_it_asks_of_a_binding_else_the_source_does() {
    let free = key("ES256").token(json!({}));
    let bound = token(&json!({"x5t#S256": encode(&[7; 32])}));
    let missing = Some(BindingFault::CertificateMissing);
    for (source, host, unbound, other) in [
        (Binding::IfBound, "a.example", None, missing),
        (Binding::Required, "a.example", Some(BindingFault::Unbound), missing),
        (Binding::Off, "a.example", None, None),
        (Binding::Off, "if-bound.example", None, missing),
        (Binding::Off, "required.example", Some(BindingFault::Unbound), missing),
        (Binding::Required, "if-bound.example", None, missing),
        (Binding::Required, "off.example", None, None),
    ] {
        let mut corp = issuer(&[key("ES256").jwk()]);
        corp.token.binding = source;
        let house = House::new(vec![corp], Vec::new());
        // Twice: what is remembered of a token says nothing about the next route.
        for _ in 0..2 {
            assert_eq!(fault(&house, host, &free).await, unbound, "{source:?} {host}: an unbound token");
            assert_eq!(fault(&house, host, &bound).await, other, "{source:?} {host}: a bound token");
        }
    }
}
