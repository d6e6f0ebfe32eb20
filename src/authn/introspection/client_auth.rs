//! How this proxy proves itself to an authorization server (RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705
//! section 2), and the introspection request that comes of it (RFC 7662 section 2.1).

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::Serialize;

use crate::authn::algorithm::Algorithm;
use crate::authn::settings::{ClientAuth, IntrospectionClient};
use crate::outbound::Endpoint;

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');
/// The life of a client assertion, in seconds.
const ASSERTION_LIFE: i64 = 60;

/// A client whose proof is ready to be attached.
pub(in crate::authn) struct Client {
    id: String,
    proof: Proof,
}

enum Proof {
    /// The whole `Authorization` value.
    Basic(HeaderValue),
    /// The secret, encoded for a form.
    Post(String),
    Assertion {
        header: Box<Header>,
        key: EncodingKey,
        audience: Box<str>,
        client: Box<str>,
    },
    Certificate,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Client {
    pub(in crate::authn) fn new(client: &IntrospectionClient) -> Result<Self, ClientAuthError> {
        let id = encode(client.id.as_bytes());
        let proof = match &client.auth {
            ClientAuth::Basic(secret) => {
                let pair = STANDARD.encode(format!("{id}:{}", encode(secret.expose())));
                let mut value = HeaderValue::try_from(format!("Basic {pair}")).map_err(|_| ClientAuthError::Secret)?;
                value.set_sensitive(true);
                Proof::Basic(value)
            }
            ClientAuth::Post(secret) => Proof::Post(encode(secret.expose())),
            ClientAuth::PrivateKeyJwt { key, algorithm, key_id, audience } => {
                let name = jsonwebtoken::Algorithm::from_str(algorithm.name()).map_err(|_| ClientAuthError::Key)?;
                let mut header = Header::new(name);
                header.kid = key_id.as_deref().map(String::from);
                let key = signing_key(*algorithm, key.expose())?;
                let client = client.id.as_ref().into();
                // A key of the wrong kind shows here, at the start, not at the first token.
                jsonwebtoken::encode(&header, &(), &key).map_err(|_| ClientAuthError::Key)?;
                Proof::Assertion { header: Box::new(header), key, audience: audience.clone(), client }
            }
            ClientAuth::MutualTls => Proof::Certificate,
        };
        Ok(Self { id, proof })
    }

    /// The request that asks about `token`.
    pub(super) fn request(
        &self,
        endpoint: &Endpoint,
        token: &str,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, ClientAuthError> {
        let mut form = format!("token={}&token_type_hint=access_token", encode(token.as_bytes()));
        let mut request = Request::post(endpoint.uri())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        match &self.proof {
            Proof::Basic(value) => request = request.header(header::AUTHORIZATION, value),
            Proof::Post(secret) => form.push_str(&format!("&client_id={}&client_secret={secret}", self.id)),
            Proof::Certificate => form.push_str(&format!("&client_id={}", self.id)),
            Proof::Assertion { header, key, audience, client } => {
                let assertion = assertion(header, key, audience, client, now)?;
                form.push_str(&format!(
                    "&client_id={}&client_assertion={assertion}&client_assertion_type={}",
                    self.id,
                    encode(b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ));
            }
        }
        request.body(Full::from(form)).map_err(|_| ClientAuthError::Secret)
    }
}

fn assertion(
    header: &Header,
    key: &EncodingKey,
    audience: &str,
    client: &str,
    now: Timestamp,
) -> Result<String, ClientAuthError> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| ClientAuthError::Key)?;
    let iat = now.as_second();
    let jti = URL_SAFE_NO_PAD.encode(random);
    let claims = Assertion { iss: client, sub: client, aud: audience, jti, iat, exp: iat + ASSERTION_LIFE };
    jsonwebtoken::encode(header, &claims, key).map_err(|_| ClientAuthError::Key)
}

fn signing_key(algorithm: Algorithm, pem: &[u8]) -> Result<EncodingKey, ClientAuthError> {
    let key = match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => EncodingKey::from_ec_pem(pem),
        Algorithm::EdDsa => EncodingKey::from_ed_pem(pem),
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => EncodingKey::from_rsa_pem(pem),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => EncodingKey::from_rsa_pem(pem),
        _ => return Err(ClientAuthError::Key),
    };
    key.map_err(|_| ClientAuthError::Key)
}

fn encode(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, FORM).to_string()
}

/// Why a client cannot prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientAuthError {
    /// The secret cannot stand in a header field.
    #[error("the client's secret cannot be sent")]
    Secret,
    /// The key is not one for its algorithm.
    #[error("the client's key is not one for its algorithm")]
    Key,
}
