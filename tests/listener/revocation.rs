//! Revocation lists: what they end, and what holds when they are late, missing, older than before or somebody else's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use portcullis::identity::Name;
use portcullis::listener::{ClientPolicy, RevocationFault, Sources, TrustBundle, TrustError, WhenExpired};
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, KeyUsagePurpose};
use tempfile::TempDir;

use crate::certificates::{Ca, DAY, Identity, NOW};
use crate::support::{Client, House, bundle_from};

fn sources(folder: &TempDir, ca: &Ca, lists: &[PathBuf], when_expired: WhenExpired) -> Sources {
    let authorities = vec![ca.write(folder.path(), "corp")];
    Sources { authorities, revocation_lists: lists.to_vec(), when_expired, ..Sources::default() }
}

fn write(folder: &Path, name: &str, list: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, list).unwrap();
    path
}

async fn peer(bundle: Arc<TrustBundle>, identity: &Identity) -> String {
    House::new(ClientPolicy::Optional(vec![bundle])).run().peer(&Client::with(identity)).await.unwrap()
}

#[tokio::test]
async fn what_a_list_names_is_revoked_and_the_rest_is_not() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let (good, bad) = (ca.client(|_| {}), ca.client(|_| {}));
    let list = ca.write_list(folder.path(), "corp", &[&bad]);
    let bundle = bundle_from("corp", &sources(&folder, &ca, &[list], WhenExpired::Deny));
    assert_eq!(peer(bundle.clone(), &good).await, "verified corp");
    assert_eq!(peer(bundle, &bad).await, "refused revoked");
}

#[tokio::test]
async fn a_list_that_is_late_closes_the_door_or_warns_as_stated() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let (good, bad) = (ca.client(|_| {}), ca.client(|_| {}));
    let list = write(folder.path(), "late.crl", &ca.list(NOW - 2 * DAY, NOW - DAY, &[&bad]));
    for (when_expired, of_good) in
        [(WhenExpired::Deny, "refused revocation-unknown"), (WhenExpired::Warn, "verified corp")]
    {
        let bundle = bundle_from("corp", &sources(&folder, &ca, std::slice::from_ref(&list), when_expired));
        assert_eq!(bundle.freshness()[0].next_update, Timestamp::from_second(NOW - DAY).unwrap());
        assert_eq!(peer(bundle.clone(), &good).await, of_good);
        assert_eq!(peer(bundle, &bad).await, "refused revoked", "whatever the age of the list");
    }
}

/// Where revocation is asked at all, it is asked of every authority of the chain.
#[tokio::test]
async fn an_authority_without_a_list_says_nothing_for_its_clients() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let team = ca.below("team", |_| {});
    let member = team.client(|_| {});
    let list = ca.write_list(folder.path(), "corp", &[]);
    let intermediates = vec![team.write(folder.path(), "team")];
    let half = Sources { intermediates, ..sources(&folder, &ca, std::slice::from_ref(&list), WhenExpired::Warn) };
    let bundle = bundle_from("corp", &half);
    assert_eq!(bundle.without_list(), ["CN=team"]);
    assert_eq!(peer(bundle, &member).await, "refused revocation-unknown");

    let whole = Sources { revocation_lists: vec![list, team.write_list(folder.path(), "team", &[])], ..half };
    assert_eq!(peer(bundle_from("corp", &whole), &member).await, "verified corp");
}

#[tokio::test]
async fn a_revoked_intermediate_takes_its_clients_along() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let serial = vec![7; 16];
    let team = ca.below("team", |params| params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial)));
    let revoked = Identity { chain: Vec::new(), key: rcgen::KeyPair::generate().unwrap(), serial };
    let lists = vec![ca.write_list(folder.path(), "corp", &[&revoked]), team.write_list(folder.path(), "team", &[])];
    let intermediates = vec![team.write(folder.path(), "team")];
    let sources = Sources { intermediates, ..sources(&folder, &ca, &lists, WhenExpired::Deny) };
    assert_eq!(peer(bundle_from("corp", &sources), &team.client(|_| {})).await, "refused revoked");
}

