//! From an accepted socket to a connection that is known: ClientHello, profile, handshake, the client's certificate.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::event::EventKind;
use super::settings::ClientPolicy;
use super::tls::{ListenerTls, Verdict, Witness, normal_host, witnessed};
use super::trust::Standing;
use crate::identity::{PeerCertificate, PeerIdentity, PeerRefusal};
use crate::request::{HttpVersion, TlsFacts};
use crate::upstream::Socket;

/// A finished handshake.
pub(super) struct Greeted {
    pub(super) stream: TlsStream<Socket<TcpStream>>,
    pub(super) tls: TlsFacts,
    pub(super) peer: PeerCertificate,
    pub(super) http: HttpVersion,
    /// The policy under which it was made.
    pub(super) client: ClientPolicy,
    /// What a verified certificate rests on.
    pub(super) standing: Option<Arc<Standing>>,
}

/// Why there is no connection. `None` for a client that left without a word.
pub(super) type Failed = Option<(EventKind, Option<Box<str>>)>;

/// Finishes the handshake under the profile that the ClientHello asks for.
pub(super) async fn greet(socket: Socket<TcpStream>, tls: &ListenerTls) -> Result<Greeted, Failed> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await.map_err(|error| {
        let silent = error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::ConnectionReset;
        (!silent).then(|| (EventKind::HandshakeFailed, detail(&error)))
    })?;
    let server_name = hello.client_hello().server_name().map(|name| normal_host(name).into_boxed_str());
    let profile = tls.profile(server_name.as_deref()).clone();
    let witness = Rc::new(Witness::default());
    // Already the first step looks for a session, so it must be taken before a witness, too.
    let finished = witnessed(witness.clone(), async { hello.into_stream(profile.config.clone()).await }).await;
    let verified = witness.verified.take();
    let stream = finished.map_err(|error| Some(failure(&error, verified.as_ref())))?;
    let (_, session) = stream.get_ref();
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let verdict = if resumed { witness.resumed.take().and_then(|session| session.standing).map(Ok) } else { verified };
    let (peer, standing) = peer(session, verdict);
    let refused = match (&profile.client, &peer) {
        (ClientPolicy::Required(_), PeerCertificate::Absent) => Some(EventKind::CertificateMissing),
        (ClientPolicy::Required(_), PeerCertificate::Refused(why)) => Some(EventKind::CertificateRefused(*why)),
        _ => None,
    };
    if let Some(kind) = refused {
        return Err(Some((kind, None)));
    }
    let http = if session.alpn_protocol() == Some(b"h2") { HttpVersion::Http2 } else { HttpVersion::Http1 };
    let tls = TlsFacts {
        version: version(session),
        server_name,
        profile: profile.name.clone(),
        hosts: tls.hosts().clone(),
        resumed,
    };
    Ok(Greeted { stream, tls, peer, http, client: profile.client.clone(), standing })
}

/// What the client showed. INVARIANT: a certificate counts as verified only with a verdict about that very leaf.
fn peer(session: &rustls::ServerConnection, verdict: Option<Verdict>) -> (PeerCertificate, Option<Arc<Standing>>) {
    let Some(leaf) = session.peer_certificates().and_then(<[_]>::first) else {
        return (PeerCertificate::Absent, None);
    };
    let standing = match verdict {
        Some(Ok(standing)) if standing.is_of(leaf) => standing,
        Some(Err(refusal)) => return (PeerCertificate::Refused(refusal), None),
        _ => return (PeerCertificate::Refused(PeerRefusal::Malformed), None),
    };
    match PeerIdentity::from_handshake(session, standing.bundle.clone()) {
        Some(identity) => (PeerCertificate::Verified(identity), Some(standing)),
        None => (PeerCertificate::Refused(PeerRefusal::Malformed), None),
    }
}

fn version(session: &rustls::ServerConnection) -> &'static str {
    match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    }
}

fn failure(error: &io::Error, verdict: Option<&Verdict>) -> (EventKind, Option<Box<str>>) {
    if let Some(Err(refusal)) = verdict {
        return (EventKind::CertificateRefused(*refusal), None);
    }
    let source = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    match source {
        Some(rustls::Error::NoCertificatesPresented) => (EventKind::CertificateMissing, None),
        _ => (EventKind::HandshakeFailed, detail(error)),
    }
}

fn detail(error: &io::Error) -> Option<Box<str>> {
    Some(error.to_string().into())
}

/// The address of a client as it is compared: an IPv4-mapped IPv6 address is the IPv4 address that it contains.
pub(super) const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
