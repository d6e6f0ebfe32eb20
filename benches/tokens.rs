//! What a token costs, from `extract` to `Identified`: remembered, and seen for the first time beside the bare
//! verification of its signature.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark: a broken assumption should stop it"
)]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::Request;
use jiff::Timestamp;
use portcullis::authn::{
    Algorithm, Audiences, Authenticator, ClientAuth, ClientSettings, GroupsClaim, Identified, IntrospectionCache,
    IntrospectionSettings, IssuerSettings, KeyOrigin, ProofMemory, Revocations, SharedSecret, TokenCache,
    TokenCacheLimits, TokenRules, TokenSources, TokenType,
};
use portcullis::credential::extract;
use portcullis::identity::{Audience, Issuer, Name, PeerCertificate};
use portcullis::outbound::{Endpoint, OutboundSettings, PlainHttp};
use portcullis::request::{
    Arrival, Body, Connection, ConnectionId, Derived, HttpVersion, IntakeSettings, PathForms, Received,
};
use portcullis::route::{Authorization, Binding, HostPattern, Methods, PathPattern, Resolved, Route, Routed, Routes};
use portcullis::telemetry::Clock;
use serde_json::{Value, json};

const ISSUER: &str = "https://login.corp.example";
const NOW: i64 = 1_800_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

type Sign = dyn Fn(&[u8]) -> Vec<u8>;

/// A key that signs, and the bare verification of what it signed.
struct Signer {
    name: &'static str,
    jwk: Value,
    sign: Box<Sign>,
    public: ParsedPublicKey,
}

fn signers() -> [Signer; 3] {
    let ec = EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = ec.public_key().as_ref().to_vec();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let numbers: lc::RsaPublicKeyComponents<Vec<u8>> = rsa.public_key().into();
    let ed = Ed25519KeyPair::generate().unwrap();
    let ed_point = ed.public_key().as_ref().to_vec();
    [
        Signer {
            name: "ES256",
            jwk: json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])}),
            sign: Box::new(move |message| ec.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()),
            public: ParsedPublicKey::new(&lc::ECDSA_P256_SHA256_FIXED, point).unwrap(),
        },
        Signer {
            name: "RS256",
            jwk: json!({"kty": "RSA", "n": encode(&numbers.n), "e": encode(&numbers.e)}),
            sign: Box::new(move |message| {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&lc::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }),
            public: numbers.to_parsed_public_key(&lc::RSA_PKCS1_2048_8192_SHA256).unwrap(),
        },
        Signer {
            name: "EdDSA",
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&ed_point)}),
            sign: Box::new(move |message| ed.sign(message).as_ref().to_vec()),
            public: ParsedPublicKey::new(&lc::ED25519, ed_point).unwrap(),
        },
    ]
}

/// A token of the size that identity providers issue, about 700 bytes.
fn token(signer: &Signer) -> String {
    let header = json!({"alg": signer.name, "kid": signer.name, "typ": "at+jwt"});
    let claims = json!({
        "iss": ISSUER, "sub": "00u1a2b3c4d5e6f7g8h9", "aud": "payments-api", "exp": NOW + 600, "iat": NOW - 60,
        "nbf": NOW - 60, "jti": "AT.4f1c8e2a-9d3b-4c5e-8f7a-1b2c3d4e5f6a", "client_id": "0oa1b2c3d4e5f6g7h8i9",
        "scope": "openid profile payments:read payments:write", "groups": ["finance", "staff", "eu-employees"],
        "acr": "urn:okta:loa:2fa:any", "amr": ["pwd", "otp"], "auth_time": NOW - 3600,
    });
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = (signer.sign)(signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

/// An authorization server that says of every token that it is active.
fn authorization_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
            let body = json!({
                "active": true, "sub": "p-4", "aud": "payments-api", "client_id": "shop", "exp": NOW + 3600,
                "scope": "read write",
            });
            let body = body.to_string();
            let read = stream.read(&mut request).unwrap();
            assert!(read > 0);
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                .unwrap();
        }
    });
    url
}

struct House {
    runtime: tokio::runtime::Runtime,
    authenticator: Authenticator,
    routes: Routes,
    now: Timestamp,
}

fn rules() -> TokenRules {
    TokenRules {
        audiences: Audiences::OneOf(vec![Audience::new("payments-api")]),
        clock_skew: Duration::from_secs(30),
        max_bytes: 8192,
        groups: GroupsClaim::default(),
        binding: Binding::IfBound,
        dpop_nonce: false,
    }
}

