//! Services and clients by Node and Python: the scripts of `tests/real/node-peers` and `tests/real/python-peers`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Identity, Running, Tools};

/// A running service.
pub(crate) struct Service {
    pub(crate) running: Running,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Service {
    /// Starts a script that listens; with TLS where there is an identity.
    pub(crate) fn start(tools: &Tools, script: &str, tls: Option<&Identity>) -> Self {
        let mut command = command(tools, script);
        command.arg("serve");
        if let Some(identity) = tls {
            command.env("TLS_CHAIN", &identity.chain).env("TLS_KEY", &identity.key);
        }
        let (running, line) = Running::start(script, &mut command, "\"listening\":true").unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        Self { running, address: format!("127.0.0.1:{}", told["port"]) }
    }

    /// Waits until it says something that contains `text`.
    pub(crate) fn says(&mut self, text: &str) -> Value {
        serde_json::from_str(&self.running.line_with(text).unwrap()).unwrap()
    }
}

/// A client of this script: what it prints.
pub(crate) fn ask(tools: &Tools, script: &str, arguments: &[&str], authority: &Path, token: Option<&str>) -> Value {
    let mut command = command(tools, script);
    command.args(arguments).env("AUTHORITY", authority).env("NODE_EXTRA_CA_CERTS", authority);
    if let Some(token) = token {
        command.env("TOKEN", token);
    }
    printed(command.stdin(Stdio::null()), "")
}

/// What a script of `python-peers` prints when it is told this.
pub(crate) fn python(tools: &Tools, script: &str, arguments: &[&str], told: &Value) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/python-peers");
    let mut command = Command::new(tools.home("peers").join("bin/python"));
    command.arg("-B").arg(folder.join(script)).args(arguments).stdin(Stdio::piped());
    printed(&mut command, &told.to_string())
}

/// The JSON that a command prints when it reads this.
fn printed(command: &mut Command, input: &str) -> Value {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn command(tools: &Tools, script: &str) -> Command {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/node-peers");
    let mut command = Command::new(tools.command("node"));
    command.arg("--experimental-eventsource").arg(folder.join(script));
    command.env("NODE_NO_WARNINGS", "1").env("PEERS_HOME", tools.home("node-peers")).env_remove("TOKEN");
    command
}
