//! TLS as one listener speaks it: a profile for each client-certificate policy, chosen from the ClientHello.
//!
//! Profiles never share sessions: a session made where no certificate is asked would resume where one is required
//! (rustls enforces nothing there). Clients that name no host get the listener's own profile.

mod certificate;
mod known;
mod sessions;
mod validity;
mod verifier;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ServerConfig};
use rustls_pki_types::UnixTime;

use super::settings::{ClientPolicy, TlsSettings, TlsVersion};
use crate::identity::Name;
use crate::request::HostProfiles;
use crate::telemetry::Clock;
use certificate::Chooser;
pub use certificate::{CertificateError, ServerCertificate};
use sessions::Sessions;
pub use validity::{Untimely, Validity};
use verifier::ClientVerifier;
pub(super) use verifier::{Verdict, Witness, witnessed};

/// The one provider of cryptography, never the process default that another crate could set. AES-128 comes first: its
/// key schedule rests on SHA-256, for which processors have instructions, and every handshake derives a dozen keys.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite.suite()));
    Arc::new(provider)
});

const fn is_aes_128(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// The profiles of one listener, built off to the side and swapped as a whole.
#[derive(Debug)]
pub(super) struct ListenerTls {
    hosts: Arc<HostProfiles>,
    profiles: HashMap<Name, Arc<Profile>>,
    default: Arc<Profile>,
}

/// One client-certificate policy with the sessions that were made under it.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: Name,
    pub(super) client: ClientPolicy,
    pub(super) config: Arc<ServerConfig>,
}

impl ListenerTls {
    /// Builds every profile. The listener's own bears the listener's name, a host's also its first host name.
    pub(super) fn build(listener: &Name, settings: &TlsSettings, clock: &Clock) -> Result<Self, rustls::Error> {
        let chooser = Arc::new(Chooser::new(&settings.certificates));
        let build = |name: &Name, client: &ClientPolicy| -> Result<Arc<Profile>, rustls::Error> {
            let config = configure(settings, client, chooser.clone(), clock)?;
            Ok(Arc::new(Profile { name: name.clone(), client: client.clone(), config: Arc::new(config) }))
        };
        let default = build(listener, &settings.client)?;
        let mut profiles = HashMap::from([(listener.clone(), default.clone())]);
        let mut patterns = Vec::new();
        for host in &settings.hosts {
            let Some(first) = host.names.first() else { continue };
            let name = Name::new(format!("{listener}/{first}"));
            patterns.extend(host.names.iter().map(|pattern| (&**pattern, name.clone())));
            profiles.insert(name.clone(), build(&name, &host.client)?);
        }
        Ok(Self { hosts: Arc::new(HostProfiles::new(listener.clone(), patterns)), profiles, default })
    }

    /// The profile for the name that a client asks for; `None` asks for none.
    pub(super) fn profile(&self, server_name: Option<&str>) -> &Arc<Profile> {
        let named = server_name.and_then(|name| self.profiles.get(self.hosts.profile_of(name)));
        named.unwrap_or(&self.default)
    }

    pub(super) const fn hosts(&self) -> &Arc<HostProfiles> {
        &self.hosts
    }
}

/// A host name as it is compared: lower case, without a trailing dot.
pub(super) fn normal_host(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn configure(
    settings: &TlsSettings,
    client: &ClientPolicy,
    chooser: Arc<Chooser>,
    clock: &Clock,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[_] = match settings.least {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let time = Arc::new(ClockTime(clock.clone()));
    let builder = ServerConfig::builder_with_details(provider(), time).with_protocol_versions(versions)?;
    let builder = match client {
        ClientPolicy::Off => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        ClientPolicy::Optional(trust) => {
            builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(trust.clone(), false)))
        }
        ClientPolicy::Required(trust) => {
            builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(trust.clone(), true)))
        }
    };
    let mut config = builder.with_cert_resolver(chooser);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ignore_client_order = true;
    config.send_tls13_tickets = usize::from(settings.resumption);
    // INVARIANT: no early data. It can be replayed and would precede everything that is decided per request.
    config.max_early_data_size = 0;
    config.session_storage = if settings.resumption {
        Arc::new(Sessions::new(client.trust().to_vec(), clock.clone()))
    } else {
        Arc::new(NoServerSessionStorage {})
    };
    Ok(config)
}

#[derive(Debug)]
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}