impl House {
    fn new(signers: &[Signer]) -> Self {
        let keys: Vec<Value> = signers
            .iter()
            .map(|signer| {
                let mut jwk = signer.jwk.clone();
                jwk["kid"] = json!(signer.name);
                jwk
            })
            .collect();
        let issuer = IssuerSettings {
            name: Name::new("corp"),
            issuer: Issuer::new(ISSUER),
            keys: KeyOrigin::Document(json!({ "keys": keys }).to_string().into()),
            token: rules(),
            algorithms: vec![Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa],
            token_types: vec![TokenType::named("at+jwt")],
            max_lifetime: Duration::from_secs(3600),
        };
        let server = IntrospectionSettings {
            name: Name::new("partners"),
            endpoint: Endpoint::parse(&authorization_server(), PlainHttp::Loopback).unwrap(),
            issuer: Issuer::new("https://as.partners.example"),
            client: ClientSettings {
                id: "portcullis".into(),
                auth: ClientAuth::Basic(SharedSecret::new(b"secret".to_vec())),
            },
            signed_by: None,
            prefix: None,
            token: rules(),
            cache: IntrospectionCache {
                positive: Duration::from_secs(60),
                negative: Duration::from_secs(10),
                max_entries: 1000,
                stale_if_error: Duration::ZERO,
            },
            outbound: OutboundSettings::default(),
        };
        let now = Timestamp::from_second(NOW).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sources = TokenSources::new(vec![issuer], vec![server]).unwrap();
        let revocations = Arc::new(Revocations::default());
        let proofs = Arc::new(ProofMemory::since(now));
        let authenticator =
            Authenticator::open(&sources, revocations, proofs, runtime.handle(), &Clock::fixed(now), None).unwrap();
        let route = Route {
            name: Name::new("payments"),
            host: HostPattern::parse("**").unwrap(),
            path: PathPattern::parse("/{rest...}").unwrap(),
            methods: Methods::Any,
            headers: Vec::new(),
            upstream: Name::new("payments"),
            prefix_rewrite: None,
            tokens: vec![Name::new("corp"), Name::new("partners")],
            conceal: false,
            admits: PathForms::NONE,
            authorization: Authorization::Take,
            binding: None,
            cors: None,
        };
        Self { runtime, authenticator, routes: Routes::new(vec![route]).unwrap(), now }
    }

    /// A request with this token, in front of the rooms that are measured.
    fn routed(&self, token: &str, connection: &Arc<Connection>) -> Routed {
        let request = Request::get("/v1/payments/17").header("host", "payments.corp.example");
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::Empty).unwrap();
        let arrival = Arrival::of(&request, self.now);
        let received =
            Received::intake(Box::new(request), connection.clone(), &arrival, &IntakeSettings::default()).unwrap();
        match self.routes.resolve(received).unwrap() {
            Resolved::Route(routed) => routed,
            Resolved::Own(_) => panic!("not a route"),
        }
    }

    /// The measured walk; it waits for nobody.
    fn identified(&self, routed: Routed, tokens: &TokenCache) -> Identified {
        let presented = extract(routed).unwrap();
        self.authenticator.identify(presented, tokens, self.now).now_or_never().unwrap().unwrap()
    }
}

fn connection() -> Arc<Connection> {
    Arc::new(Connection {
        id: ConnectionId(1),
        listener: Name::new("edge"),
        client: ([192, 0, 2, 1], 4711).into(),
        local: ([192, 0, 2, 2], 8443).into(),
        tls: None,
        peer: PeerCertificate::Absent,
        http: HttpVersion::Http1,
        derived: Derived::default(),
    })
}

fn remembered(criterion: &mut Criterion) {
    let signers = signers();
    let (house, connection, tokens) = (House::new(&signers), connection(), TokenCache::default());
    for (name, token) in [("a JWT", token(&signers[0])), ("an opaque token", "opaque-4711".repeat(4))] {
        let first =
            house.authenticator.identify(extract(house.routed(&token, &connection)).unwrap(), &tokens, house.now);
        assert!(house.runtime.block_on(first).is_ok());
        criterion.bench_function(&format!("remembered/{name}"), |bencher| {
            bencher.iter_batched(
                || house.routed(&token, &connection),
                |routed| house.identified(routed, &tokens),
                BatchSize::SmallInput,
            );
        });
    }
}

fn unknown(criterion: &mut Criterion) {
    let signers = signers();
    let (house, connection) = (House::new(&signers), connection());
    for signer in &signers {
        let token = token(signer);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        criterion.bench_function(&format!("signature/{}", signer.name), |bencher| {
            bencher.iter(|| signer.public.verify_sig(black_box(signed.as_bytes()), &signature).unwrap());
        });
        criterion.bench_function(&format!("unknown/{}", signer.name), |bencher| {
            let limits = TokenCacheLimits { entries: 16, bytes: 1 << 17 };
            bencher.iter_batched(
                || (house.routed(&token, &connection), TokenCache::new(limits)),
                |(routed, tokens)| (house.identified(routed, &tokens), tokens),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = remembered, unknown
}
criterion_main!(benches);
