//! Tokens of the comparison's issuer: a good one of each kind, those that must be refused, and as many new ones as asked.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::Fault;

const ISSUER: &str = "https://issuer.bench.local";
const AUDIENCE: &str = "bench-api";
/// Seconds.
const LIFETIME: u64 = 6 * 3600;

pub fn write(folder: &Path) -> Result<(), Fault> {
    let (rsa, ec) = (Signer::new(folder, "RS256")?, Signer::new(folder, "ES256")?);
    let good = rsa.sign(&claims(0)?)?;
    let with = |changes: &[(&str, Value)]| {
        let mut changed = claims(0)?;
        for (name, value) in changes {
            changed[*name] = value.clone();
        }
        rsa.sign(&changed)
    };
    let tokens = [
        ("token.es256", ec.sign(&claims(0)?)?),
        ("token.other-group", with(&[("groups", json!(["contractors"])), ("scope", json!("write"))])?),
        ("token.other-audience", with(&[("aud", json!("elsewhere"))])?),
        ("token.expired", with(&[("exp", json!(now()? - 600))])?),
        ("token.forged", forged(&good)?),
        ("token.opaque", "opq_Zm9yIHRoZSBjb21wYXJpc29uIG9ubHk".into()),
        ("token.opaque-unknown", "opq_bm9ib2R5IGV2ZXIgaXNzdWVkIHRoaXM".into()),
        ("token", good),
    ];
    for (name, token) in tokens {
        fs::write(folder.join(name), token)?;
    }
    Ok(())
}

/// `count` tokens that differ, one a line, in `tokens.RS256` or `tokens.ES256`.
pub fn write_many(folder: &Path, algorithm: &str, count: u64) -> Result<(), Fault> {
    let signer = Signer::new(folder, algorithm)?;
    let halves = [1..=count / 2, count / 2 + 1..=count];
    let lines = std::thread::scope(|scope| {
        let work = halves.map(|numbers| {
            let signer = &signer;
            scope.spawn(move || numbers.map(|number| signer.sign(&claims(number)?)).collect::<Result<Vec<_>, Fault>>())
        });
        let mut lines = Vec::new();
        for half in work {
            lines.extend(half.join().map_err(|_| "a signer panicked")??);
        }
        Ok::<_, Fault>(lines)
    })?;
    Ok(fs::write(folder.join(format!("tokens.{algorithm}")), lines.join("\n"))?)
}

/// What introspection says of the opaque token: the same as the others claim.
pub fn opaque_claims() -> Result<Value, Fault> {
    let mut answer = claims(0)?;
    answer["active"] = json!(true);
    answer["token_type"] = json!("Bearer");
    Ok(answer)
}

fn claims(number: u64) -> Result<Value, Fault> {
    let now = now()?;
    Ok(json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u-17", "client_id": "bench", "jti": format!("bench-{number}"), "iat": now,
        "exp": now + LIFETIME, "groups": ["staff", "sre"], "scope": "read write", "name": "A Person",
        "email": "person@bench.local",
    }))
}

fn now() -> Result<u64, Fault> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

struct Signer {
    header: Header,
    key: EncodingKey,
}

impl Signer {
    fn new(folder: &Path, algorithm: &str) -> Result<Self, Fault> {
        let (algorithm, key) = match algorithm {
            "RS256" => (Algorithm::RS256, EncodingKey::from_rsa_pem(&fs::read(folder.join("rsa.key"))?)?),
            "ES256" => (Algorithm::ES256, EncodingKey::from_ec_pem(&fs::read(folder.join("ec.key"))?)?),
            _ => return Err(format!("no keys for {algorithm}").into()),
        };
        let mut header = Header::new(algorithm);
        header.typ = Some("at+jwt".into());
        header.kid = Some(format!("{algorithm:?}"));
        Ok(Self { header, key })
    }

    fn sign(&self, claims: &Value) -> Result<String, Fault> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.key)?)
    }
}

/// The same token with one bit of its signature changed.
fn forged(token: &str) -> Result<String, Fault> {
    let (message, signature) = token.rsplit_once('.').ok_or("not a token")?;
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    Ok(format!("{message}.{other}{}", &signature[1..]))
}
