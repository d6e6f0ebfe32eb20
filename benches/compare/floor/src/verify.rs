//! The bare verification of a signature, without which no token is accepted for the first time.

use std::path::Path;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::Fault;

const ROUNDS: usize = 15;
const EACH: u32 = 400;

/// Prints microseconds for each algorithm: the median of some rounds.
pub fn measure(folder: &Path) -> Result<(), Fault> {
    let rsa = once(folder, "rsa.pub", "token", &RSA_PKCS1_2048_8192_SHA256)?;
    let ec = once(folder, "ec.pub", "token.es256", &ECDSA_P256_SHA256_FIXED)?;
    println!("{}", json!({ "RS256": rsa, "ES256": ec }));
    Ok(())
}

fn once(folder: &Path, key: &str, token: &str, algorithm: &'static dyn VerificationAlgorithm) -> Result<f64, Fault> {
    let spki = SubjectPublicKeyInfoDer::from_pem_file(folder.join(key))?;
    let key = ParsedPublicKey::new(algorithm, &*spki)?;
    let token = std::fs::read_to_string(folder.join(token))?;
    let (message, signature) = token.rsplit_once('.').ok_or("not a token")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let since = processor_time()?;
        for _ in 0..EACH {
            key.verify_sig(message.as_bytes(), &signature)?;
        }
        rounds.push((processor_time()? - since) / f64::from(EACH));
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}

/// Microseconds that this thread has run: on a busy machine the clock says more.
fn processor_time() -> Result<f64, Fault> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().ok_or("an empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e3)
}
