//! What is trusted is checked when it is loaded: rustls takes a root as it is, and asks nothing of it.

use std::path::Path;

use jiff::Timestamp;
use portcullis::identity::Name;
use portcullis::listener::{AuthorityFault, CertificateError, ServerCertificate, Sources, TrustBundle, TrustError};
use rcgen::{IsCa, KeyUsagePurpose, SubjectPublicKeyInfo};

use crate::certificates::{Ca, DAY, NOW, set_dates};

/// RSA with 1024 bits.
const WEAK: &str = "-----BEGIN PUBLIC KEY-----
\
                    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC2B/Q1KjFYZhhgyVzEKUGQ/v0T
\
                    E7uXCBMRoUZjrBShaOIQRXKc1xujFNkLzD5ZYP3aPwUJYs3U1I02BAXDRz8KBrc8
\
                    bdeqS2NE3FTBVj3LPSp8ZyzrWMC/0vzRwbYee+BAEUqxJp/4dXZXb9LDLV0ddutI
\
                    qKB8AnCq3i7Rrff/3QIDAQAB
\
                    -----END PUBLIC KEY-----
";

fn load(path: &Path) -> Result<TrustBundle, Vec<TrustError>> {
    let sources = Sources { authorities: vec![path.into()], ..Sources::default() };
    TrustBundle::load(Name::new("corp"), &sources, Timestamp::from_second(NOW).unwrap())
}

fn fault(pem: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    let errors = load(&path).unwrap_err();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    match error {
        TrustError::Authority { fault, .. } => match fault {
            AuthorityFault::Malformed => "malformed",
            AuthorityFault::NoAuthority { .. } => "no authority",
            AuthorityFault::Expired { .. } => "expired",
            AuthorityFault::NotYetValid { .. } => "not yet valid",
            AuthorityFault::Weak { .. } => "weak",
        },
        TrustError::NoCertificate { .. } => "no certificate",
        other => panic!("{other:?}"),
    }
    .to_owned()
}

#[test]
fn what_cannot_be_an_authority_is_refused_when_it_is_loaded() {
    let root = Ca::new("root");
    let with =
        |change: fn(&mut rcgen::CertificateParams)| Ca::with_key("ca", rcgen::KeyPair::generate().unwrap(), change);
    let pem = |ca: &Ca| ca.issuer.pem();
    assert_eq!(fault(&pem(&with(|params| set_dates(params, NOW - 2 * DAY, NOW - DAY)))), "expired");
    assert_eq!(fault(&pem(&with(|params| set_dates(params, NOW + DAY, NOW + 2 * DAY)))), "not yet valid");
    assert_eq!(fault(&pem(&with(|params| params.is_ca = IsCa::ExplicitNoCa))), "no authority");
    assert_eq!(fault(&pem(&with(|params| params.is_ca = IsCa::NoCa))), "no authority");
    assert_eq!(
        fault(&pem(&with(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]))),
        "no authority"
    );
    let weak = SubjectPublicKeyInfo::from_pem(WEAK).unwrap();
    assert_eq!(fault(&root.sign_authority(&weak)), "weak");
    for junk in ["", "junk", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"] {
        assert!(["no certificate", "malformed"].contains(&&*fault(junk)), "{junk}");
    }
}

/// A wrong file beside a right one does not leave the right one in force alone: nothing is loaded.
#[test]
fn one_wrong_file_spoils_the_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let good = Ca::new("good").write(folder.path(), "good");
    let sources = Sources { authorities: vec![good, folder.path().join("missing.pem")], ..Sources::default() };
    let errors = TrustBundle::load(Name::new("corp"), &sources, Timestamp::from_second(NOW).unwrap()).unwrap_err();
    assert!(matches!(&errors[..], [TrustError::Unreadable { .. }]), "{errors:?}");
    let empty = TrustBundle::load(Name::new("corp"), &Sources::default(), Timestamp::from_second(NOW).unwrap());
    assert!(matches!(&empty.unwrap_err()[..], [TrustError::Empty]));
}

#[test]
fn a_server_certificate_and_its_key_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new("servers");
    let (one, other) = (ca.server(&["a.test"]), ca.server(&["a.test"]));
    let (chain, key) = one.write(folder.path(), "one");
    let (_, other_key) = other.write(folder.path(), "other");
    assert_eq!(ServerCertificate::load(&chain, &key).unwrap().names(), [Box::from("a.test")]);
    assert!(matches!(ServerCertificate::load(&chain, &other_key), Err(CertificateError::Mismatch { .. })));
    assert!(matches!(ServerCertificate::load(&key, &key), Err(CertificateError::NoCertificate(_))));
    assert!(matches!(ServerCertificate::load(&chain, &chain), Err(CertificateError::NoKey(_))));
}

#[test]
fn a_server_certificate_is_valid_for_as_long_as_its_whole_chain() {
    let folder = tempfile::tempdir().unwrap();
    let below = Ca::new("root").below("below", |params| set_dates(params, NOW - DAY, NOW + 2 * DAY));
    let (chain, key) = below.server(&["a.test"]).write(folder.path(), "server");
    let certificate = ServerCertificate::load(&chain, &key).unwrap();
    let validity = certificate.validity();
    assert_eq!((validity.not_before.as_second(), validity.not_after.as_second()), (NOW - DAY, NOW + 2 * DAY));
    assert_eq!(**certificate.file(), *chain);
}
