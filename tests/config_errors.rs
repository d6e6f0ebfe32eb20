//! What is wrong with a configuration is said all at once, with file, line, the offending text and what to do.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use portcullis::config::{Fault, Loaded, Wanted, load};
use portcullis::demo::{Certificates, Names};
use tempfile::TempDir;

const MAIN: &str = r#"
[[listener]]
name    = "edge"
address = "127.0.0.1:0"
tls     = { certificates = [{ chain = "certs/server.pem", key = "certs/server.key" }] }
client_certificates = { mode = "optional", trust = ["corp"] }

[trust.corp]
ca = "certs/ca.pem"

[issuer.corp]
url = "https://login.corp.example"
audiences = ["wiki"]

[upstream.wiki]
endpoints = ["http://127.0.0.1:9000"]
"#;

const POLICY: &str = r#"
[[route]]
name     = "wiki"
host     = "wiki.corp.example"
path     = "/{rest...}"
methods  = ["GET"]
upstream = "wiki"
tokens   = ["corp"]

[[allow]]
name    = "staff"
routes  = ["wiki"]
subject = { groups = { any = ["staff"] } }

[[test]]
name    = "staff may read"
request = { method = "GET", host = "wiki.corp.example", path = "/page" }
token   = { issuer = "corp", sub = "u-1", groups = ["staff"] }
expect  = { decision = "allow", rule = "staff" }
"#;

/// A configuration directory with certificates, `main` and `policy` in it.
fn directory(main: &str, policy: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(&Names::default(), Timestamp::now()).unwrap();
    certificates.write(&directory.path().join("certs"), false).unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("portcullis.toml"), main).unwrap();
    fs::write(directory.path().join("policies/wiki.toml"), policy).unwrap();
    directory
}

fn read(directory: &Path) -> Result<Loaded, Vec<Fault>> {
    load(directory, Timestamp::now(), None, Wanted::OnDisk)
}

fn shown(faults: &[Fault], directory: &Path) -> Vec<String> {
    let prefix = format!("{}/", directory.display());
    let place = |fault: &Fault| fault.at.as_ref().map(|at| at.to_string().replace(&prefix, "")).unwrap_or_default();
    let hint = |fault: &Fault| fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    faults
        .iter()
        .map(|fault| format!("{}: {}{}", place(fault), fault.message, hint(fault)).replace(&prefix, ""))
        .collect()
}

#[test]
fn the_configuration_that_the_table_below_spoils_is_well() {
    let directory = directory(MAIN, POLICY);
    let loaded = read(directory.path()).unwrap_or_else(|faults| panic!("{:#?}", shown(&faults, directory.path())));
    assert_eq!(loaded.trials.len(), 1);
}

