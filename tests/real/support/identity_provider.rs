//! The npm package `oidc-provider` on loopback, with TLS: see `tests/real/oidc-provider/server.mjs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Answer, Authority, Curl, Identity, Running, Tools};

/// A running identity provider.
pub(crate) struct IdentityProvider {
    running: Option<Running>,
    command: PathBuf,
    home: PathBuf,
    /// Who signed its certificate, PEM.
    pub(crate) authority: PathBuf,
    tls: Identity,
    keys: PathBuf,
    port: u16,
    /// `https://127.0.0.1:PORT`.
    pub(crate) issuer: String,
}

impl IdentityProvider {
    /// Starts it on a free port. Its signing keys outlive a restart.
    pub(crate) fn start(tools: &Tools, folder: &Path, authority: &Authority) -> Self {
        let mut provider = Self {
            running: None,
            command: tools.command("node"),
            home: tools.home("oidc-provider"),
            authority: authority.file.clone(),
            tls: authority.server("identity-provider", &["localhost"]),
            keys: folder.join("identity-provider-keys.json"),
            port: 0,
            issuer: String::new(),
        };
        provider.start_again();
        provider
    }

    /// Ends it; its port stays closed.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Starts it on the port that it had.
    pub(crate) fn start_again(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/oidc-provider/server.mjs");
        let mut command = Command::new(&self.command);
        command.arg(script).env("NODE_NO_WARNINGS", "1").env("OIDC_HOME", &self.home);
        command.env("OIDC_TLS_CHAIN", &self.tls.chain).env("OIDC_TLS_KEY", &self.tls.key);
        command.env("OIDC_KEYS", &self.keys).env("OIDC_PORT", self.port.to_string());
        let (running, line) = Running::start("oidc-provider", &mut command, "\"listening\":true").unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        self.port = told["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap();
        told["issuer"].as_str().unwrap().clone_into(&mut self.issuer);
        self.running = Some(running);
    }

    /// Throws the signing keys away: the next start makes new ones.
    pub(crate) fn forget_keys(&self) {
        std::fs::remove_file(&self.keys).unwrap();
    }

    /// The secret of one of the clients in `server.mjs`.
    pub(crate) fn secret(client: &str) -> String {
        format!("{client}-secret-0123456789abcdef")
    }

    /// An access token for a client and a resource (`rs256`, `es256`, `opaque`, …), with scope `api:read`.
    pub(crate) fn token(&self, client: &str, resource: &str) -> String {
        let answer = self.ask(Curl::trusting(&self.authority), client, resource);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A token that is bound to a client certificate.
    pub(crate) fn bound_token(&self, client: &str, resource: &str, certificate: &Identity) -> String {
        let answer = self.ask(Curl::trusting(&self.authority).identity(certificate), client, resource);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Revokes a token.
    pub(crate) fn revoke(&self, client: &str, token: &str) {
        let user = format!("{client}:{}", Self::secret(client));
        let form = format!("token={token}");
        let curl = Curl::trusting(&self.authority).with(&["--user", &user, "--data", &form]);
        assert_eq!(curl.get(&format!("{}/token/revocation", self.issuer)).unwrap().status, 200);
    }

    fn ask(&self, curl: Curl, client: &str, resource: &str) -> Answer {
        let user = format!("{client}:{}", Self::secret(client));
        let form = format!("grant_type=client_credentials&scope=api:read&resource=urn:api:{resource}");
        curl.with(&["--user", &user, "--data", &form]).get(&format!("{}/token", self.issuer)).unwrap()
    }
}
