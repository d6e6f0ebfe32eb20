//! Reads `client`: as whom an authorization server is asked, and how that is proved.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::reader::{Table, Value};
use super::{outbound, secret, token};
use crate::authn::{Algorithm, ClientAuth, ClientSettings, SharedSecret};
use crate::outbound::{ClientIdentity, Endpoint, Outbound, OutboundSettings};

/// What a private key may sign a client assertion with.
const ASSERTION_ALGORITHMS: &[(&str, Algorithm)] = &[
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
    ("PS256", Algorithm::Ps256),
    ("RS256", Algorithm::Rs256),
];

#[derive(Clone, Copy)]
enum Method {
    Basic,
    Post,
    PrivateKeyJwt,
    MutualTls,
}

const METHODS: &[(&str, Method)] = &[
    ("client_secret_basic", Method::Basic),
    ("client_secret_post", Method::Post),
    ("private_key_jwt", Method::PrivateKeyJwt),
    ("tls_client_auth", Method::MutualTls),
];

/// Reads `client`. A certificate that it shows becomes part of `calls`; an assertion is for `endpoint`, unless it says else.
pub(super) fn read(
    value: &Value<'_>,
    base: &Path,
    endpoint: Option<&Endpoint>,
    calls: &mut OutboundSettings,
) -> Option<ClientSettings> {
    let table = &value.table(String::from("`client`"))?;
    let id = table.require("id").and_then(|value| token::not_empty(&value));
    let auth = table.require("auth").and_then(|value| value.choice(METHODS));
    let shared = |key| table.require(key).and_then(|value| secret::read(&value, base)).map(shared_secret);
    let Some(auth) = auth else {
        // Which keys belong here is not known, so none of them is called unknown.
        for key in ["secret", "key", "algorithm", "key_id", "audience", "certificate"] {
            table.get(key);
        }
        return None;
    };
    let auth = match auth {
        Method::Basic => ClientAuth::Basic(shared("secret")?),
        Method::Post => ClientAuth::Post(shared("secret")?),
        Method::MutualTls => {
            calls.identity = table.require("certificate").and_then(|value| read_identity(&value, base));
            check_identity(table, calls);
            ClientAuth::MutualTls
        }
        Method::PrivateKeyJwt => {
            let key = shared("key");
            let algorithm = table.get("algorithm").map(|value| value.choice(ASSERTION_ALGORITHMS));
            let key_id = table.get("key_id").and_then(|value| token::not_empty(&value)).map(Box::from);
            let audience = table.get("audience").and_then(|value| token::not_empty(&value));
            let audience = audience.or_else(|| endpoint.map(|endpoint| endpoint.as_str().to_owned()))?;
            let algorithm = algorithm.unwrap_or(Some(Algorithm::Es256))?;
            ClientAuth::PrivateKeyJwt { key: key?, algorithm, key_id, audience: audience.into() }
        }
    };
    let client = ClientSettings { id: id?.into(), auth };
    if let Err(error) = client.check() {
        let at = table.get("key").map_or_else(|| table.at(), |value| value.at());
        let hint = String::from("a PEM file with a PKCS#8 private key of the kind that `algorithm` needs");
        table.faults().error(&at, error.to_string(), hint);
    }
    Some(client)
}

fn shared_secret(secret: crate::identity::Secret<Vec<u8>>) -> SharedSecret {
    SharedSecret::new(secret.expose().clone())
}

fn read_identity(value: &Value<'_>, base: &Path) -> Option<ClientIdentity> {
    let table = value.table(String::from("`certificate`"))?;
    let chain = table.require("chain").map(|value| outbound::certificates(&value, base));
    let key = table.require("key").and_then(|value| {
        let path = value.path(base)?;
        let pem = std::fs::read(&path);
        let pem = pem.map_err(|error| value.faults().unreadable(Some(&value.at()), &path, &error)).ok()?;
        let key = PrivateKeyDer::from_pem_slice(&pem).ok();
        if key.is_none() {
            value.fault(format!("`{}` holds no private key", path.display()), None);
        }
        key
    });
    Some(ClientIdentity { chain: chain?, key: Arc::new(key?) })
}

fn check_identity(table: &Table<'_>, calls: &OutboundSettings) {
    if let (Some(value), Some(_), Err(error)) = (table.get("certificate"), &calls.identity, Outbound::new(calls)) {
        value.fault(error.to_string(), String::from("the key must be the certificate's"));
    }
}
