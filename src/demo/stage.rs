//! Sets the stage: a private directory with certificates and configuration, the provider, the service behind, and the
//! gateway itself, started as `portcullis run` starts it.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::authority::AuthorityError;
use super::certificates::{Certificates, Names, WriteError, write_file};
use super::echo::Echo;
use super::identity_provider::{Endpoint, IdentityProvider, PEOPLE_CLIENT, PERSON_GRANT};
use crate::server::{self, Server, StartError};
use crate::telemetry::Clock;

/// `config/demo/`, as it stands in the repository.
const CONFIGURATION: &str = include_str!("../../config/demo/portcullis.toml");
const POLICY: &str = include_str!("../../config/demo/policies/demo.toml");

/// The addresses that `config/demo/portcullis.toml` states, and that are overlaid with free ones.
const EDGE: &str = "127.0.0.1:8443";
const PROVIDER: &str = "127.0.0.1:9001";
const SERVICE: &str = "127.0.0.1:9002";
const PROBES: &str = "127.0.0.1:9090";

/// Everything that the demo runs. When it is dropped, nothing of it is left on the disk.
pub struct Stage {
    server: Server,
    edge: SocketAddr,
    probes: SocketAddr,
    provider: IdentityProvider,
    service: Echo,
    // The last field: dropped when nobody writes into it any more.
    directory: TempDir,
}

/// The demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something could not be bound, made or written.
    #[error("cannot set up {what}")]
    System {
        /// What it was for.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The certificates could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The certificates could not be written.
    #[error(transparent)]
    Certificates(#[from] WriteError),
    /// The gateway does not start.
    #[error("the gateway does not start")]
    Gateway(#[from] StartError),
}

impl Stage {
    /// Starts everything on the current runtime. `listen` is where the gateway listens; port 0 is a free one.
    ///
    /// # Errors
    /// [`StageError`]; nothing runs and nothing is left then.
    pub async fn set(listen: SocketAddr) -> Result<Self, StageError> {
        let system = |what| move |source| StageError::System { what, source };
        let provider = IdentityProvider::start_at(0, Clock::system()).await.map_err(system("the identity provider"))?;
        let service = Echo::start().await.map_err(system("the service behind"))?;
        let probes = free_address().map_err(system("the probes"))?;
        let directory = private_directory().map_err(system("a private directory"))?;
        let certificates = Certificates::make(&Names::default(), Timestamp::now())?;
        certificates.write(&directory.path().join("certs"), false)?;
        let overlay = [(EDGE, listen), (PROVIDER, provider.address()), (SERVICE, service.address()), (PROBES, probes)];
        let secret = provider.client_secret("portcullis").unwrap_or_default();
        write_configuration(directory.path(), &overlaid(&overlay), secret).map_err(system("the configuration"))?;
        let server = server::start(directory.path()).await?;
        ready(&server).await;
        let edge = server.address("edge").unwrap_or(listen);
        Ok(Self { server, edge, probes, provider, service, directory })
    }

    /// Stops everything and removes the directory.
    ///
    /// # Errors
    /// When the directory cannot be removed.
    pub async fn strike(self) -> io::Result<()> {
        self.server.shutdown().await;
        self.directory.close()
    }

    /// Where this machine reaches the gateway.
    pub const fn edge(&self) -> SocketAddr {
        let port = self.edge.port();
        match self.edge {
            SocketAddr::V4(address) if address.ip().is_unspecified() => {
                SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
            }
            SocketAddr::V6(address) if address.ip().is_unspecified() => {
                SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), port)
            }
            address => address,
        }
    }

    /// The address of `path` on one of the demo's hosts, `status` or `payments`.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}.demo.localhost:{}{path}", self.edge.port())
    }

    /// The private directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file of a certificate: `file("device.key")`.
    pub fn certificate(&self, file: &str) -> PathBuf {
        self.directory.path().join("certs").join(file)
    }

    /// The audit log.
    pub fn audit(&self) -> PathBuf {
        self.directory.path().join("decisions.jsonl")
    }

    /// The control socket.
    pub fn control(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    /// Where the probes are.
    pub const fn probes(&self) -> SocketAddr {
        self.probes
    }

    /// The identity provider.
    pub const fn provider(&self) -> &IdentityProvider {
        &self.provider
    }

    /// The service behind.
    pub const fn service(&self) -> &Echo {
        &self.service
    }

    /// Everything that a script needs: addresses, files, clients with their secrets.
    pub fn describe(&self) -> Value {
        let pair = |stem: &&str| {
            let files = [self.certificate(&format!("{stem}.pem")), self.certificate(&format!("{stem}.key"))];
            let [certificate, key] = files;
            ((*stem).to_owned(), json!({ "certificate": certificate, "key": key }))
        };
        let secret = |client: &str| (client.to_owned(), json!(self.provider.client_secret(client)));
        let clients = ["settlement", "acme", "portcullis", "operator"];
        json!({
            "address": self.edge(),
            "urls": { "status": self.url("status", ""), "payments": self.url("payments", "") },
            "ca": self.certificate("ca.pem"),
            "certificates": Certificates::PAIRS.iter().map(pair).collect::<Map<_, _>>(),
            "identity_provider": {
                "issuer": self.provider.issuer(),
                "token_endpoint": self.provider.url(Endpoint::Token),
                "introspection_endpoint": self.provider.url(Endpoint::Introspection),
                "revocation_endpoint": self.provider.url(Endpoint::Revocation),
                "clients": clients.into_iter().map(secret).collect::<Map<_, _>>(),
                "person_grant": { "client_id": PEOPLE_CLIENT, "grant_type": PERSON_GRANT },
            },
            "service": format!("http://{}", self.service.address()),
            "configuration": self.directory(),
            "audit": self.audit(),
            "probes": format!("http://{}", self.probes),
            "control": self.control(),
        })
    }
}

