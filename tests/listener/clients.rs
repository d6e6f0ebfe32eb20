//! Who gets in with which certificate: required, optional and off, against good, none and every kind of bad.

use std::sync::Arc;

use portcullis::identity::TrustDomain;
use portcullis::listener::{ClientPolicy, EventKind, Sources, TrustBundle};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, SanType,
};
use tempfile::TempDir;

use crate::certificates::{Ca, DAY, Identity, NOW, set_dates, uri};
use crate::support::{Client, House, bundle, bundle_from};

const DOMAIN: &str = "corp.example";

#[tokio::test]
async fn a_required_certificate_lets_its_owner_in_and_nobody_else() {
    let (ca, rogue) = (Ca::new("clients"), Ca::new("rogue"));
    let folder = tempfile::tempdir().unwrap();
    let running = House::new(ClientPolicy::Required(vec![bundle(folder.path(), "corp", &ca)])).run();

    assert_eq!(running.peer(&Client::with(&ca.client(|_| {}))).await.as_deref(), Ok("verified corp"));
    running.peer(&Client::anonymous()).await.unwrap_err();
    running.event(|kind| kind == EventKind::CertificateMissing).await;
    running.peer(&Client::with(&rogue.client(|_| {}))).await.unwrap_err();
    running.event(|kind| matches!(kind, EventKind::CertificateRefused(_))).await;
}

#[tokio::test]
async fn where_it_is_optional_a_wrong_certificate_is_refused_and_never_absent() {
    let (ca, rogue) = (Ca::new("clients"), Ca::new("rogue"));
    let folder = tempfile::tempdir().unwrap();
    let running = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)])).run();

    assert_eq!(running.peer(&Client::with(&ca.client(|_| {}))).await.as_deref(), Ok("verified corp"));
    assert_eq!(running.peer(&Client::anonymous()).await.as_deref(), Ok("absent"));
    assert_eq!(running.peer(&Client::with(&rogue.client(|_| {}))).await.as_deref(), Ok("refused unknown-issuer"));
}

#[tokio::test]
async fn where_it_is_off_no_certificate_is_asked_for() {
    let ca = Ca::new("clients");
    let running = House::new(ClientPolicy::Off).run();
    assert_eq!(running.peer(&Client::anonymous()).await.as_deref(), Ok("absent"));
    assert_eq!(running.peer(&Client::with(&ca.client(|_| {}))).await.as_deref(), Ok("absent"));
}

