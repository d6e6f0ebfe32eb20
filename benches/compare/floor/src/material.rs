//! Certificates (P-256) and an issuer's keys: what all proxies of the comparison are configured with.

use std::fs;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::json;

use crate::{Fault, tokens};

pub fn write(folder: &Path) -> Result<(), Fault> {
    fs::create_dir_all(folder)?;
    certificates(folder)?;
    signing_keys(folder)?;
    fs::write(folder.join("introspection.secret"), "only for the comparison, on loopback")?;
    tokens::write(folder)
}

fn certificates(folder: &Path) -> Result<(), Fault> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "bench authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);

    let server = vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress([127, 0, 0, 1].into())];
    sign(folder, "server", server, ExtendedKeyUsagePurpose::ServerAuth, &issuer)?;
    let client = vec![SanType::URI("spiffe://bench.local/client".try_into()?)];
    sign(folder, "client", client, ExtendedKeyUsagePurpose::ClientAuth, &issuer)
}

fn sign(
    folder: &Path,
    name: &str,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(), Fault> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = names;
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let (certificate, key_text) = (params.signed_by(&key, issuer)?.pem(), key.serialize_pem());
    fs::write(folder.join(format!("{name}.pem")), &certificate)?;
    fs::write(folder.join(format!("{name}.key")), &key_text)?;
    // HAProxy reads both from one file.
    fs::write(folder.join(format!("{name}.both.pem")), format!("{certificate}{key_text}"))?;
    Ok(())
}

/// The signing keys: private as PKCS #8, public as SPKI, both PEM, and public in one key set.
fn signing_keys(folder: &Path) -> Result<(), Fault> {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let spki: PublicKeyX509Der<'_> = rsa.public_key().as_der()?;
    fs::write(folder.join("rsa.pub"), pem("PUBLIC KEY", spki.as_ref()))?;
    let pkcs8: Pkcs8V1Der<'_> = rsa.as_der()?;
    fs::write(folder.join("rsa.key"), pem("PRIVATE KEY", pkcs8.as_ref()))?;

    let ec = KeyPair::generate()?;
    fs::write(folder.join("ec.pub"), ec.public_key_pem())?;
    fs::write(folder.join("ec.key"), ec.serialize_pem())?;

    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = rsa.public_key();
    // An uncompressed point: a byte 4 and two numbers of 32 bytes.
    let (x, y) = ec.public_key_raw()[1..].split_at(32);
    let keys = json!({ "keys": [
        { "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "RS256",
          "n": number(public.modulus().big_endian_without_leading_zero()),
          "e": number(public.exponent().big_endian_without_leading_zero()) },
        { "kty": "EC", "use": "sig", "alg": "ES256", "kid": "ES256", "crv": "P-256", "x": number(x), "y": number(y) },
    ] });
    Ok(fs::write(folder.join("jwks.json"), keys.to_string())?)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