/// Only this user may look inside; the name cannot be guessed.
fn private_directory() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("portcullis-demo-").permissions(Permissions::from_mode(0o700)).tempdir()
}

/// The probes' address must stand in the configuration before they are bound, so a free one is looked up first.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The demo's configuration with other addresses.
fn overlaid(addresses: &[(&str, SocketAddr)]) -> String {
    addresses.iter().fold(CONFIGURATION.to_owned(), |text, (stated, real)| text.replace(stated, &real.to_string()))
}

fn write_configuration(directory: &Path, configuration: &str, secret: &str) -> io::Result<()> {
    fs::create_dir(directory.join("policies"))?;
    fs::create_dir(directory.join("secrets"))?;
    write_file(&directory.join("portcullis.toml"), configuration.as_bytes(), 0o600, false)?;
    write_file(&directory.join("policies/demo.toml"), POLICY.as_bytes(), 0o600, false)?;
    write_file(&directory.join("secrets/introspection"), secret.as_bytes(), 0o600, false)
}

/// Waits for the first keys, so that the tour shows what is decided and not that the gateway has just begun. What is not
/// ready in time, the tour shows.
async fn ready(server: &Server) {
    for _ in 0..500 {
        if server.overview().not_ready().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{CONFIGURATION, EDGE, PROBES, PROVIDER, SERVICE, overlaid};

    #[test]
    fn every_address_is_overlaid_and_nothing_else() {
        let others = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"];
        let pairs: Vec<_> =
            [EDGE, PROVIDER, SERVICE, PROBES].into_iter().zip(others.map(|other| other.parse().unwrap())).collect();
        let text = overlaid(&pairs);
        for (stated, other) in pairs {
            assert!(CONFIGURATION.contains(stated) && !text.contains(stated), "{stated}");
            assert!(text.contains(&format!("\"{other}\"")) || text.contains(&format!("://{other}")), "{other}");
        }
        assert_eq!(text.lines().count(), CONFIGURATION.lines().count());
        let differ = text.lines().zip(CONFIGURATION.lines()).filter(|(left, right)| left != right).count();
        assert_eq!(differ, 5, "the provider's address stands twice");
    }
}
