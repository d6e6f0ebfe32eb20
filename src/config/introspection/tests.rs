use std::sync::Arc;

use super::read;
use crate::authn::{Audiences, ClientAuth, IntrospectionSettings};
use crate::config::fault::{Faults, Source};
use crate::config::issuer;
use crate::config::reader::read_document;

fn load(text: &str) -> (Option<IntrospectionSettings>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(directory.path().join("client.key"), key.serialize_pem()).unwrap();
    std::fs::write(directory.path().join("secret"), "canary-of-the-client\r\n").unwrap();
    let certificate = rcgen::CertificateParams::new(["client".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.path().join("client.pem"), certificate.pem()).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(directory.path().join("other.key"), other.serialize_pem()).unwrap();
    let source = Arc::new(Source::new("portcullis.toml".into(), text.into()));
    let faults = Faults::default();
    let servers =
        read_document(&source, &faults, |root| read(&root, directory.path(), &issuer::read(&root, directory.path())));
    let shown = faults.into_sorted().into_iter().map(|fault| format!("{}: {}", fault.at.unwrap(), fault.message));
    (servers.into_iter().next().and_then(|(_, settings)| settings), shown.collect())
}

fn with(lines: &str) -> (Option<IntrospectionSettings>, Vec<String>) {
    let mut text = String::from("[introspection.partners]\n");
    for default in [
        "url = \"https://as.partners.example/introspect\"",
        "audiences = [\"payments-api\"]",
        "client = { id = \"portcullis\", auth = \"client_secret_basic\", secret = { file = \"secret\" } }",
    ] {
        let key = default.split(" =").next().unwrap();
        if !lines.lines().any(|line| line.starts_with(&format!("{key} ="))) {
            text += &format!("{default}\n");
        }
    }
    load(&(text + lines))
}

#[test]
fn the_sample_of_the_manual_is_read() {
    let (partners, faults) = with(
        r#"
client = { id = "portcullis", auth = "private_key_jwt", key = { file = "client.key" } }
match  = { prefix = "ptk_" }
cache  = { positive = "60s", negative = "10s", max_entries = 100_000, stale_if_error = "0s" }
"#,
    );
    assert_eq!(faults, [""; 0]);
    let partners = partners.unwrap();
    assert_eq!(partners.issuer.as_str(), "https://as.partners.example");
    assert_eq!(partners.prefix.as_deref(), Some("ptk_"));
    assert_eq!((partners.cache.positive.as_secs(), partners.cache.max_entries), (60, 100_000));
    assert!(matches!(&partners.client.auth, ClientAuth::PrivateKeyJwt { audience, .. }
        if **audience == *"https://as.partners.example/introspect"));
}

#[test]
fn every_way_of_client_authentication_is_read_and_no_secret_is_shown() {
    for client in [
        r#"{ id = "p", auth = "client_secret_basic", secret = { file = "secret" } }"#,
        r#"{ id = "p", auth = "client_secret_post", secret = { file = "secret" } }"#,
        r#"{ id = "p", auth = "private_key_jwt", key = { file = "client.key" }, algorithm = "ES256", key_id = "k" }"#,
        r#"{ id = "p", auth = "tls_client_auth", certificate = { chain = "client.pem", key = "client.key" } }"#,
    ] {
        let (settings, faults) = with(&format!("client = {client}"));
        assert_eq!(faults, [""; 0], "{client}");
        let shown = format!("{:?}", settings.unwrap());
        assert!(!shown.contains("canary-of-the-client") && !shown.contains("PRIVATE KEY"), "{shown}");
    }
}

#[test]
fn whoever_signs_the_answers_is_an_issuer_by_name() {
    let issuer = "\n[issuer.as]\nurl=\"https://as.elsewhere.example/p\"\naudiences=[\"x\"]\n";
    let (settings, faults) = with(&format!("signed_by = \"as\"{issuer}"));
    assert_eq!(faults, [""; 0]);
    let settings = settings.unwrap();
    assert_eq!(settings.signed_by.unwrap().name.as_str(), "as");
    assert_eq!(
        settings.issuer.as_str(),
        "https://as.elsewhere.example/p",
        "its tokens are its own, unless it says else"
    );
    let (settings, _) = with(&format!("signed_by = \"as\"\nissuer = \"https://as\"{issuer}"));
    assert_eq!(settings.unwrap().issuer.as_str(), "https://as");
    // With a signer that has faults the server has none of its own, and does without nothing.
    let (settings, faults) = with("signed_by = \"as\"\n[issuer.as]\nurl=\"https://as.elsewhere.example\"\n");
    assert!(settings.is_none() && faults.iter().all(|fault| fault.contains("audiences")), "{faults:?}");
}

#[test]
fn unchecked_audiences_are_said_aloud() {
    let (settings, faults) = with("audiences = \"unchecked\"");
    assert_eq!((settings.unwrap().token.audiences, faults.len()), (Audiences::Unchecked, 0));
}

#[test]
fn every_fault_has_its_line() {
    for (lines, expected) in [
        ("url = \"http://as.partners.example/introspect\"", "plain http"),
        ("audiences = []", "no token could be for it"),
        ("match = { prefix = \"\" }", "matches every token"),
        ("match = { dots = 3 }", "unknown key"),
        ("cache = { positive = \"2h\" }", "must lie between"),
        ("cache = { max_entries = 0 }", "must lie between"),
        ("issuer = \"\"", "must not be empty"),
        ("signed_by = \"nobody\"", "there is no [issuer.nobody]"),
        ("client = { id = \"p\", auth = \"bearer\" }", "can be"),
        ("client = { id = \"p\", auth = \"client_secret_post\" }", "no `secret`"),
        ("client = { id = \"p\", auth = \"client_secret_post\", secret = \"x\" }", "must not stand"),
        ("client = { auth = \"client_secret_post\", secret = { file = \"secret\" } }", "no `id`"),
        (
            "client = { id = \"p\", auth = \"private_key_jwt\", key = { file = \"secret\" } }",
            "not one for its algorithm",
        ),
        (
            "client = { id = \"p\", auth = \"private_key_jwt\", key = { file = \"client.key\" }, algorithm = \"RS256\" }",
            "not one for its algorithm",
        ),
        (
            "client = { id = \"p\", auth = \"tls_client_auth\", certificate = { chain = \"client.pem\", key = \"other.key\" } }",
            "cannot be used",
        ),
        (
            "client = { id = \"p\", auth = \"client_secret_post\", secret = { file = \"secret\" }, key = 1 }",
            "unknown key",
        ),
    ] {
        let (_, found) = with(lines);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{lines}: {found:?}");
    }
}