/// Certificates of an authority that stands for no trust domain, and what becomes of each.
fn people(ca: &Ca) -> Vec<(&'static str, Identity, &'static str)> {
    let client = |change: fn(&mut CertificateParams)| ca.client(change);
    let narrow = ca.below("narrow", |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("inside.example".into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    });
    let short = ca.below("short", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let named = |name: &'static str| {
        move |params: &mut CertificateParams| {
            params.subject_alt_names = vec![SanType::DnsName(name.to_owned().try_into().unwrap())];
        }
    };
    let servers = ca.below("servers", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    vec![
        ("good", client(|_| {}), "verified corp"),
        ("below an authority for servers", servers.client(|_| {}), "refused purpose"),
        ("below an intermediate", ca.below("team", |_| {}).client(|_| {}), "verified corp"),
        ("within the name constraints", narrow.client(named("a.inside.example")), "verified corp"),
        ("outside the name constraints", narrow.client(named("a.outside.example")), "refused malformed"),
        ("too deep", short.below("deeper", |_| {}).client(|_| {}), "refused malformed"),
        ("of another authority", Ca::new("rogue").client(|_| {}), "refused unknown-issuer"),
        ("of an impostor with the same name", Ca::new("clients").client(|_| {}), "refused unknown-issuer"),
        ("expired", client(|params| set_dates(params, NOW - 2 * DAY, NOW - 1)), "refused expired"),
        ("not yet valid", client(|params| set_dates(params, NOW + 1, NOW + DAY)), "refused not-yet-valid"),
        ("without a purpose", client(|params| params.extended_key_usages.clear()), "refused purpose"),
        (
            "for servers",
            client(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "refused purpose",
        ),
        (
            "for mail",
            client(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
                params.subject_alt_names = vec![SanType::Rfc822Name("web@corp.example".to_owned().try_into().unwrap())];
            }),
            "refused purpose",
        ),
        (
            "for any purpose",
            client(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
            "refused purpose",
        ),
        (
            "not for signatures",
            client(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
            "refused purpose",
        ),
        (
            "an authority itself",
            client(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "refused malformed",
        ),
        ("that speaks for a trust domain", ca.svid("spiffe://corp.example/web"), "refused spiffe-id"),
        ("that does so in capitals", ca.svid("SPIFFE://corp.example/web"), "refused spiffe-id"),
    ]
}

/// Certificates of an authority that stands for a trust domain, and what becomes of each.
fn workloads(ca: &Ca) -> Vec<(&'static str, Identity, &'static str)> {
    let with = |uris: &[&str], usages: &[KeyUsagePurpose]| {
        let (uris, usages) = (uris.iter().map(|text| uri(text)).collect(), usages.to_vec());
        ca.client(|params| (params.subject_alt_names, params.key_usages) = (uris, usages))
    };
    let sign = KeyUsagePurpose::DigitalSignature;
    vec![
        ("good", ca.svid("spiffe://corp.example/web"), "verified mesh"),
        ("without an ID", ca.client(|_| {}), "refused spiffe-id"),
        ("of another trust domain", ca.svid("spiffe://other.example/web"), "refused spiffe-id"),
        ("of a longer trust domain", ca.svid("spiffe://corp.example.evil/web"), "refused spiffe-id"),
        ("of the domain itself", ca.svid("spiffe://corp.example"), "refused spiffe-id"),
        ("with a trailing slash", ca.svid("spiffe://corp.example/web/"), "refused spiffe-id"),
        ("with dots", ca.svid("spiffe://corp.example/a/../web"), "refused spiffe-id"),
        ("with a query", ca.svid("spiffe://corp.example/web?x"), "refused spiffe-id"),
        ("with a port", ca.svid("spiffe://corp.example:443/web"), "refused spiffe-id"),
        ("in capitals", ca.svid("spiffe://CORP.example/web"), "refused spiffe-id"),
        (
            "with the ID as a mail address",
            ca.client(|params| {
                params.subject_alt_names =
                    vec![SanType::Rfc822Name("spiffe://corp.example/web".to_owned().try_into().unwrap())];
            }),
            "refused spiffe-id",
        ),
        (
            "with the ID as a DNS name",
            ca.client(|params| {
                params.subject_alt_names = vec![SanType::DnsName("corp.example".to_owned().try_into().unwrap())];
            }),
            "refused spiffe-id",
        ),
        (
            "with the ID as another kind of name",
            ca.client(|params| {
                params.subject_alt_names =
                    vec![SanType::OtherName((vec![1, 3, 6, 1], "spiffe://corp.example/web\0".into()))];
            }),
            "refused spiffe-id",
        ),
        ("of another scheme", ca.svid("https://corp.example/web"), "refused spiffe-id"),
        (
            "with two IDs",
            with(&["spiffe://corp.example/web", "spiffe://corp.example/admin"], &[sign]),
            "refused spiffe-id",
        ),
        (
            "with another URI beside",
            with(&["spiffe://corp.example/web", "https://corp.example/"], &[sign]),
            "refused spiffe-id",
        ),
        (
            "that may sign certificates",
            with(&["spiffe://corp.example/web"], &[sign, KeyUsagePurpose::KeyCertSign]),
            "refused purpose",
        ),
        (
            "that may sign lists",
            with(&["spiffe://corp.example/web"], &[sign, KeyUsagePurpose::CrlSign]),
            "refused purpose",
        ),
        ("without a key usage", with(&["spiffe://corp.example/web"], &[]), "refused purpose"),
    ]
}

fn domain_bundle(folder: &TempDir, name: &str, ca: &Ca, domain: &str) -> Arc<TrustBundle> {
    let sources = Sources {
        authorities: vec![ca.write(folder.path(), name)],
        spiffe_trust_domain: Some(TrustDomain::parse(domain).unwrap()),
        ..Sources::default()
    };
    bundle_from(name, &sources)
}

/// Shows each certificate where it is optional, and sees the reason in the request; then where it is required, and sees
/// the same reason in the event.
async fn hold(trust: Vec<Arc<TrustBundle>>, cases: Vec<(&'static str, Identity, &'static str)>) {
    let optional = House::new(ClientPolicy::Optional(trust.clone())).run();
    for (what, identity, expected) in cases {
        assert_eq!(optional.peer(&Client::with(&identity)).await.as_deref(), Ok(expected), "{what}");
        let required = House::new(ClientPolicy::Required(trust.clone())).run();
        let outcome = required.peer(&Client::with(&identity)).await;
        match expected.strip_prefix("refused ") {
            None => assert_eq!(outcome.as_deref(), Ok(expected), "{what}"),
            Some(reason) => {
                outcome.unwrap_err();
                let event = required.event(|kind| matches!(kind, EventKind::CertificateRefused(_))).await;
                let told = format!("{:?}", event.kind);
                assert!(
                    matches!(event.kind, EventKind::CertificateRefused(it) if it.as_str() == reason),
                    "{what}: {told}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_wrong_certificate_is_refused_for_its_own_reason() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    hold(vec![bundle(folder.path(), "corp", &ca)], people(&ca)).await;
}

#[tokio::test]
async fn every_wrong_svid_is_refused_for_its_own_reason() {
    let (ca, folder) = (Ca::new("mesh"), tempfile::tempdir().unwrap());
    hold(vec![domain_bundle(&folder, "mesh", &ca, DOMAIN)], workloads(&ca)).await;
}

#[tokio::test]
async fn an_authority_speaks_for_its_own_trust_domain_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two, plain) = (Ca::new("one"), Ca::new("two"), Ca::new("plain"));
    let trust = vec![
        domain_bundle(&folder, "one", &one, "one.example"),
        domain_bundle(&folder, "two", &two, "two.example"),
        bundle(folder.path(), "plain", &plain),
    ];
    let cases = vec![
        ("its own", one.svid("spiffe://one.example/web"), "verified one"),
        ("its own", two.svid("spiffe://two.example/web"), "verified two"),
        ("none", plain.client(|_| {}), "verified plain"),
        ("the other's", one.svid("spiffe://two.example/web"), "refused spiffe-id"),
        ("the other's", two.svid("spiffe://one.example/web"), "refused spiffe-id"),
        ("one that is not its own", plain.svid("spiffe://one.example/web"), "refused spiffe-id"),
    ];
    hold(trust, cases).await;
}

#[tokio::test]
async fn an_intermediate_that_a_client_leaves_out_is_found_when_it_is_configured() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let team = ca.below("team", |_| {});
    let mut forgetful = team.client(|_| {});
    forgetful.chain.truncate(1);
    let without = Sources { authorities: vec![ca.write(folder.path(), "corp")], ..Sources::default() };
    let with = Sources { intermediates: vec![team.write(folder.path(), "team")], ..without.clone() };
    for (sources, expected) in [(without, "refused unknown-issuer"), (with, "verified corp")] {
        let running = House::new(ClientPolicy::Optional(vec![bundle_from("corp", &sources)])).run();
        assert_eq!(running.peer(&Client::with(&forgetful)).await.as_deref(), Ok(expected));
    }
}

/// Where a certificate is optional a wrong one goes on to the requests, but only its owner can show any: a copy of
/// somebody's certificate without the key ends the handshake in both versions of TLS.
#[tokio::test]
async fn a_certificate_without_its_key_opens_nothing() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let trust = vec![bundle(folder.path(), "corp", &ca)];
    let mut thief = ca.client(|_| {});
    thief.chain = ca.client(|_| {}).chain;
    for policy in [ClientPolicy::Optional(trust.clone()), ClientPolicy::Required(trust)] {
        let running = House::new(policy).run();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            running.peer(&Client::thief(&thief, version)).await.unwrap_err();
        }
        running.event(|kind| kind == EventKind::HandshakeFailed).await;
    }
}

/// Each of these handshakes is a full one. A chain that is known is spared the signatures of its authority and nothing
/// else: its dates are asked each time, and the key has to be there.
#[tokio::test]
async fn a_chain_that_was_verified_before_is_asked_for_its_dates_and_its_key_again() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let running = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)])).run();
    let identity = ca.client(|params| set_dates(params, NOW - 600, NOW + 600));
    for (at, expected) in [
        (0, "verified corp"),
        (599, "verified corp"),
        (601, "refused expired"),
        (-601, "refused not-yet-valid"),
        (1, "verified corp"),
    ] {
        running.house.clock.set(jiff::Timestamp::from_second(NOW + at).unwrap());
        assert_eq!(running.peer(&Client::with(&identity)).await.as_deref(), Ok(expected), "{at}");
    }
    let mut thief = ca.client(|_| {});
    thief.chain = identity.chain.clone();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        running.peer(&Client::thief(&thief, version)).await.unwrap_err();
    }
}

#[tokio::test]
async fn the_server_chooses_the_suite_whose_key_schedule_is_cheap() {
    let running = House::new(ClientPolicy::Off).run();
    for (version, suite) in [
        (&rustls::version::TLS13, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
        (&rustls::version::TLS12, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let client = Client::built(None, &["h2"], &[version]);
        let stream = running.connect(&client, "edge.test").await.unwrap();
        assert_eq!(stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite()), Some(suite));
    }
}
