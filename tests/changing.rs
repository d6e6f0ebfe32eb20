//! A policy is changed while it is served: what is kept, what a rollback brings back and what it never does, and the
//! alarm when too many are refused. One process, a real identity provider, a real service.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use portcullis::admin::{call, serve_probes};
use portcullis::demo::{Caller, Certificates, Echo, Endpoint, IdentityProvider, Mood, Names};
use portcullis::server::{Server, start};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

struct House {
    directory: TempDir,
    provider: IdentityProvider,
    echo: Echo,
    server: Option<Server>,
}

const ROUTE: &str = r#"
[[route]]
name     = "wiki"
host     = "localhost"
path     = "/wiki"
methods  = ["GET"]
upstream = "echo"
tokens   = ["corp"]
"#;

/// A policy that admits one group.
fn admitting(group: &str) -> String {
    format!("{ROUTE}\n[[allow]]\nname = \"{group}\"\nroutes = [\"wiki\"]\nsubject = {{ groups = \"{group}\" }}\n")
}

impl House {
    async fn open(policy: &str, more: &str) -> Self {
        let (provider, echo) = (IdentityProvider::start().await.unwrap(), Echo::start().await.unwrap());
        let mut house = Self { directory: tempfile::tempdir().unwrap(), provider, echo, server: None };
        fs::create_dir(house.path().join("policies")).unwrap();
        house.policy(policy);
        house.main(&format!("state = \"state\"\n{}{more}", house.corp()));
        house.start().await;
        house
    }

    fn corp(&self) -> String {
        format!("[issuer.corp]\nurl = \"{}\"\naudiences = [\"wiki\"]\n", self.provider.issuer())
    }

    fn main(&self, more: &str) {
        let main = format!(
            "workers = 1\n{more}\n\
             [[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\ntls = \"off\"\n\
             [upstream.echo]\nendpoints = [\"http://{}\"]\n\
             [audit]\nfile = {{ path = \"audit.jsonl\" }}\n\
             [admin]\nprobes = \"127.0.0.1:0\"\ncontrol = {{ socket = \"control.sock\" }}\n",
            self.echo.address()
        );
        fs::write(self.path().join("portcullis.toml"), main).unwrap();
    }

    fn policy(&self, text: &str) {
        fs::write(self.path().join("policies/wiki.toml"), text).unwrap();
    }

    async fn start(&mut self) {
        let server = start(self.path()).await.unwrap();
        until(async || server.overview().not_ready().is_empty()).await;
        self.server = Some(server);
    }

