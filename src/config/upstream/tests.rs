use std::path::Path;
use std::sync::Arc;

use super::{addresses, alike, read};
use crate::config::fault::{Fault, Faults, Source};
use crate::config::reader::read_document;
use crate::identity::Name;
use crate::upstream::settings::{Address, AllUnwell, Balance, Protocol, Settings};

fn parse(text: &str) -> (Option<Settings>, Vec<String>) {
    parse_in(text, Path::new("/nonexistent"))
}

fn parse_in(text: &str, base: &Path) -> (Option<Settings>, Vec<String>) {
    let source = Arc::new(Source::new("test.toml".into(), text.into()));
    let faults = Faults::default();
    let mut found = read_document(&source, &faults, |root| read(&root, base, 240));
    let shown = |fault: Fault| format!("{} ({})", fault.message, fault.hint.unwrap_or_default());
    (found.pop().and_then(|(_, settings)| settings), faults.into_sorted().into_iter().map(shown).collect())
}

#[test]
fn an_upstream_of_one_line_is_whole() {
    let (settings, faults) = parse("[upstream.app]\nendpoints = [\"http://127.0.0.1:3000\"]");
    assert_eq!(faults, [""; 0]);
    let settings = settings.unwrap();
    assert_eq!(settings.endpoints[0].address, Address::Tcp { host: "127.0.0.1".into(), port: 3000 });
    assert_eq!(settings.protocol, Protocol::Http1);
}

#[test]
fn endpoints_have_one_form() {
    for good in ["http://a", "http://a:1/", "http://[::1]:80", "http+unix:/run/a.sock", "http+unix:///run/a.sock"] {
        let (settings, faults) = parse(&format!("[upstream.app]\nendpoints = [\"{good}\"]"));
        assert!(settings.is_some(), "{good} {faults:?}");
    }
    for bad in [
        "a:80",
        "http://a/path",
        "http://u@a",
        "http://a?q",
        "ftp://a",
        "http://a:0",
        "http://a:99999",
        "http+unix:run",
        "http://a#f",
        "",
    ] {
        let (settings, faults) = parse(&format!("[upstream.app]\nendpoints = [\"{bad}\"]"));
        assert!(settings.is_none() && faults.len() == 1, "{bad} {faults:?}");
    }
}

