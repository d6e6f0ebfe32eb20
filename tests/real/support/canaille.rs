//! The Python package `canaille` on loopback, a provider of other makers: see `tests/real/canaille/server.py`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Answer, Curl, Running, Tools};

/// A running Canaille.
pub(crate) struct Canaille {
    _running: Running,
    /// `http://127.0.0.1:PORT`.
    pub(crate) issuer: String,
}

impl Canaille {
    /// The secret of its client, `machine`.
    pub(crate) const SECRET: &'static str = "machine-secret-0123456789abcdef";

    /// Starts it on a free port.
    pub(crate) fn start(tools: &Tools) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/canaille/server.py");
        let mut command = Command::new(tools.home("canaille").join("bin/python"));
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        let (running, line) = Running::start("canaille", &mut command, "\"listening\": true").unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        Self { _running: running, issuer: told["issuer"].as_str().unwrap().to_owned() }
    }

    /// An access token by a form of the token endpoint.
    pub(crate) fn token(&self, form: &str) -> String {
        self.ask("token", form).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Revokes a token.
    pub(crate) fn revoke(&self, token: &str) {
        self.ask("revoke", &format!("token={token}"));
    }

    fn ask(&self, endpoint: &str, form: &str) -> Answer {
        let user = format!("machine:{}", Self::SECRET);
        // It speaks plain HTTP: there is nobody to trust.
        let curl = Curl::trusting(Path::new("/dev/null")).with(&["--user", &user, "--data", form]);
        let answer = curl.get(&format!("{}/oauth/{endpoint}", self.issuer)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}
