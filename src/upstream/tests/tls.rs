//! TLS to services: proved, or not spoken to.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use super::harness::{Gate, Who, settings};
use crate::upstream::settings::{Protocol, Settings};
use crate::upstream::tls::{Tls, TlsParts};

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

type Leaf = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().clone();
    Authority { issuer: Issuer::new(params, key), der }
}

impl Authority {
    fn leaf(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (vec![der], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }
}

pub(super) fn trusting(authority: &Authority, client: Option<Leaf>) -> Tls {
    Tls::new(TlsParts {
        authorities: vec![authority.der.clone()],
        server_name: Some(ServerName::try_from("service.example").unwrap()),
        client,
        protocol: Protocol::Http1,
    })
    .unwrap()
}

/// Answers one request per connection with "ok"; asks for a client certificate of `clients` when there is one.
async fn service(authority: &Authority, name: &str, clients: Option<&Authority>) -> SocketAddr {
    let (chain, key) = authority.leaf(name, ExtendedKeyUsagePurpose::ServerAuth);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(clients.der.clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            spawn_local(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            });
        }
    });
    address
}

fn encrypted(address: SocketAddr, tls: Tls) -> Settings {
    let mut settings = settings(address);
    settings.endpoints[0].encrypted = true;
    settings.endpoints[0].url = format!("https://{address}").into();
    settings.tls = tls;
    settings
}

#[tokio::test(flavor = "local")]
async fn a_service_that_proves_its_name_is_spoken_to() {
    let authority = authority();
    let address = service(&authority, "service.example", None).await;
    let gate = Gate::open(vec![encrypted(address, trusting(&authority, None))], Who::default()).await;
    assert!(gate.get("").await.ends_with("ok"));
}

/// CVE-2025-66491: verification is on, and there is no way to turn it off.
#[tokio::test(flavor = "local")]
async fn a_service_with_another_name_or_of_another_authority_is_not_spoken_to() {
    let (ours, theirs) = (authority(), authority());
    for (signer, name) in [(&ours, "other.example"), (&theirs, "service.example")] {
        let address = service(signer, name, None).await;
        let mut gate = Gate::open(vec![encrypted(address, trusting(&ours, None))], Who::default()).await;
        gate.get("").await;
        let refusal = gate.refusal().await;
        assert!(refusal.starts_with("Tls"), "{refusal}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_service_that_asks_for_our_certificate_gets_it() {
    let authority = authority();
    let client = authority.leaf("gateway.example", ExtendedKeyUsagePurpose::ClientAuth);
    let address = service(&authority, "service.example", Some(&authority)).await;
    let gate = Gate::open(vec![encrypted(address, trusting(&authority, Some(client)))], Who::default()).await;
    assert!(gate.get("").await.ends_with("ok"));
    let mut gate = Gate::open(vec![encrypted(address, trusting(&authority, None))], Who::default()).await;
    gate.get("").await;
    gate.refusal().await;
}

#[test]
fn without_an_authority_there_are_no_settings() {
    let parts = TlsParts { authorities: Vec::new(), server_name: None, client: None, protocol: Protocol::Http1 };
    assert!(Tls::new(parts).is_err());
}