/// (what is replaced, by what, a part of the fault with its place)
const SPOILED: &[(&str, &str, &str)] = &[
    (
        "address =",
        "adress =",
        "portcullis.toml:4:1: unknown key `adress` in this [[listener]] (did you mean `address`?)",
    ),
    ("127.0.0.1:0", "localhost", "portcullis.toml:4:11: `localhost` is no address (write an IP address and a port"),
    ("certs/server.key", "certs/device.key", "portcullis.toml:5:29: "),
    ("certs/server.pem", "certs/server.key", "portcullis.toml:5:29: "),
    ("certs/server.pem", "certs/missing.pem", "certs/missing.pem"),
    (
        "\"optional\"",
        "\"maybe\"",
        "portcullis.toml:6:32: `mode` is \"maybe\"; it can be \"required\", \"optional\", \"off\"",
    ),
    ("certs/ca.pem", "certs/ca.crt", "portcullis.toml:9:6: cannot read `certs/ca.crt`"),
    ("certs/ca.pem", "portcullis.toml", "(a PEM file starts with -----BEGIN CERTIFICATE-----)"),
    ("certs/ca.pem", "certs/device.pem", "portcullis.toml:9:6: "),
    ("\"certs/ca.pem\"", "\"certs/ca.pem\"\ncrl = {}", "`crl` names no revocation list"),
    ("\"certs/ca.pem\"", "\"certs/ca.pem\"\ncrl = { urls = [\"ldap://ca\"] }", "`ldap://ca` is no address of a list"),
    (
        "\"certs/ca.pem\"",
        "\"certs/ca.pem\"\ncrl = { urls = \"http://ca/\", refresh = \"1s\" }",
        "`refresh` must be from a minute to a day",
    ),
    (
        "\"certs/server.key\" }]",
        "\"certs/server.key\" }], hsts = { max_age = \"30d\", include_subdomains = true, preload = true }",
        "write max_age = \"365d\" or more, and include_subdomains = true",
    ),
    (
        "\"certs/server.key\" }]",
        "\"certs/server.key\" }], hsts = { include_subdomain = true, max_age = \"1d\" }",
        "did you mean `include_subdomains`?",
    ),
    ("audiences = [\"wiki\"]", "", "portcullis.toml:11:1: [issuer.corp] has no `audiences`"),
    (
        "audiences = [\"wiki\"]",
        "audiences = \"unchecked\"",
        "a signed token without an audience would count everywhere",
    ),
    ("https://login", "http://login", "use https, or say `insecure_http = true`"),
    ("http://127.0.0.1:9000", "127.0.0.1:9000", "portcullis.toml:16:14: "),
    ("[upstream.wiki]", "[upstream.wiki]\nidentity = { assertion = \"X-Who\" }", "and there is no [assertion]"),
    (
        "[upstream.wiki]",
        "[assertion]\nissuer = \"https://gate.example\"\nlistener = \"inside\"\n[upstream.wiki]",
        "there is no listener `inside` (known are: edge)",
    ),
    (
        "mode = \"optional\", trust = [\"corp\"] }",
        "mode = \"required\", trust = [\"corp\"] }\n[assertion]\nissuer = \"https://gate.example\"\nlistener = \"edge\"",
        "name a listener with mode optional or off",
    ),
    (
        "[issuer.corp]",
        "[assertion]\nissuer = \"https://gate.example\"\nlistener = \"edge\"\n[issuer.corp]",
        "portcullis.toml:11:1: [assertion] needs a state directory for its keys",
    ),
    ("[issuer.corp]", "[login.staff]\nissuer = \"corp\"\n[issuer.corp]", "[login] is not built yet"),
    ("host     =", "hots     =", "policies/wiki.toml:4:1: unknown key `hots` in this [[route]] (did you mean `host`?)"),
    ("upstream = \"wiki\"", "upstream = \"wikki\"", "did you mean `wiki`?"),
    ("tokens   = [\"corp\"]", "tokens   = [\"crop\"]", "did you mean `corp`?"),
    ("routes  = [\"wiki\"]", "routes  = [\"viki\"]", "did you mean `wiki`?"),
    ("methods  = [\"GET\"]", "methods  = [\"get\"]", "policies/wiki.toml:6:13: "),
    ("path     = \"/{rest...}\"", "path     = \"/a/../b\"", "policies/wiki.toml:5:12: "),
    ("groups = { any = [\"staff\"] }", "grops = { any = [\"staff\"] }", "did you mean `groups`?"),
    ("subject = { groups = { any = [\"staff\"] } }", "", "ask for a `subject`, a `device` or a `workload`"),
    ("subject = { groups = { any = [\"staff\"] } }", "subject = {}", "policies/wiki.toml:"),
    ("groups = [\"staff\"] }\nexpect", "groups = [\"guests\"] }\nexpect", "the test \"staff may read\""),
    ("decision = \"allow\"", "decision = \"deny\"", "decision: expected deny, found allow"),
    ("issuer = \"corp\", sub", "issuer = \"crop\", sub", "did you mean `corp`?"),
    ("[[allow]]", "[[allows]]", "did you mean `allow`?"),
    (
        "[[allow]]",
        "[[route]]\nname = \"two\"\nhost = \"wiki.corp.example\"\npath = \"/{other...}\"\nmethods = [\"GET\"]\nupstream = \"wiki\"\n[[allow]]",
        "overlap",
    ),
    ("[upstream.wiki]", "[upstream.wiki", "portcullis.toml:15:"),
];

