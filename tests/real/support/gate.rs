//! `portcullis run` as a child process: its configuration in a directory of the test, its log, records and probes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use jiff::Timestamp;
use portcullis::demo::{Certificates, Names};
use serde_json::Value;

use super::{Answer, Curl, Identity, IdentityProvider, Nginx, Running, until};

/// What the configuration says, as TOML; a test replaces what it is about.
pub(crate) struct Plan {
    /// `[issuer.…]` and `[introspection.…]`.
    pub(crate) sources: String,
    /// `[upstream.…]`.
    pub(crate) upstreams: String,
    /// `[audit]`.
    pub(crate) audit: String,
    /// Other tables.
    pub(crate) more: String,
    /// Routes and rules.
    pub(crate) policy: String,
}

/// An open route to the upstream `service`, for tests that are about something else.
pub(crate) const OPEN: &str = r#"
[[route]]
name     = "open"
host     = "localhost"
path     = "/{rest...}"
methods  = ["GET", "POST", "PUT"]
upstream = "service"

[[allow]]
name      = "everybody"
routes    = ["open"]
anonymous = true
"#;

impl Plan {
    /// Everybody may reach this address.
    pub(crate) fn open(upstream: &str) -> Self {
        Self {
            sources: String::new(),
            upstreams: format!("[upstream.service]\nendpoints = [\"http://{upstream}\"]\n"),
            audit: "[audit]\nfile = { path = \"decisions.jsonl\" }\n".into(),
            more: String::new(),
            policy: OPEN.into(),
        }
    }

    /// The identity provider as the issuer `corp` and the introspection `partners`. No upstream.
    pub(crate) fn judged_by(provider: &IdentityProvider, policy: &str) -> Self {
        let sources = format!(
            r#"
[issuer.corp]
url       = "{issuer}"
audiences = ["urn:api:rs256", "urn:api:ps256", "urn:api:es256", "urn:api:eddsa", "urn:api:short"]
ca        = "{authority}"

[introspection.partners]
url       = "{issuer}/token/introspection"
issuer    = "{issuer}"
client    = {{ id = "portcullis", auth = "client_secret_basic", secret = {{ file = "introspection.secret" }} }}
audiences = ["urn:api:opaque"]
cache     = {{ positive = "1s", negative = "1s", max_entries = 1000 }}
ca        = "{authority}"
"#,
            issuer = provider.issuer,
            authority = provider.authority.display(),
        );
        Self { sources, upstreams: String::new(), policy: policy.into(), ..Self::open("") }
    }

    /// The same, with nginx as the upstream `service`.
    pub(crate) fn between(nginx: &Nginx, provider: &IdentityProvider, policy: &str) -> Self {
        let upstreams = format!(
            r#"
[upstream.service]
endpoints = ["http://{}"]
identity  = {{ user = "X-Auth-User", groups = "X-Auth-Groups" }}
"#,
            nginx.address
        );
        Self { upstreams, ..Self::judged_by(provider, policy) }
    }

    /// A token ends when it says so, and not half a minute later.
    pub(crate) fn without_skew(mut self) -> Self {
        self.sources = self.sources.replacen("[issuer.corp]\n", "[issuer.corp]\nclock_skew = \"0s\"\n", 1);
        self
    }
}

/// A configuration directory, and the Portcullis that serves it.
pub(crate) struct Gate {
    directory: PathBuf,
    running: Option<Running>,
    /// `https://localhost:PORT`.
    pub(crate) url: String,
    /// The port of that address.
    pub(crate) port: u16,
    probes: String,
}

impl Gate {
    /// Writes the configuration, and starts nothing.
    pub(crate) fn prepare(folder: &Path, plan: &Plan) -> Self {
        let directory = folder.join("gate");
        fs::create_dir_all(directory.join("policies")).unwrap();
        let certificates = Certificates::make(&Names::default(), Timestamp::now()).unwrap();
        certificates.write(&directory.join("certs"), true).unwrap();
        fs::write(directory.join("introspection.secret"), IdentityProvider::secret("portcullis")).unwrap();
        let gate = Self { directory, running: None, url: String::new(), port: 0, probes: String::new() };
        gate.write(plan);
        gate
    }

    /// Writes the configuration and serves it.
    pub(crate) fn start(folder: &Path, plan: &Plan) -> Self {
        let mut gate = Self::prepare(folder, plan);
        gate.run();
        gate
    }

