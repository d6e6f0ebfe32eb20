//! What the book says is held against the code.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use portcullis::authn::{KeyOrigin, TokenCacheLimits, TokenType};
use portcullis::config::{self, Wanted};
use portcullis::demo::{Certificates, Names, Stage};
use portcullis::identity::Reason;
use portcullis::policy::lint::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const REASONS: &str = include_str!("../docs/reasons.md");
const LINT: &str = include_str!("../docs/lint.md");
const POLICY: &str = include_str!("../docs/policy.md");
const ADVISORIES: &str = include_str!("../docs/advisories.md");
const METRICS: &str = include_str!("../docs/metrics.md");
const TOKENS: &str = include_str!("../docs/tokens.md");
const README: &str = include_str!("../README.md");
const QUICKSTART: &str = include_str!("../docs/quickstart.md");

#[test]
fn every_reason_has_a_section_with_its_own_sentence_and_no_section_has_no_reason() {
    let documented: BTreeSet<_> =
        REASONS.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let known: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(documented, known);
    for reason in Reason::ALL {
        let section = REASONS.split(&format!("### `{reason}`\n")).nth(1).unwrap();
        assert!(section.trim_start().starts_with(&format!("*{}*", reason.summary())), "{reason}");
        let advice = section.split("\n\n").nth(1).unwrap();
        assert!(!advice.trim().is_empty() && !advice.starts_with('#'), "{reason} says what to do");
    }
}

#[test]
fn every_finding_of_lint_has_a_section_with_its_own_sentence_and_no_section_has_no_finding() {
    let documented: Vec<_> = LINT.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let known: Vec<_> = Code::ALL.iter().map(|code| format!("`{}` {}", code.code(), code.name())).collect();
    assert_eq!(documented, known);
    for code in Code::ALL {
        let section = LINT.split(&format!("### `{}` ", code.code())).nth(1).unwrap();
        let parts: Vec<_> = section.split("\n\n").collect();
        assert_eq!(parts[1].trim(), format!("*{}*", code.summary()), "{}", code.code());
        assert!(!parts[2].starts_with('#'), "{} says what to do", code.code());
    }
}

/// A sentence of the semantics is worth what its test is worth: the test must be there.
#[test]
fn every_semantics_of_the_policy_language_names_tests_that_exist() {
    let section = POLICY.split("\n## Semantics\n").nth(1).unwrap();
    let mut sources = String::new();
    read_below(Path::new(env!("CARGO_MANIFEST_DIR")), &mut sources);
    let mut items: Vec<String> = Vec::new();
    for line in section.lines() {
        if line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("Besides") {
            items.push(String::new());
        }
        if let Some(item) = items.last_mut() {
            item.push_str(line);
            item.push(' ');
        }
    }
    assert_eq!(items.len(), 14, "thirteen semantics, and what holds besides");
    for item in items {
        let (_, named) = item.rsplit_once("Test").unwrap_or_else(|| panic!("names no test: {item}"));
        let names: Vec<_> = named.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "names no test: {item}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
        }
    }
}

#[test]
fn every_advisory_names_tests_that_exist() {
    let mut sources = String::new();
    read_below(Path::new(env!("CARGO_MANIFEST_DIR")), &mut sources);
    let rows: Vec<_> =
        ADVISORIES.lines().filter(|line| line.starts_with("| ") && !line.contains("| tests |")).collect();
    assert!(rows.len() >= 35, "{}", rows.len());
    for row in rows {
        let (_, tests) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "names no test: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
        }
    }
}

fn read_below(root: &Path, sources: &mut String) {
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(&entry).unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_described_and_none_that_is_not_there() {
    let stage = Stage::set("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(stage.probes()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut scrape = String::new();
    stream.read_to_string(&mut scrape).await.unwrap();
    stage.strike().await.unwrap();
    let exposed = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let described = METRICS.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `portcullis_")?.split(" | ");
        Some((format!("portcullis_{}", cells.next()?.trim_end_matches('`')), cells.next()?.to_owned()))
    });
    let exposed: BTreeSet<_> = exposed.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    assert!(!exposed.is_empty());
    assert_eq!(described.collect::<BTreeSet<_>>(), exposed);
}

#[test]
fn the_configuration_of_the_readme_is_served_as_it_stands() {
    let place = tempfile::tempdir().unwrap();
    gate(place.path());
    let loaded = config::load(place.path(), Timestamp::now(), None, Wanted::OnDisk);
    assert!(loaded.is_ok(), "{:?}", loaded.err());
    assert!(README.lines().filter(|line| line.starts_with("[[") || line.starts_with('[')).count() >= 5);
}

