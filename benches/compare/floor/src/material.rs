//! Certificates (P-256), one RS256 issuer, and tokens: what all proxies of the comparison are configured with.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use crate::Fault;

const ISSUER: &str = "https://issuer.bench.local";
const AUDIENCE: &str = "bench-api";

pub fn write(folder: &Path) -> Result<(), Fault> {
    fs::create_dir_all(folder)?;
    certificates(folder)?;
    tokens(folder)
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

fn tokens(folder: &Path) -> Result<(), Fault> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let public = key.public_key();
    let jwk = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench",
        "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
        "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
    });
    fs::write(folder.join("jwks.json"), json!({ "keys": [jwk] }).to_string())?;
    let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> = public.as_der()?;
    fs::write(folder.join("rsa.pub"), pem("PUBLIC KEY", spki.as_ref()))?;

    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der()?;
    let signer = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = |groups: &[&str], scope: &str, audience: &str| {
        let claims: Value = json!({
            "iss": ISSUER, "aud": audience, "sub": "u-17", "client_id": "bench", "jti": "bench-1", "iat": now,
            "exp": now + 6 * 3600, "groups": groups, "scope": scope, "name": "A Person", "email": "person@bench.local",
        });
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some("at+jwt".into());
        header.kid = Some("bench".into());
        jsonwebtoken::encode(&header, &claims, &signer)
    };
    fs::write(folder.join("token"), token(&["staff", "sre"], "read write", AUDIENCE)?)?;
    fs::write(folder.join("token.other-group"), token(&["contractors"], "write", AUDIENCE)?)?;
    fs::write(folder.join("token.other-audience"), token(&["sre"], "read", "elsewhere")?)?;
    Ok(())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