    async fn restart(&mut self) {
        self.server.take().unwrap().shutdown().await;
        self.start().await;
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Changes the policy and has it read at once.
    async fn change(&self, policy: &str) -> String {
        self.policy(policy);
        self.reload().await
    }

    async fn reload(&self) -> String {
        let reply = self.server().reload().await;
        assert!(reply.done, "{}", reply.message);
        reply.message
    }

    async fn order(&self, path: &str, body: &Value) -> (u16, String) {
        let socket = self.path().join("control.sock");
        let (status, body) = call(&socket, Method::POST, path, body.to_string().into()).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        (status.as_u16(), body["message"].as_str().unwrap().to_owned())
    }

    async fn rollback(&self) -> (u16, String) {
        self.order("/rollback", &json!({})).await
    }

    fn status(&self) -> Value {
        serde_json::to_value(self.server().overview().status()).unwrap()
    }

    fn version(&self) -> String {
        self.status()["policy"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, token: &str) -> u16 {
        self.answer(token).await.0
    }

    /// The status of an answer, and the request id that it carries.
    async fn answer(&self, token: &str) -> (u16, String) {
        let caller = Caller::plain(self.server().address("edge").unwrap());
        let request = Request::get("http://localhost/wiki").header(AUTHORIZATION, format!("Bearer {token}"));
        let response = caller.call(request.body(Bytes::new()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.headers()["x-request-id"].to_str().unwrap().to_owned())
    }

    fn token(&self, person: &str) -> String {
        self.provider.token(person).audience("wiki").jwt()
    }

    fn somebody(&self, number: usize, group: &str) -> String {
        let token = self.provider.token("bob").audience("wiki").claim("sub", format!("u-{number}"));
        token.claim("groups", json!([group])).jwt()
    }
}

/// What the program says on this command line, and its exit code.
fn portcullis(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Everything that the operational log says in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        tracing_subscriber::registry().with(layer).try_init().unwrap();
        log
    }

    fn lines(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits for it; the line that waits in vain is named.
#[track_caller]
fn until(so: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
    let line = std::panic::Location::caller().line();
    async move {
        for _ in 0..2_000 {
            if so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("what line {line} waits for never came to be");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_the_rules_back_and_holds_until_the_files_change() {
    let mut house = House::open(&admitting("finance"), "").await;
    let (alice, first) = (house.token("alice"), house.version());
    assert_eq!(house.ask(&alice).await, 200);
    let (status, message) = house.rollback().await;
    assert_eq!(status, 422);
    assert!(message.contains("there is no version before"), "{message}");

    let message = house.change(&admitting("nobody")).await;
    assert!(message.contains("`finance` removed") && message.contains("`nobody` added"), "{message}");
    let second = house.version();
    assert_eq!(house.ask(&alice).await, 403);
    assert_eq!(house.reload().await, "nothing has changed");

    let (status, message) = house.rollback().await;
    assert_eq!(status, 200, "{message}");
    assert!(message.contains(&format!("policy {first} is in force again")), "{message}");
    assert!(message.contains("rule `finance` added (may admit more)"), "{message}");
    assert!(message.contains(&format!("version {second}, are set aside")), "{message}");
    assert_eq!((house.version(), house.ask(&alice).await), (first.clone(), 200));
    assert_eq!(house.status()["versions"]["set_aside"], second);

    // The files on disk are still the ones that were set aside: neither a reload nor a restart brings them back.
    assert_eq!(house.reload().await, "nothing has changed");
    house.restart().await;
    assert_eq!((house.version(), house.ask(&alice).await), (first.clone(), 200));

    // A look at the files says so, too.
    let (code, text) = portcullis(&["check", "--config", house.path().to_str().unwrap()]);
    assert!(code == 0 && text.contains(&format!("policy {first} is in force until they change")), "{text}");

    house.change(&admitting("staff")).await;
    let third = house.version();
    assert!(third != first && third != second);
    assert_eq!(house.status()["versions"]["set_aside"], Value::Null);
    // The version that was withdrawn is not what a rollback goes to; it can be named.
    assert_eq!(house.rollback().await.0, 200);
    assert_eq!(house.version(), first);
    assert_eq!(house.order("/rollback", &json!({ "to": second })).await.0, 200);
    assert_eq!((house.version(), house.ask(&alice).await), (second, 403));
    let (status, message) = house.order("/rollback", &json!({ "to": "000000000000" })).await;
    assert!(status == 422 && message.contains("is not kept; kept are"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_restores_no_trust() {
    let mut house = House::open(&admitting("finance"), "").await;
    let (alice, carol) = (house.token("alice"), house.somebody(7, "finance"));
    let old = IdentityProvider::start().await.unwrap();
    house.main(&format!(
        "state = \"state\"\n{}[issuer.old]\nurl = \"{}\"\naudiences = [\"wiki\"]\n",
        house.corp(),
        old.issuer()
    ));
    let old_rule = "[[allow]]\nname = \"old\"\nroutes = [\"wiki\"]\nsubject = { issuer = \"old\" }\n";
    house.change(&format!("{}{old_rule}", admitting("finance").replace("[\"corp\"]", "[\"corp\", \"old\"]"))).await;
    let token = old.token("alice").audience("wiki").jwt();
    until(async || house.ask(&token).await == 200).await;

    // The issuer is trusted no longer, and a token of another one is revoked.
    house.main(&format!("state = \"state\"\n{}", house.corp()));
    house.change(&admitting("finance")).await;
    let today = house.version();
    assert_eq!(house.order("/revoke", &json!({ "token": alice })).await.0, 200);
    assert_eq!((house.ask(&token).await, house.ask(&alice).await, house.ask(&carol).await), (401, 401, 200));

    let versions = house.status()["versions"]["kept"].clone();
    let with_old = versions[0]["version"].as_str().unwrap().to_owned();
    let (status, message) = house.order("/rollback", &json!({ "to": with_old })).await;
    assert_eq!(status, 422, "{message}");
    assert!(message.contains("does not fit the configuration in force") && message.contains("`old`"), "{message}");
    assert_eq!((house.version(), house.ask(&token).await), (today.clone(), 401), "nothing changed");

    // A version that fits comes back, and neither the issuer nor the revoked token with it, over a restart either.
    house.change(&admitting("nobody")).await;
    let (status, message) = house.order("/rollback", &json!({ "to": today })).await;
    assert_eq!(status, 200, "{message}");
    assert_eq!((house.ask(&token).await, house.ask(&alice).await, house.ask(&carol).await), (401, 401, 200));
    house.restart().await;
    assert_eq!((house.version(), house.ask(&alice).await, house.ask(&carol).await), (today, 401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_works_while_portcullis_toml_is_broken() {
    let house = House::open(&admitting("finance"), "").await;
    let first = house.version();
    house.change(&admitting("nobody")).await;
    fs::write(house.path().join("portcullis.toml"), "half = [").unwrap();
    assert!(!house.server().reload().await.done);
    let (status, message) = house.rollback().await;
    assert_eq!((status, house.version()), (200, first), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_state_directory_nothing_is_kept_and_a_rollback_says_so() {
    let mut house = House::open(&admitting("finance"), "").await;
    house.main(&house.corp());
    house.restart().await;
    house.change(&admitting("nobody")).await;
    let (status, message) = house.rollback().await;
    assert!(status == 422 && message.contains("no `state` directory"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_a_link_leads_to_is_swapped_whole() {
    let mut house = House::open(&admitting("finance"), "").await;
    let policies = house.path().join("policies");
    fs::rename(&policies, house.path().join("one")).unwrap();
    fs::create_dir(house.path().join("two")).unwrap();
    fs::write(house.path().join("two/wiki.toml"), admitting("nobody")).unwrap();
    symlink("one", &policies).unwrap();
    house.restart().await;
    let (alice, before) = (house.token("alice"), house.version());
    assert_eq!(house.ask(&alice).await, 200);
    symlink("two", house.path().join("new")).unwrap();
    fs::rename(house.path().join("new"), &policies).unwrap();
    until(async || house.version() != before).await;
    assert_eq!(house.ask(&alice).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alarm_counts_authenticated_subjects_once_and_changes_nothing() {
    let alarm = "[policy]\nalarm = { refused_above = 40, subjects = 5 }\n";
    let log = Log::listen();
    let house = House::open(&admitting("finance"), alarm).await;
    let denials = |what: &str| house.status()["denials"][what].clone();
    for number in 0..4 {
        assert_eq!(house.ask(&house.somebody(number, "finance")).await, 200);
    }
    // Whoever is nobody counts for nothing, however often; and one subject is one, however often.
    let (stranger, mallory) = (house.provider.token("alice").audience("wiki").forged().jwt(), house.somebody(66, "x"));
    for _ in 0..50 {
        assert_eq!((house.ask(&stranger).await, house.ask(&mallory).await), (401, 403));
    }
    until(async || denials("subjects") == 5).await;
    assert_eq!((denials("refused"), denials("alarm")), (json!(1), json!(false)), "one of five");

    let before = house.version();
    for number in 100..103 {
        assert_eq!(house.ask(&house.somebody(number, "x")).await, 403);
    }
    // Three refused of seven are enough: the last of them may be counted after that.
    until(async || denials("alarm") == true && denials("subjects") == 8 && denials("refused") == 4).await;
    assert_eq!(house.version(), before, "it tells, and does nothing");
    let lines = log.lines("more subjects are refused");
    let command = format!("portcullis rollback --config {}", house.path().display());
    assert!(lines.len() == 1 && lines[0].contains(&command) && lines[0].contains(&before), "{lines:?}");

    // Another policy begins anew.
    house.change(&admitting("x")).await;
    until(async || denials("alarm") == false && denials("subjects") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_cannot_be_reached_is_told_of_once_and_so_is_its_return() {
    let log = Log::listen();
    let mut house = House::open(&admitting("finance"), "").await;
    house.server.take().unwrap().shutdown().await;
    house.provider.behave_everywhere(Mood::Failing);
    house.server = Some(start(house.path()).await.unwrap());
    let asked = || house.provider.asked(Endpoint::Discovery);
    let before = asked();
    // Several attempts, and one line.
    until(async || asked() >= before + 3).await;
    let lines = log.lines("the issuer's keys cannot be fetched");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["WARN", house.provider.issuer(), "cause=\"discovery-status\"", "has status 503"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    assert!(log.lines("can be fetched again").is_empty());
    house.provider.behave_everywhere(Mood::Well);
    until(async || house.server().overview().not_ready().is_empty()).await;
    until(async || log.lines("can be fetched again").len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_asks_for_it_is_heard_in_the_log_and_cannot_fill_it() {
    let log = Log::listen();
    let deny = "[[deny]]\nname = \"frozen\"\nroutes = [\"wiki\"]\nsubject = { groups = \"frozen\" }\nlog = \"warn\"\n";
    let house = House::open(&format!("{}{deny}", admitting("finance")), "").await;
    assert_eq!(house.ask(&house.token("alice")).await, 200);
    assert!(log.lines("a decision").is_empty(), "nobody asked for it");
    let frozen = house.somebody(1, "frozen");
    let began = Instant::now();
    for _ in 0..60 {
        assert_eq!(house.ask(&frozen).await, 403);
    }
    let (lines, seconds) = (log.lines("a decision"), began.elapsed().as_secs() + 2);
    assert!(lines[0].contains("WARN") && lines[0].contains("rule=\"frozen\"") && lines[0].contains("denied-by-rule"));
    assert!(lines.len() as u64 <= seconds * 10, "{} lines in {seconds} s", lines.len());
    assert!(!lines[0].contains(&frozen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_decision_is_explained_under_the_policy_of_now() {
    let house = House::open(&admitting("finance"), "").await;
    let staff = house.provider.token("bob").audience("wiki").claim("groups", json!(["staff"]));
    let (before, bob) = (house.version(), staff.jwt());
    let (status, id) = house.answer(&bob).await;
    assert_eq!(status, 403);
    house.change(&admitting("staff")).await;
    let after = house.version();
    let (socket, log) = (house.path().join("control.sock"), house.path().join("audit.jsonl"));
    let (socket, log, config) =
        (socket.to_str().unwrap(), log.to_str().unwrap(), house.path().to_str().unwrap().to_owned());
    until(async || fs::read_to_string(log).unwrap().contains(&id)).await;
    let places: [&[&str]; 2] = [&["--socket", socket], &["--config", &config, "--decisions", log]];
    for place in places {
        let (code, text) = portcullis(&[&["policy", "explain", "--decision", &id], place].concat());
        assert_eq!(code, 1, "{text}");
        for line in [
            "by       bob at corp".to_owned(),
            format!("then     deny by policy {before} (no-rule-allows)"),
            format!("now      unknown by policy {after}, another version"),
            "nearest  would be allowed by `staff`, if it had group `staff`".to_owned(),
            "unknown   group `staff`  <- not recorded".to_owned(),
        ] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
    // A decision of the policy in force tells what it saw.
    let (status, id) = house.answer(&bob).await;
    assert_eq!(status, 200);
    until(async || fs::read_to_string(log).unwrap().contains(&id)).await;
    let (code, text) = portcullis(&["policy", "explain", "--decision", &id, "--socket", socket]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the same version") && text.contains("told by the decision"), "{text}");
    assert!(!text.contains(&bob));

    let url = "https://localhost/wiki";
    let asked = ["policy", "explain", "GET", url, "--issuer", "corp", "--group", "x", "--socket", socket];
    let (code, text) = portcullis(&asked);
    assert!(code == 1 && text.contains("would be allowed by `staff` with group `staff`"), "{text}");
    let (code, text) = portcullis(&["policy", "explain", "--decision", "0123", "--socket", socket]);
    assert!(code == 1 && text.contains("has no record of request 0123"), "{text}");
    let (code, text) = portcullis(&["policy", "explain", "--decision", &id]);
    assert!(code == 1 && text.contains("--decisions FILE"), "{text}");

    let (_, refused) = house.answer(&house.provider.token("bob").audience("wiki").forged().jwt()).await;
    until(async || fs::read_to_string(log).unwrap().contains(&refused)).await;
    let (code, text) = portcullis(&["policy", "explain", "--decision", &refused, "--socket", socket]);
    assert!(code == 1 && text.contains("refused before the policy was asked: token-signature"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_certificate_that_has_ended_is_seen_and_so_is_the_one_that_renews_it() {
    let log = Log::listen();
    let house = House::open(&admitting("finance"), "").await;
    let probes = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = probes.local_addr().unwrap();
    tokio::spawn(serve_probes(probes, house.server().overview().clone()));
    let metric = async || {
        let request = Request::get(format!("http://{address}/metrics")).body(Bytes::new()).unwrap();
        let scrape = Caller::plain(address).call(request).await.unwrap().into_body();
        let sample = "portcullis_certificate_not_after_seconds{listener=\"secure\"} ";
        let text = std::str::from_utf8(&scrape).unwrap();
        text.lines().find_map(|line| line.strip_prefix(sample)).map(|value| value.parse::<i64>().unwrap())
    };
    let ends = |index: usize| {
        let end = house.status()["certificates"][index]["not_after"].as_str().unwrap().to_owned();
        Some(end.parse::<jiff::Timestamp>().unwrap().as_second())
    };
    assert_eq!((&house.status()["degraded"], metric().await), (&json!(false), None));

    let certs = house.path().join("certs");
    Certificates::make(&Names::default(), jiff::Timestamp::now()).unwrap().write(&certs, false).unwrap();
    let pair = |name: &str| format!("{{ chain = \"certs/{name}.pem\", key = \"certs/{name}.key\" }}");
    let tls = format!("{{ certificates = [{}, {}] }}", pair("server"), pair("expired"));
    let listener = format!("[[listener]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\ntls = {tls}\n");
    house.main(&format!("state = \"state\"\n{}{listener}", house.corp()));
    house.reload().await;
    let state = house.status();
    let (good, ended) = (&state["certificates"][0], &state["certificates"][1]);
    assert_eq!((&state["degraded"], &good["expired"], &ended["expired"]), (&json!(true), &json!(false), &json!(true)));
    assert_eq!((&ended["listener"], &ended["not_yet_valid"]), (&json!("secure"), &json!(false)));
    assert!(ended["chain"].as_str().unwrap().ends_with("certs/expired.pem"), "{ended}");
    assert_eq!(metric().await, ends(1), "the first that ends");
    let told = || log.lines("clients refuse it");
    assert!(told().len() == 1 && told()[0].contains("WARN") && told()[0].contains("listener `secure`"), "{:?}", told());
    let (code, text) = portcullis(&["check", "--config", house.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    for part in ["well: policy", "expired.pem` ended at ", "renew it and write the new one"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    for kind in ["pem", "key"] {
        fs::copy(certs.join(format!("server.{kind}")), certs.join(format!("expired.{kind}"))).unwrap();
    }
    house.reload().await;
    let state = house.status();
    assert_eq!((&state["degraded"], &state["certificates"][1]["expired"]), (&json!(false), &json!(false)));
    assert_eq!((metric().await, ends(0)), (ends(1), ends(1)));
    assert_eq!(told().len(), 1, "{:?}", told());
}