#[test]
fn every_fault_has_its_place_and_says_what_to_do() {
    let mut missed = Vec::new();
    for (good, bad, expected) in SPOILED {
        let (main, policy) = (MAIN.replacen(good, bad, 1), POLICY.replacen(good, bad, 1));
        assert!(main != MAIN || policy != POLICY, "`{good}` is nowhere");
        let (main, policy) = if main == MAIN { (MAIN.to_owned(), policy) } else { (main, POLICY.to_owned()) };
        let directory = directory(&main, &policy);
        let faults = read(directory.path()).err().unwrap_or_else(|| panic!("`{bad}` was accepted"));
        let faults = shown(&faults, directory.path());
        if !faults.iter().any(|fault| fault.contains(expected)) {
            missed.push(format!("`{bad}` should say\n{expected}\nand says\n{faults:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[test]
fn semantics_11_a_token_that_could_mean_two_sources_is_a_fault() {
    let server = |name: &str, prefix: &str| {
        format!(
            "[introspection.{name}]\nurl = \"https://{name}.example/introspect\"\naudiences = [\"wiki\"]\n\
             client = {{ id = \"x\", auth = \"client_secret_basic\", secret = {{ file = \"secret\" }} }}\n{prefix}\n"
        )
    };
    let twin = "[issuer.twin]\nurl = \"https://login.corp.example\"\naudiences = [\"wiki\"]\n";
    let prefix = |text: &str| format!("match = {{ prefix = \"{text}\" }}");
    for (more, tokens, expected) in [
        (twin.to_owned(), r#"["corp", "twin"]"#, Some("have the same issuer, and a route names both")),
        (twin.to_owned(), r#"["corp"]"#, None),
        (server("a", "") + &server("b", ""), r#"["a", "b"]"#, Some("without a prefix, and a route names both")),
        (server("a", "") + &server("b", &prefix("b_")), r#"["corp", "a", "b"]"#, None),
        (server("a", &prefix("x_")) + &server("b", &prefix("x_y")), r#"["corp"]"#, Some("begins with the other")),
        (server("corp", &prefix("x_")), r#"["corp"]"#, Some("share their name")),
    ] {
        let directory = directory(&format!("{MAIN}{more}"), &POLICY.replace(r#"["corp"]"#, tokens));
        fs::write(directory.path().join("secret"), "a secret of the test's own, long enough\n").unwrap();
        let faults = read(directory.path()).err().unwrap_or_default();
        let faults = shown(&faults, directory.path());
        match expected {
            Some(expected) => assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:#?}"),
            None => assert!(faults.is_empty(), "{faults:#?}"),
        }
    }
}

#[test]
fn all_faults_of_all_files_come_at_once() {
    let main = MAIN.replace("address =", "adress =").replace("certs/ca.pem", "certs/none.pem");
    let policy = POLICY.replace("upstream = \"wiki\"", "upstream = \"x\"").replace("[[test]]", "[[tset]]");
    let directory = directory(&main, &policy);
    let faults = shown(&read(directory.path()).unwrap_err(), directory.path());
    for expected in ["`adress`", "certs/none.pem", "`x`", "`tset`"] {
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:#?}");
    }
}

#[test]
fn a_directory_without_its_main_file_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let faults = read(directory.path()).unwrap_err();
    assert!(faults[0].message.contains("portcullis.toml"), "{faults:?}");
}

#[test]
fn the_reference_configuration_loads_without_a_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    fs::create_dir_all(config.join("policies")).unwrap();
    let copy = |name: &Path| fs::copy(root.join(name), config.join(name)).unwrap();
    copy(Path::new("portcullis.toml"));
    for entry in fs::read_dir(root.join("policies")).unwrap().map(Result::unwrap) {
        // Each directory below is a set of its own.
        if entry.file_type().unwrap().is_file() {
            copy(&Path::new("policies").join(entry.file_name()));
        }
    }
    let certificates = Certificates::make(&Names::default(), Timestamp::now()).unwrap();
    certificates.write(&directory.path().join("certs"), false).unwrap();
    fs::write(config.join("partners.secret"), "a secret of the test's own, long enough\n").unwrap();
    let loaded = read(&config).unwrap_or_else(|faults| panic!("{:#?}", shown(&faults, &config)));
    assert!(loaded.warnings.is_empty(), "{:#?}", shown(&loaded.warnings, &config));
}

/// What is said `days` from now of a listener that shows its certificate so many times.
fn warned(days: i64, certificates: usize) -> Vec<String> {
    let pair = "{ chain = \"certs/server.pem\", key = \"certs/server.key\" }";
    // An authority that has ended is an error of its own.
    let main = MAIN
        .replace("client_certificates = { mode = \"optional\", trust = [\"corp\"] }\n", "")
        .replace("[trust.corp]\nca = \"certs/ca.pem\"\n", "")
        .replace(pair, &vec![pair; certificates].join(", "));
    let directory = directory(&main, POLICY);
    let then = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let loaded = load(directory.path(), then, None, Wanted::OnDisk).unwrap();
    shown(&loaded.warnings, directory.path())
}

#[test]
fn a_server_certificate_that_ends_is_warned_of_and_stops_nothing() {
    for (days, wanted, hint) in [
        (77, "ends soon, at ", "renew it"),
        (91, "ended at ", "renew it"),
        (-1, "is valid from ", "the clock of this machine"),
    ] {
        let warned = warned(days, 1);
        assert_eq!(warned.len(), 1, "{warned:#?}");
        let message = format!("listener `edge`: the certificate chain in `certs/server.pem` {wanted}");
        for part in ["portcullis.toml:5:", &message, hint] {
            assert!(warned.iter().all(|line| line.contains(part)), "{part}: {warned:#?}");
        }
    }
    for days in [0, 75] {
        assert!(warned(days, 1).is_empty(), "{days} days from now");
    }
}

#[test]
fn thousands_of_certificates_that_end_together_are_not_warned_of_one_by_one() {
    let warned = warned(91, 12);
    assert_eq!(warned.len(), 11, "{warned:#?}");
    assert!(warned.iter().any(|line| line.contains("listener `edge`: 2 more of its certificates")), "{warned:#?}");
}
