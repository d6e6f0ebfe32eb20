//! Reads `tls`: who may have signed the service's certificate, and what we show.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::super::reader::{Table, Value};
use super::Spoken;
use crate::upstream::{Tls, TlsError, TlsParts};

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn read(table: &Table<'_>, base: &Path, encrypted: bool, protocol: Spoken) -> Option<Tls> {
    let Some(value) = table.get("tls") else {
        return if encrypted {
            build(table, system_authorities(table)?, None, None, protocol)
        } else {
            Some(Tls::none())
        };
    };
    let tls = value.table(String::from("`tls`"))?;
    if !encrypted {
        value.fault("`tls` is set, but no endpoint is https", String::from("write the endpoints as \"https://...\""));
    }
    let authorities = match tls.get("ca") {
        Some(ca) => authorities(&ca, base),
        None => system_authorities(table),
    };
    // A part that was asked for and cannot be had is a fault, never a part that is left out.
    let name = tls.get("server_name").map_or(Some(None), |value| server_name(&value).map(Some));
    let client = tls.get("client_certificate").map_or(Some(None), |value| client(&value, base).map(Some));
    build(table, authorities?, name?, client?, protocol)
}

fn build(
    table: &Table<'_>,
    authorities: Vec<CertificateDer<'static>>,
    server_name: Option<ServerName<'static>>,
    client: Option<Chain>,
    protocol: Spoken,
) -> Option<Tls> {
    let built = Tls::new(TlsParts { authorities, server_name, client, protocol: protocol.into() });
    let fault = |error: TlsError| {
        let at = table.get("tls").map_or_else(|| table.at(), |value| value.at());
        table.faults().error(&at, error.to_string(), None);
    };
    built.map_err(fault).ok()
}

fn authorities(value: &Value<'_>, base: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let path = value.path(base)?;
    let found = certificates(value, &path)?;
    for (index, der) in found.iter().enumerate() {
        let why = match X509Certificate::from_der(der) {
            Err(_) => "is not readable",
            Ok((_, certificate)) if !certificate.is_ca() => "is no authority: it may not sign certificates",
            Ok((_, certificate))
                if certificate.validity().not_after.timestamp() <= jiff::Timestamp::now().as_second() =>
            {
                "has expired"
            }
            Ok(_) => continue,
        };
        value.fault(format!("certificate {} of `{}` {why}", index + 1, path.display()), None);
        return None;
    }
    Some(found)
}

fn certificates(value: &Value<'_>, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let text = read_file(value, path)?;
    match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Some(found),
        _ => {
            value.fault(
                format!("`{}` holds no certificate", path.display()),
                String::from("a certificate file is PEM text with \"-----BEGIN CERTIFICATE-----\""),
            );
            None
        }
    }
}

fn client(value: &Value<'_>, base: &Path) -> Option<Chain> {
    let table = value.table(String::from("`client_certificate`"))?;
    let chain = table.require("chain").and_then(|value| {
        let path = value.path(base)?;
        certificates(&value, &path)
    });
    let key = table.require("key").and_then(|value| {
        let path = value.path(base)?;
        let text = zeroize::Zeroizing::new(read_file(&value, &path)?);
        let key = PrivateKeyDer::from_pem_slice(&text).ok();
        if key.is_none() {
            value.fault(format!("`{}` holds no private key", path.display()), None);
        }
        key
    });
    Some((chain?, key?))
}

fn read_file(value: &Value<'_>, path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).map_err(|error| value.faults().unreadable(Some(&value.at()), path, &error)).ok()
}

fn server_name(value: &Value<'_>) -> Option<ServerName<'static>> {
    let text = value.string()?;
    let name = ServerName::try_from(text.clone()).ok();
    if name.is_none() {
        value.fault(format!("`{text}` is no server name"), None);
    }
    name
}

fn system_authorities(table: &Table<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        table.faults().error(
            &table.at(),
            "the system has no certificate authorities to verify the endpoints with",
            String::from("name one: tls = { ca = \"certs/upstream-ca.pem\" }"),
        );
        return None;
    }
    Some(found)
}
