//! The verifier of client certificates, and how its verdict reaches the connection it was given for.
//!
//! rustls shares one verifier between all connections of a profile and tells it nothing about them, so the verdict
//! travels in a task-local [`Witness`]: the handshake of a connection is polled inside [`witnessed`], and the verifier
//! runs inside that poll. A verdict counts only for the leaf that it names; without one a certificate is refused.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::known::{Known, Shown};
use super::provider;
use crate::identity::PeerRefusal;
use crate::listener::trust::{Standing, TrustBundle};

/// The longest list of authority names that is sent to every client; with more, clients choose without a hint.
const MOST_HINTS: usize = 32;

/// What was found about a client's certificate.
pub(in crate::listener) type Verdict = Result<Arc<Standing>, PeerRefusal>;

/// Carries what was found out of the handshake of one connection.
#[derive(Default)]
pub(in crate::listener) struct Witness {
    /// By the verifier, in a full handshake.
    pub(in crate::listener) verified: RefCell<Option<Verdict>>,
    /// By the session store: what the last session that it gave out rests on. It counts only when that was resumed.
    pub(in crate::listener) resumed: RefCell<Option<Resumable>>,
}

/// What a session rests on.
#[derive(Clone)]
pub(in crate::listener) struct Resumable {
    /// The client's chain, when one was verified.
    pub(in crate::listener) standing: Option<Arc<Standing>>,
    /// When the full handshake was; seconds since 1970.
    pub(super) begun: i64,
}

impl Witness {
    /// The witness of the handshake that is being polled on this thread.
    pub(super) fn current() -> Option<Rc<Self>> {
        WITNESS.try_with(Rc::clone).ok()
    }
}

tokio::task_local! {
    static WITNESS: Rc<Witness>;
}

/// Runs a handshake so that its verdict is left in `witness`.
pub(in crate::listener) async fn witnessed<F: Future>(witness: Rc<Witness>, handshake: F) -> F::Output {
    WITNESS.scope(witness, handshake).await
}

/// Verifies client certificates against several bundles.
#[derive(Debug)]
pub(in crate::listener) struct ClientVerifier {
    trust: Vec<Arc<TrustBundle>>,
    hints: Vec<DistinguishedName>,
    required: bool,
    known: Known,
}

impl ClientVerifier {
    /// With `required`, no certificate or a wrong one ends the handshake. Without, a wrong one is left to the requests,
    /// and only its owner can show it: the handshake's signature is verified in either case.
    pub(in crate::listener) fn new(trust: Vec<Arc<TrustBundle>>, required: bool) -> Self {
        let mut hints: Vec<_> = trust.iter().flat_map(|bundle| bundle.hints()).collect();
        if hints.len() > MOST_HINTS {
            hints.clear();
        }
        Self { trust, hints, required, known: Known::new() }
    }

    /// What was found about these bytes before, where it still holds; else what is found now.
    fn judge(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: UnixTime) -> Verdict {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let shown = Shown::new(leaf, intermediates);
        let holds = |standing: &Arc<Standing>| {
            let bundle = self.trust.iter().find(|bundle| *bundle.name() == standing.bundle);
            bundle.is_some_and(|bundle| bundle.holds(standing, now).is_ok())
        };
        if let Some(standing) = self.known.recall(&shown, now).filter(holds) {
            return Ok(standing);
        }
        let standing = self.verify(leaf, intermediates, now)?;
        self.known.keep(shown, standing.clone(), now);
        Ok(standing)
    }

    /// The first bundle that verifies it; else the refusal that says most.
    fn verify(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: i64) -> Verdict {
        let mut refusal = PeerRefusal::UnknownIssuer;
        for bundle in &self.trust {
            match bundle.verify(leaf, intermediates, now) {
                Ok(standing) => return Ok(Arc::new(standing)),
                Err(PeerRefusal::UnknownIssuer) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.judge(leaf, intermediates, now);
        let alert = verdict.as_ref().err().filter(|_| self.required).map(|refusal| alert(*refusal));
        let witness = Witness::current().ok_or_else(|| Error::General("no witness".into()))?;
        witness.verified.replace(Some(verdict));
        alert.map_or_else(|| Ok(ClientCertVerified::assertion()), |error| Err(error.into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS alert for a refusal (RFC 8446 section 6.2).
fn alert(refusal: PeerRefusal) -> CertificateError {
    match refusal {
        PeerRefusal::UnknownIssuer => CertificateError::UnknownIssuer,
        PeerRefusal::Expired => CertificateError::Expired,
        PeerRefusal::NotYetValid => CertificateError::NotValidYet,
        PeerRefusal::Revoked => CertificateError::Revoked,
        PeerRefusal::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        PeerRefusal::Purpose => CertificateError::InvalidPurpose,
        PeerRefusal::SpiffeId | PeerRefusal::Malformed => {
            CertificateError::Other(OtherError(Arc::new(Refused(refusal))))
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the client certificate is refused: {}", .0.as_str())]
struct Refused(PeerRefusal);
