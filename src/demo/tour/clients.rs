//! The tour's HTTPS clients: one for each client certificate, and one without.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::demo::caller::Caller;
use crate::demo::certificates::Certificates;
use crate::demo::stage::Stage;

/// A client for each certificate.
pub(super) struct Clients {
    bare: Caller,
    showing: HashMap<&'static str, Caller>,
}

impl Clients {
    /// Reads the certificates of the stage. The error says what is wrong with which.
    pub(super) fn new(stage: &Stage) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(stage.certificate("ca.pem")).map_err(|error| error.to_string())?;
        roots.add(ca).map_err(|error| error.to_string())?;
        let bare = Caller::secure(stage.edge(), Arc::new(config(roots.clone(), None)?));
        let showing = Certificates::PAIRS.into_iter().map(|stem| {
            let chain = CertificateDer::from_pem_file(stage.certificate(&format!("{stem}.pem")));
            let key = PrivateKeyDer::from_pem_file(stage.certificate(&format!("{stem}.key")));
            let pair = chain.and_then(|chain| Ok((chain, key?))).map_err(|error| format!("{stem}: {error}"))?;
            Ok((stem, Caller::secure(stage.edge(), Arc::new(config(roots.clone(), Some(pair))?))))
        });
        Ok(Self { showing: showing.collect::<Result<_, String>>()?, bare })
    }

    /// The client that shows this certificate.
    pub(super) fn caller(&self, certificate: Option<&str>) -> &Caller {
        certificate.and_then(|stem| self.showing.get(stem)).unwrap_or(&self.bare)
    }
}

type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn config(roots: RootCertStore, shown: Option<Pair>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match shown {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(vec![chain], key).map_err(|error| error.to_string()),
    }
}