fn fault(folder: &TempDir, ca: &Ca, list: &str) -> RevocationFault {
    let list = write(folder.path(), "wrong.crl", list);
    let sources = sources(folder, ca, &[list], WhenExpired::Warn);
    let errors = TrustBundle::load(Name::new("corp"), &sources, Timestamp::from_second(NOW).unwrap()).unwrap_err();
    match errors.into_iter().next() {
        Some(TrustError::List { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_counts_only_in_its_signers_name_and_time() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let unknown = |fault| matches!(fault, RevocationFault::UnknownSigner { .. });
    assert!(unknown(fault(&folder, &ca, &Ca::new("rogue").list(NOW - DAY, NOW + DAY, &[]))));
    assert!(unknown(fault(&folder, &ca, &Ca::new("clients").list(NOW - DAY, NOW + DAY, &[]))), "another key");
    let key = rcgen::KeyPair::from_pem(&ca.issuer.key().serialize_pem()).unwrap();
    let renamed = Ca::with_key("others", key, |_| {});
    assert!(unknown(fault(&folder, &ca, &renamed.list(NOW - DAY, NOW + DAY, &[]))), "the same key, another name");
    let ahead = fault(&folder, &ca, &ca.list(NOW + 1, NOW + DAY, &[]));
    assert!(matches!(ahead, RevocationFault::NotYetValid { .. }), "{ahead}");
    assert_eq!(fault(&folder, &ca, "no list"), RevocationFault::Malformed);
    assert_eq!(fault(&folder, &ca, ""), RevocationFault::Malformed);
}

/// Its silence about the rest would be taken for a good word.
#[test]
fn a_list_for_one_distribution_point_proves_nothing() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    for scope in [None, Some(CrlScope::UserCertsOnly), Some(CrlScope::CaCertsOnly)] {
        let point = CrlDistributionPoint { uris: vec!["http://ca.test/part.crl".to_owned()] };
        let list = ca.list_with(NOW - DAY, NOW + DAY, &[], |params| {
            params.issuing_distribution_point = Some(CrlIssuingDistributionPoint { distribution_point: point, scope });
        });
        assert_eq!(fault(&folder, &ca, &list), RevocationFault::Partial);
    }
}

#[test]
fn an_authority_that_may_not_sign_lists_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new("clients");
    let list = ca.list(NOW - DAY, NOW + DAY, &[]);
    let key = ca.issuer.key().serialize_pem();
    let same = Ca::with_key("clients", rcgen::KeyPair::from_pem(&key).unwrap(), |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let fault = fault(&folder, &same, &list);
    assert!(matches!(fault, RevocationFault::NotItsTask { .. }), "{fault}");
}

#[test]
fn a_list_never_goes_back() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let load = |from: i64| {
        let list = write(folder.path(), "corp.crl", &ca.list(from, NOW + DAY, &[]));
        bundle_from("corp", &sources(&folder, &ca, &[list], WhenExpired::Deny))
    };
    let (older, newer) = (load(NOW - 2 * DAY), load(NOW - DAY));
    assert_eq!(older.went_back(&newer), Some("CN=clients"));
    assert_eq!(newer.went_back(&older), None);
    assert_eq!(newer.went_back(&newer), None);
}

const URL: &str = "http://ca.test/ca.crl";

fn by_address(folder: &TempDir, ca: &Ca) -> Arc<TrustBundle> {
    let urls = vec![URL.into()];
    bundle_from("corp", &Sources { revocation_urls: urls, ..sources(folder, ca, &[], WhenExpired::Deny) })
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

#[tokio::test]
async fn a_fetched_list_counts_and_only_a_newer_one_takes_its_place() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let identity = ca.client(|_| {});
    let without = by_address(&folder, &ca);
    assert_eq!(peer(without.clone(), &identity).await, "refused revocation-unknown");

    let free = ca.list(NOW - 2 * DAY, NOW + DAY, &[]);
    let with = Arc::new(without.with_list(URL, free.as_bytes(), now()).unwrap().unwrap());
    assert_eq!(peer(with.clone(), &identity).await, "verified corp");
    assert!(with.with_list(URL, free.as_bytes(), now()).unwrap().is_none(), "the same again");

    let revoking = ca.list(NOW - DAY, NOW + DAY, &[&identity]);
    let newer = Arc::new(with.with_list(URL, revoking.as_bytes(), now()).unwrap().unwrap());
    assert_eq!(peer(newer.clone(), &identity).await, "refused revoked");
    assert!(newer.with_list(URL, free.as_bytes(), now()).unwrap().is_none(), "an older one would forgive");

    // What was fetched outlives a reload, for as long as its address is configured.
    for (url, expected) in [(URL, "refused revoked"), ("http://other.test/", "refused revocation-unknown")] {
        let plain = sources(&folder, &ca, &[], WhenExpired::Deny);
        let reloaded = Sources { revocation_urls: vec![url.into()], ..plain };
        let reloaded = TrustBundle::load(Name::new("corp"), &reloaded, now()).unwrap().inheriting(&newer, now());
        assert_eq!(peer(Arc::new(reloaded), &identity).await, expected);
    }
}

#[test]
fn a_fetched_list_is_proved_like_any_other() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let bundle = by_address(&folder, &ca);
    let forged = Ca::new("clients").list(NOW - DAY, NOW + DAY, &[]);
    let ahead = ca.list(NOW + 1, NOW + DAY, &[]);
    let good = ca.list(NOW - DAY, NOW + DAY, &[]);
    let (half, _) = good.split_at(good.len() / 2);
    for wrong in [&*forged, &*ahead, "", "<html>", half] {
        assert!(bundle.with_list(URL, wrong.as_bytes(), now()).is_err(), "{wrong}");
    }
    assert!(bundle.with_list("http://elsewhere.test/", good.as_bytes(), now()).is_err(), "nobody asked there");
}
