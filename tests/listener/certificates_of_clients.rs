//! Who gets in with which certificate: required, optional and off, against good, none and every kind of bad.

use portcullis::listener::{ClientPolicy, EventKind};

use crate::certificates::Ca;
use crate::support::{Client, House, bundle};

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
