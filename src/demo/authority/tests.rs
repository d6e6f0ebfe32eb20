use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{Authority, Issued, Leaf, Purpose, Validity};
use crate::identity::{Name, PeerFacts};

const LAPTOP: Leaf<'_> = Leaf {
    common_name: "laptop-7",
    purpose: Purpose::Client,
    hosts: &[],
    addresses: &[],
    spiffe_id: Some("spiffe://demo.portcullis.example/device/laptop-7"),
    validity: Validity::Current,
};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// Whether a verifier that trusts `authority` accepts the certificate for clients.
fn accepted(authority: &Authority, issued: &Issued) -> Result<(), webpki::Error> {
    let root = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap();
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let leaf = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now().as_second()).unwrap()));
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &[], at, KeyUsage::client_auth(), None, None)
        .map(|_| ())
}

#[test]
fn a_current_client_certificate_is_accepted_and_each_wrong_one_is_not() {
    let authority = Authority::new("root", now()).unwrap();
    let rogue = Authority::new("root", now()).unwrap();
    assert_eq!(accepted(&authority, &authority.issue(&LAPTOP).unwrap()), Ok(()));
    let wrong = |leaf: Leaf<'_>| accepted(&authority, &authority.issue(&leaf).unwrap()).unwrap_err();
    assert!(matches!(wrong(Leaf { validity: Validity::Expired, ..LAPTOP }), webpki::Error::CertExpired { .. }));
    assert!(matches!(wrong(Leaf { validity: Validity::NotYet, ..LAPTOP }), webpki::Error::CertNotValidYet { .. }));
    assert!(matches!(wrong(Leaf { purpose: Purpose::Server, ..LAPTOP }), webpki::Error::RequiredEkuNotFoundContext(_)));
    assert!(accepted(&authority, &rogue.issue(&LAPTOP).unwrap()).is_err());
}

#[test]
fn the_gateway_reads_what_was_asked_for() {
    let authority = Authority::new("root", now()).unwrap();
    let issued = authority.issue(&LAPTOP).unwrap();
    let leaf = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let facts = PeerFacts::parse(&leaf, Name::new("demo")).unwrap();
    assert_eq!(facts.spiffe_id.unwrap().to_string(), "spiffe://demo.portcullis.example/device/laptop-7");
    assert!(facts.not_before < now() && now() < facts.not_after);
    assert!(!format!("{issued:?}").contains("PRIVATE KEY"));
}

#[test]
fn a_revocation_list_names_the_serial() {
    let authority = Authority::new("root", now()).unwrap();
    let (first, second) = (authority.issue(&LAPTOP).unwrap(), authority.issue(&LAPTOP).unwrap());
    assert_ne!(first.serial, second.serial);
    let list = authority.revocation_list(&[&first]).unwrap();
    let der = CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap();
    let list = webpki::OwnedCertRevocationList::from_der(&der).map(webpki::CertRevocationList::from).unwrap();
    assert!(list.find_serial(&first.serial).unwrap().is_some());
    assert!(list.find_serial(&second.serial).unwrap().is_none());
}
