//! How this proxy proves itself to an authorization server (RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705
//! section 2): in goes what it wants to ask, out comes the request that asks it.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::Serialize;

use super::algorithm::Algorithm;
use super::settings::{ClientAuth, ClientSettings};
use crate::outbound::{Endpoint, Question};

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');
/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &[u8] = b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The life of a client assertion, in seconds.
const ASSERTION_LIFE: i64 = 60;

/// A client whose proof is ready to be attached.
pub(crate) struct Client {
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
    pub(crate) fn new(client: &ClientSettings) -> Result<Self, ClientAuthError> {
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

    /// A request that posts a form, with the client's proof. `accept` is the kind of answer that is wanted.
    pub(crate) fn request(
        &self,
        endpoint: &Endpoint,
        accept: &'static str,
        fields: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Question, ClientAuthError> {
        let mut form = Form::default();
        for (name, value) in fields {
            form.add(name, &encode(value.as_bytes()));
        }
        let mut request = Request::post(endpoint.uri())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, accept);
        match &self.proof {
            Proof::Basic(value) => request = request.header(header::AUTHORIZATION, value),
            Proof::Post(secret) => {
                form.add("client_id", &self.id);
                form.add("client_secret", secret);
            }
            Proof::Certificate => form.add("client_id", &self.id),
            Proof::Assertion { header, key, audience, client } => {
                form.add("client_id", &self.id);
                form.add("client_assertion", &assertion(header, key, audience, client, now)?);
                form.add("client_assertion_type", &encode(ASSERTION_TYPE));
            }
        }
        request.body(Full::from(form.0)).map_err(|_| ClientAuthError::Secret)
    }
}

/// A body of `application/x-www-form-urlencoded`.
#[derive(Default)]
struct Form(String);

impl Form {
    /// Adds a field whose value is encoded already.
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(value);
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
