//! The checked settings of the listeners. `config` builds them; here nothing is read or parsed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::tls::ServerCertificate;
use super::trust::TrustBundle;
use crate::identity::Name;

/// One `[[listener]]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, in every record of its connections.
    pub name: Name,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub door: Door,
    /// Who sends a PROXY header, and must: nobody by default.
    pub proxy_protocol: Vec<IpNet>,
    /// Whose `X-Forwarded-For` counts: nobody's by default. For the intake's settings; the listener does not use it.
    pub trusted_proxies: Vec<IpNet>,
}

impl Settings {
    /// The server certificates that it shows: none without TLS.
    pub fn certificates(&self) -> &[ServerCertificate] {
        match &self.door {
            Door::Tls(tls) => &tls.certificates,
            Door::Plain | Door::Redirect { .. } => &[],
        }
    }

    /// The same listener with another bundle in place of the one of that name.
    #[must_use]
    pub fn trusting(&self, bundle: &Arc<TrustBundle>) -> Self {
        let mut settings = self.clone();
        if let Door::Tls(tls) = &mut settings.door {
            let policies = tls.hosts.iter_mut().map(|host| &mut host.client);
            for policy in policies.chain([&mut tls.client]) {
                if let ClientPolicy::Optional(trust) | ClientPolicy::Required(trust) = policy {
                    let same = trust.iter_mut().filter(|known| known.name() == bundle.name());
                    same.for_each(|known| *known = bundle.clone());
                }
            }
        }
        settings
    }
}

/// What a listener speaks.
#[derive(Clone, Debug)]
pub enum Door {
    /// HTTP over TLS, the version as ALPN says.
    Tls(TlsSettings),
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 in the clear, which answers every request with the same address under `https`.
    Redirect {
        /// The port to redirect to.
        port: u16,
    },
}

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The server certificates, chosen by name; the first also answers clients that name none of them. Never empty.
    pub certificates: Vec<ServerCertificate>,
    /// The oldest version that is spoken.
    pub least: TlsVersion,
    /// The client-certificate policy of the listener, and of clients that name no host.
    pub client: ClientPolicy,
    /// Hosts with a policy of their own.
    pub hosts: Vec<HostSettings>,
    /// What clients are told of asking these hosts over TLS alone; nothing when absent.
    pub hsts: Option<Hsts>,
    /// Whether a client that comes back may resume its session, or proves its key at every connection.
    pub resumption: bool,
}

/// HTTP strict transport security (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For how long.
    pub max_age: Duration,
    /// It holds for every host below as well, whoever serves it.
    pub subdomains: bool,
    /// Browsers may be built with it.
    pub preload: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246, with extended master secret and ECDHE with AEAD only.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// One `[[listener.host]]`.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Host names, never none: `a.example`, or `*.example`, or `**.example`; lower case.
    pub names: Vec<Box<str>>,
    /// Their client-certificate policy.
    pub client: ClientPolicy,
}

/// Whether clients are asked for a certificate, and who may have signed it.
#[derive(Clone, Debug)]
pub enum ClientPolicy {
    /// Not asked.
    Off,
    /// Asked; one that is wrong is refused request by request, with a reason. Never without a bundle.
    Optional(Vec<Arc<TrustBundle>>),
    /// Without a verified certificate there is no connection. Never without a bundle.
    Required(Vec<Arc<TrustBundle>>),
}

impl ClientPolicy {
    /// The bundles that count.
    pub fn trust(&self) -> &[Arc<TrustBundle>] {
        match self {
            Self::Off => &[],
            Self::Optional(trust) | Self::Required(trust) => trust,
        }
    }
}