    /// Writes the configuration; a running Portcullis is told nothing.
    pub(crate) fn write(&self, plan: &Plan) {
        let Plan { sources, upstreams, audit, more, policy } = plan;
        let main = format!(
            r#"
workers = 2

[[listener]]
name    = "edge"
address = "127.0.0.1:0"
tls     = {{ certificates = [{{ chain = "certs/server.pem", key = "certs/server.key" }}] }}
client_certificates = {{ mode = "optional", trust = ["corp"] }}

[trust.corp]
ca = "certs/ca.pem"
spiffe_trust_domain = "demo.portcullis.example"

[log]
format = "json"

[admin]
probes  = "127.0.0.1:0"
control = {{ socket = "control.sock" }}
{sources}
{upstreams}
{audit}
{more}
"#
        );
        fs::write(self.file("portcullis.toml"), main).unwrap();
        fs::write(self.file("policies/routes.toml"), policy).unwrap();
    }

    /// Serves, and waits until the addresses are known.
    pub(crate) fn run(&mut self) {
        self.run_by(self.command());
    }

    /// Serves by a command of the test's own making.
    pub(crate) fn run_by(&mut self, mut command: Command) {
        let (mut running, line) = Running::start("portcullis", &mut command, "\"message\":\"probes\"").unwrap();
        self.probes = address(&line);
        let edge = address(&running.line_with("\"message\":\"listening\"").unwrap());
        self.port = edge.rsplit_once(':').unwrap().1.parse().unwrap();
        self.url = format!("https://localhost:{}", self.port);
        self.running = Some(running);
    }

    /// The command that serves.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(&self.directory).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Serves a configuration that cannot be served: what it says, and its exit code.
    pub(crate) fn fail_to_run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Another command of the program for the same directory, such as `revoke`.
    pub(crate) fn order(&self, command: &str, arguments: &[&str]) -> Output {
        let mut order = Command::new(program());
        order.arg(command).arg("--config").arg(&self.directory).args(arguments).env("NO_COLOR", "1");
        order.stdin(Stdio::null()).output().unwrap()
    }

    /// A file of the directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A client that trusts the development authority.
    pub(crate) fn curl(&self) -> Curl {
        Curl::trusting(&self.file("certs/ca.pem"))
    }

    /// One of the development certificates.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        Identity { chain: self.file(&format!("certs/{name}.pem")), key: self.file(&format!("certs/{name}.key")) }
    }

    /// Asks for a path without any credential.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.curl().get(&format!("{}{path}", self.url)).unwrap()
    }

    /// Asks for a path with a bearer token.
    pub(crate) fn get_with(&self, path: &str, token: &str) -> Answer {
        self.curl().bearer(token).get(&format!("{}{path}", self.url)).unwrap()
    }

    /// Asks a probe.
    pub(crate) fn probe(&self, path: &str) -> Answer {
        self.curl().get(&format!("http://{}{path}", self.probes)).unwrap()
    }

    /// Waits until `/readyz` says yes.
    pub(crate) fn ready(&self) {
        until("ready", || (self.probe("/readyz").status == 200).then_some(()));
    }

    /// The running process.
    pub(crate) fn running(&mut self) -> &mut Running {
        self.running.as_mut().unwrap()
    }

    /// Kills it with no chance to say anything.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.running.take().unwrap().wait()
    }

    /// The records so far; a line that is still being written is left out.
    pub(crate) fn records(&self) -> Vec<Value> {
        records_in(&self.file("decisions.jsonl"))
    }

    /// The record of the request that this answer belongs to.
    pub(crate) fn record_of(&self, answer: &Answer) -> Value {
        let id = answer.header("x-request-id").unwrap().to_owned();
        self.record("of a request", |record| record["id"] == id.as_str())
    }

    /// Waits for a record.
    pub(crate) fn record(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("a record {what}"), || self.records().into_iter().find(&wanted))
    }
}

/// The program under test: cargo's own build, or another that the environment names.
fn program() -> PathBuf {
    std::env::var_os("PORTCULLIS_PROGRAM").map_or_else(
        || env!("CARGO_BIN_EXE_portcullis").into(),
        |name| fs::canonicalize(&name).unwrap_or_else(|error| panic!("{}: {error}", name.display())),
    )
}

/// The whole lines of an audit log.
pub(crate) fn records_in(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn address(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()["address"].as_str().unwrap().to_owned()
}