#[test]
fn the_configuration_of_the_quickstart_is_served_as_it_stands() {
    let place = tempfile::tempdir().unwrap();
    let blocks = blocks(QUICKSTART);
    let [admin, test, device]: [&str; 3] = blocks.as_slice().try_into().unwrap();
    gate(place.path());
    Certificates::make(&Names::default(), Timestamp::now()).unwrap().write(&place.path().join("certs"), false).unwrap();
    let (listener, rest) = device.split_once("[trust.devices]").unwrap();
    let (trust, rules) = rest.split_once("# policies/wiki.toml").unwrap();
    let main = place.path().join("portcullis.toml");
    let text = fs::read_to_string(&main).unwrap().replacen("[issuer", &format!("{listener}\n[issuer"), 1);
    fs::write(&main, format!("{text}\n{admin}\n[trust.devices]{trust}")).unwrap();
    let policy = place.path().join("policies/wiki.toml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, format!("{text}\n{test}\n#{rules}")).unwrap();
    let loaded = config::load(place.path(), Timestamp::now(), None, Wanted::OnDisk);
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}

#[test]
fn every_link_of_the_documents_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
            .map(|name| root.join(name))
            .into();
    documents.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut links = 0;
    for document in documents.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            assert!(document.parent().unwrap().join(file).exists(), "{}: {target}", document.display());
        }
    }
    assert!(links > 10);
}

/// The README's two files, with a certificate for the listener.
fn gate(place: &Path) {
    let blocks = blocks(README);
    let [main, policy]: [&str; 2] = blocks.as_slice().try_into().unwrap();
    let made = tempfile::tempdir().unwrap();
    Certificates::make(&Names::default(), Timestamp::now()).unwrap().write(made.path(), false).unwrap();
    fs::copy(made.path().join("server.pem"), place.join("edge.pem")).unwrap();
    fs::copy(made.path().join("server.key"), place.join("edge.key")).unwrap();
    fs::write(place.join("portcullis.toml"), main).unwrap();
    fs::create_dir(place.join("policies")).unwrap();
    fs::write(place.join("policies/wiki.toml"), policy).unwrap();
}

fn blocks(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The page on tokens states the defaults that hold where a configuration states nothing.
#[test]
fn the_defaults_on_the_page_on_tokens_are_those_of_the_code() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("secret", "a secret of the client");
    write(
        "portcullis.toml",
        r#"
[[listener]]
name    = "edge"
address = "127.0.0.1:0"
tls     = "off"

[issuer.corp]
url       = "https://login.corp.example"
audiences = ["payments"]

[introspection.partners]
url       = "https://as.partners.example/introspect"
client    = { id = "gate", auth = "client_secret_basic", secret = { file = "secret" } }
audiences = ["payments"]

[upstream.payments]
endpoints = ["http://127.0.0.1:9"]
"#,
    );
    fs::create_dir(directory.path().join("policies")).unwrap();
    write(
        "policies/payments.toml",
        r#"
[[route]]
name     = "payments"
host     = "*.corp.example"
path     = "/{rest...}"
methods  = ["GET"]
tokens   = ["corp", "partners"]
upstream = "payments"

[[allow]]
name    = "staff"
routes  = ["payments"]
subject = { issuer = "corp" }
"#,
    );
    let sources = config::load(directory.path(), Timestamp::now(), None, Wanted::OnDisk).unwrap().settings.sources;
    let (issuer, server) = (&sources.issuers()[0], &sources.servers()[0]);
    let refresh = match &issuer.keys {
        KeyOrigin::Discovery { refresh, .. } => Some(refresh),
        _ => None,
    };
    let refresh = refresh.unwrap();
    let (memory, cache) = (TokenCacheLimits::default(), &server.cache);
    assert_eq!(issuer.token.clock_skew, server.token.clock_skew);
    assert_eq!(issuer.token_types, [TokenType::named("at+jwt")]);
    let algorithms: Vec<_> = issuer.algorithms.iter().map(|algorithm| algorithm.name()).collect();
    let page = TOKENS.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        format!("`max_bytes` - {}KiB", issuer.token.max_bytes >> 10),
        format!("`clock_skew` - {}s", issuer.token.clock_skew.as_secs()),
        format!("`max_lifetime` - {}d", issuer.max_lifetime.as_secs() / 86_400),
        format!("`algorithms` - {} |", algorithms.join(" ")),
        format!("`refresh` - {}m", refresh.interval.as_secs() / 60),
        format!("`stale_if_error` - {}h", refresh.stale_if_error.as_secs() / 3600),
        format!("`timeout` - {}s", refresh.outbound.timeout.as_secs()),
        format!("at most {} MiB and 256 keys", refresh.outbound.most_body >> 20),
        format!("`cache.positive` - {}s", cache.positive.as_secs()),
        format!("`cache.negative` - {}s", cache.negative.as_secs()),
        format!("`cache.max_entries` - {}", cache.max_entries),
        format!("`cache.stale_if_error` - {}s", cache.stale_if_error.as_secs()),
        format!("up to {} verified tokens in at most {} MiB", memory.entries, memory.bytes >> 20),
    ] {
        assert!(page.contains(&sentence), "docs/tokens.md does not say: {sentence}");
    }
}