#[test]
fn every_key_is_read_and_every_fault_reported() {
    let (settings, faults) = parse(
        r#"
        [upstream.app]
        endpoints = [{ url = "http://10.0.0.1", weight = 9 }, "http://10.0.0.2"]
        protocol = "h2c"
        balance = "subject"
        host = "upstream"
        forwarded = true
        client_cert = true
        x_forwarded_client_cert = true
        max_request_body = "1MiB"
        retries = 0
        timeouts = { connect = "1s", header = "2s", idle = "3s", tunnel_idle = "4s", total = "5s" }
        pool = { active = 1, idle = 1, waiting = 1, wait = "1s", keep = "1s", age = "1s", streams = 1 }
        health = { path = "/healthz", host = "h", interval = "1s", timeout = "1s", rise = 1, fall = 1, statuses = "204", when_all_unwell = "try" }
        outlier = { failures = 3, eject = "5s", most_percent = 30 }
        request_headers = { remove = ["X-Debug"], set = { X-A = "1" }, add = { X-B = "2" } }
        response_headers = { remove = ["Server"] }
        [upstream.app.identity]
        user = "X-Auth-User"
        groups = "X-Auth-Groups"
        separator = "|"
        claims = { X-Tenant = "tenant.id" }
        "#,
    );
    assert_eq!(faults, [""; 0]);
    let settings = settings.unwrap();
    assert_eq!(settings.balance, Balance::Subject);
    assert_eq!(settings.endpoints[0].weight, 9);
    assert_eq!(settings.identity.fields.len(), 3);
    assert_eq!(settings.max_request_body, 1 << 20);
    assert_eq!(settings.health.unwrap().when_all_unwell, AllUnwell::Try);

    let (settings, faults) = parse(
        "[upstream.app]\nendpoints = []\nbalanse = 1\nretries = 99\ntimeouts = { connect = \"0s\" }\nhealth = { path = \"x\", host = \"a b\", when_all_unwell = \"hope\" }",
    );
    assert!(settings.is_none());
    assert_eq!(faults.len(), 7, "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("did you mean `balance`")), "{faults:#?}");
}

#[test]
fn a_rule_cannot_touch_what_the_gateway_owns() {
    for name in
        ["X-Forwarded-For", "x_forwarded_for", "Connection", "Host", "Content-Length", "X-Portcullis-Id", "Forwarded"]
    {
        let text =
            format!("[upstream.app]\nendpoints = [\"http://a\"]\nrequest_headers = {{ set = {{ {name} = \"1\" }} }}");
        let (settings, faults) = parse(&text);
        assert!(settings.is_none() && faults.len() == 1, "{name} {faults:?}");
    }
    let text = "[upstream.app]\nendpoints = [\"http://a\"]\nidentity = { user = \"X-Auth-User\" }\n\
                request_headers = { set = { X_Auth_User = \"root\" }, remove = [\"x-auth-user\"] }";
    let (settings, faults) = parse(text);
    assert!(settings.is_none() && faults.len() == 2, "{faults:?}");
}

#[test]
fn an_authority_that_cannot_be_read_is_a_fault_and_never_less_verification() {
    let directory = tempfile::tempdir().unwrap();
    let leaf = rcgen::generate_simple_self_signed(["service".to_owned()]).unwrap();
    std::fs::write(directory.path().join("leaf.pem"), leaf.cert.pem()).unwrap();
    std::fs::write(directory.path().join("junk.pem"), "junk").unwrap();
    for ca in ["missing.pem", "junk.pem", "leaf.pem"] {
        let text = format!("[upstream.app]\nendpoints = [\"https://a\"]\ntls = {{ ca = \"{ca}\" }}");
        let (settings, faults) = parse_in(&text, directory.path());
        assert!(settings.is_none() && faults.len() == 1, "{ca} {faults:?}");
    }
    for key in ["verify", "insecure", "skip_verify"] {
        let text = format!("[upstream.app]\nendpoints = [\"https://a\"]\ntls = {{ {key} = false }}");
        let (settings, faults) = parse_in(&text, directory.path());
        assert!(settings.is_none(), "{key} {faults:?}");
    }
}

#[test]
fn a_client_certificate_and_a_key_that_do_not_match_are_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (
        rcgen::generate_simple_self_signed(["one".to_owned()]).unwrap(),
        rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap(),
    );
    std::fs::write(directory.path().join("one.pem"), one.cert.pem()).unwrap();
    std::fs::write(directory.path().join("other.key"), other.signing_key.serialize_pem()).unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let text = "[upstream.app]\nendpoints = [\"https://a\"]\n\
                tls = { ca = \"ca.pem\", client_certificate = { chain = \"one.pem\", key = \"other.key\" } }";
    let (settings, faults) = parse_in(text, directory.path());
    assert!(settings.is_none() && faults.len() == 1, "{faults:?}");
}

#[test]
fn what_exchanges_tokens_is_read_whole_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("secret"), "s3cret").unwrap();
    let client = "client = { id = \"p\", auth = \"client_secret_post\", secret = { file = \"secret\" } }";
    let read = |lines: &str| {
        let upstream = "[upstream.app]\nendpoints = [\"http://127.0.0.1:3000\"]\n[upstream.app.exchange]\n";
        parse_in(&format!("{upstream}{lines}"), place.path())
    };
    let good = format!("url = \"https://as.example/token\"\naudience = \"app\"\n{client}\n");
    let (settings, faults) = read(&good);
    assert_eq!(faults, [""; 0]);
    let exchange = settings.unwrap().token_exchange.unwrap();
    assert_eq!((&*exchange.audience, exchange.scope, exchange.cache.as_secs()), ("app", None, 300));
    let (settings, _) = read(&format!("{good}scope = \"a b\"\ncache = \"10s\"\ntimeout = \"1s\"\n"));
    let exchange = settings.unwrap().token_exchange.unwrap();
    assert_eq!((exchange.scope.as_deref(), exchange.cache.as_secs()), (Some("a b"), 10));
    assert_eq!(exchange.outbound.timeout.as_secs(), 1);
    for (lines, expected) in [
        (good.replace("https", "http"), "plain http"),
        (good.replace("audience = \"app\"\n", ""), "no `audience`"),
        (good.replace("\"app\"", "\"\""), "must not be empty"),
        (good.replace(client, ""), "no `client`"),
        (good.replace("\"secret\"", "\"nothing\""), "cannot read"),
        (format!("{good}cache = \"2h\""), "must lie between"),
        (format!("{good}scope = \"\""), "must not be empty"),
        (format!("{good}resource = \"x\""), "unknown key `resource`"),
    ] {
        let (settings, faults) = read(&lines);
        assert!(settings.is_none() && faults.iter().any(|fault| fault.contains(expected)), "{lines}: {faults:?}");
    }
}

#[test]
fn one_place_is_one_however_it_is_spelled() {
    let meet = |one: &str, other: &str| {
        let of = |name: &'static str, url| (Name::new(name), addresses(&serde_json::json!([url])));
        !alike(&[of("one", one), of("other", other)]).is_empty()
    };
    for (one, other) in [
        ("https://app.corp.example:443", "https://APP.corp.Example"),
        ("http://app.corp.example:80", "http://app.corp.example./"),
        ("http://app:8443", "https://App.:8443"),
        ("http://[::1]:80", "http://[0:0:0:0:0:0:0:1]"),
        ("http://[2001:DB8::1]", "http://[2001:db8:0::1]"),
        ("http://10.0.0.1", "http://[::ffff:10.0.0.1]"),
        ("http+unix:/run/a.sock", "http+unix:///run//./a.sock"),
    ] {
        assert!(meet(one, other) && meet(other, one), "{one} {other}");
    }
    for (one, other) in [
        ("http://app", "https://app"),
        ("http://app", "http://app.corp.example"),
        ("http://app", "http://app:8080"),
        ("http://10.0.0.1", "http://10.0.0.2"),
        ("http+unix:/run/a.sock", "http+unix:/run/A.sock"),
    ] {
        assert!(!meet(one, other), "{one} {other}");
    }
}
