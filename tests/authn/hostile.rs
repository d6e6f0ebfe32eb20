//! Tokens that must be refused, each with its reason (RFC 8725, RFC 9068, RFC 9700, and what went wrong elsewhere).

use std::collections::BTreeSet;

use portcullis::authn::AuthnError;
use serde_json::{Value, json};

use crate::refusals::kind;
use crate::support::{House, NOW, SigningKey, claims, encode, header, issuer, key};

/// A row: what it is, the refusal, the token.
pub(crate) type Row = (String, &'static str, String);

/// The issuer of the hostile tokens: a key of most kinds, two of one, and some that must not verify anything.
pub(crate) fn house() -> House {
    House::new(vec![issuer(&published())], Vec::new())
}

fn second_ed() -> SigningKey {
    SigningKey::ed("ed2")
}

fn published() -> Vec<Value> {
    let mut encrypting = key("ES384").jwk();
    encrypting["use"] = json!("enc");
    encrypting["kid"] = json!("encrypting");
    let mut signing_only = key("ES256").jwk();
    signing_only["key_ops"] = json!(["sign"]);
    signing_only["kid"] = json!("signing-only");
    signing_only.as_object_mut().unwrap().remove("use");
    let mut private = key("ES256").jwk();
    private["d"] = json!("AAAA");
    private["kid"] = json!("private");
    let oct = json!({"kty": "oct", "kid": "oct", "k": encode(&[7; 32]), "alg": "HS256"});
    let mut off_curve = key("ES256").jwk();
    off_curve["kid"] = json!("off-curve");
    off_curve["y"] = off_curve["x"].clone();
    vec![
        key("ES256").jwk(),
        key("ES384").jwk(),
        key("EdDSA").jwk(),
        second_ed().jwk(),
        key("RS256").jwk(),
        encrypting,
        signing_only,
        private,
        oct,
        off_curve,
        weak(),
    ]
}

/// An RSA key of 1024 bits.
fn weak() -> Value {
    let modulus = [&[0xc5][..], &[7; 127]].concat();
    json!({"kty": "RSA", "kid": "weak", "n": encode(&modulus), "e": "AQAB"})
}

fn good() -> String {
    key("ES256").token(json!({}))
}

fn headers(kind: &'static str, rows: &[(&str, Value)]) -> Vec<Row> {
    let es = key("ES256");
    let row = |(name, changes): &(&str, Value)| {
        (format!("header: {name}"), kind, es.sign(&header(es, changes.clone()), &claims(json!({}))))
    };
    rows.iter().map(row).collect()
}

fn bodies(kind: &'static str, rows: &[(&str, Value)]) -> Vec<Row> {
    let row = |(name, changes): &(&str, Value)| (format!("claims: {name}"), kind, key("ES256").token(changes.clone()));
    rows.iter().map(row).collect()
}

fn form() -> Vec<Row> {
    let es = key("ES256");
    let good = good();
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let texts = |name: &str, header: &str, claims: &str| (name.to_owned(), "malformed", es.sign_texts(header, claims));
    let plain_header = header(es, json!({})).to_string();
    let plain_claims = claims(json!({})).to_string();
    let twice = |member: &str| plain_claims.replacen('{', &format!("{{{member},"), 1);
    let mut rows: Vec<Row> = [
        ("one part", head.to_owned()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as JWE", format!("{head}.{signature}.{signature}.{body}.{signature}")),
        ("only dots", "..".into()),
        ("an empty header", format!(".{body}.{signature}")),
        ("an empty payload", format!("{head}..{signature}")),
        ("padding", format!("{head}.{body}.{signature}==")),
        ("the other base64 alphabet", format!("{head}.{body}.{}+/", &signature[..signature.len() - 2])),
        ("a tilde", format!("{head}.{body}.{signature}~")),
        ("trailing bits in the signature", format!("{head}.{body}.{}B", &signature[..signature.len() - 1])),
        ("a short rest in the header", format!("{head}A.{body}.{signature}")),
    ]
    .into_iter()
    .map(|(name, token)| (name.to_owned(), "malformed", token))
    .collect();
    rows.extend([
        texts("the header is a list", "[]", &plain_claims),
        texts("the header is a string", "\"ES256\"", &plain_claims),
        texts("the header is no JSON", "alg=ES256", &plain_claims),
        texts("the header has two alg", r#"{"alg":"ES256","alg":"none","kid":"ec","typ":"at+jwt"}"#, &plain_claims),
        texts(
            "the header has two kid, one escaped",
            r#"{"alg":"ES256","kid":"ec","\u006bid":"x","typ":"at+jwt"}"#,
            &plain_claims,
        ),
        texts("the header goes on behind its end", &format!("{plain_header}{{}}"), &plain_claims),
        texts("the claims are a list", &plain_header, &format!("[{plain_claims}]")),
        texts("the claims are null", &plain_header, "null"),
        texts("the claims go on behind their end", &plain_header, &format!("{plain_claims}x")),
        texts("two sub", &plain_header, &twice(r#""sub":"admin""#)),
        texts("two exp", &plain_header, &twice(r#""exp":9999999999"#)),
        texts("two aud", &plain_header, &twice(r#""aud":"payments-api""#)),
        texts("two groups", &plain_header, &twice(r#""groups":["admin"]"#)),
        texts("two of a claim that nobody knows", &plain_header, &twice(r#""x":1,"x":2"#)),
        texts("two members deep inside", &plain_header, &twice(r#""act":{"a":{"b":1,"b":2}}"#)),
        texts("a byte order mark", &format!("\u{feff}{plain_header}"), &plain_claims),
        texts("deeper than any claim", &plain_header, &twice(&format!("\"x\":{}{}", "[".repeat(64), "]".repeat(64)))),
        texts("a number that is none", &plain_header, &twice(r#""x":NaN"#)),
        texts("a number beyond all numbers", &plain_header, &twice(r#""x":1e999"#)),
    ]);
    let invalid = format!("{}.{}", encode(plain_header.as_bytes()), encode(b"{\"iss\":\"\xff\"}"));
    let signature = encode(&es.sign_bytes(invalid.as_bytes()));
    rows.push(("claims that are not UTF-8".into(), "malformed", format!("{invalid}.{signature}")));
    rows.extend(headers(
        "malformed",
        &[
            ("kid is a number", json!({"kid": 1})),
            ("kid is empty", json!({"kid": ""})),
            ("kid is an object", json!({"kid": {"ec": 1}})),
            ("kid is absurdly long", json!({"kid": "x".repeat(300)})),
        ],
    ));
    rows
}

fn types() -> Vec<Row> {
    let mut rows = headers(
        "type",
        &[
            ("no typ", json!({"typ": null})),
            ("an ID token", json!({"typ": "JWT"})),
            ("a DPoP proof", json!({"typ": "dpop+jwt"})),
            ("a logout token", json!({"typ": "logout+jwt"})),
            ("an answer about a token", json!({"typ": "token-introspection+jwt"})),
            ("a security event", json!({"typ": "secevent+jwt"})),
            ("a client assertion", json!({"typ": "client-authentication+jwt"})),
            ("an introspection answer", json!({"typ": "token-introspection+jwt"})),
            ("a blank behind typ", json!({"typ": "at+jwt "})),
            ("application/ twice", json!({"typ": "application/application/at+jwt"})),
            ("typ is a list", json!({"typ": ["at+jwt"]})),
            ("typ is a number", json!({"typ": 1})),
        ],
    );
    rows.extend(bodies(
        "type",
        &[
            ("the events of a logout token", json!({"events": {}})),
            ("what an answer about a token says", json!({"token_introspection": {"active": true}})),
            ("the htm of a DPoP proof", json!({"htm": "GET"})),
            ("Keycloak's ID token", json!({"typ": "ID"})),
            ("Keycloak's refresh token", json!({"typ": "Refresh"})),
            ("Keycloak's offline token", json!({"typ": "Offline"})),
            ("Cognito's ID token", json!({"token_use": "id"})),
        ],
    ));
    rows
}

fn algorithms() -> Vec<Row> {
    let mut rows = headers(
        "algorithm",
        &[
            ("none", json!({"alg": "none"})),
            ("None", json!({"alg": "None"})),
            ("nOnE", json!({"alg": "nOnE"})),
            ("an empty alg", json!({"alg": ""})),
            ("no alg", json!({"alg": null})),
            ("alg is a number", json!({"alg": 256})),
            ("alg is a list", json!({"alg": ["ES256"]})),
            ("small letters", json!({"alg": "es256"})),
            ("secp256k1", json!({"alg": "ES256K"})),
            ("RS1", json!({"alg": "RS1"})),
            ("Ed448", json!({"alg": "Ed448"})),
            ("a key wrap", json!({"alg": "RSA-OAEP"})),
            ("the alg of another curve", json!({"alg": "ES384"})),
            ("the alg of another kind of key", json!({"alg": "EdDSA"})),
            ("RSA with an EC key", json!({"alg": "RS256"})),
        ],
    );
    let unsigned = |alg: &str| {
        let head = encode(json!({"alg": alg, "typ": "at+jwt"}).to_string().as_bytes());
        format!("{head}.{}.", encode(claims(json!({})).to_string().as_bytes()))
    };
    rows.push(("none without a signature".into(), "algorithm", unsigned("none")));
    // The key that everybody knows, taken for a secret (RFC 8725 section 2.1).
    let rsa = key("RS256");
    for (name, secret) in [
        ("its JWK", rsa.jwk().to_string().into_bytes()),
        ("its modulus", rsa.bare_jwk()["n"].as_str().unwrap().as_bytes().to_vec()),
        ("nothing", vec![0]),
    ] {
        let forged = SigningKey::secret("RS256", "HS256", &secret);
        rows.push((format!("an HMAC with {name}"), "algorithm", forged.token(json!({}))));
    }
    let oct = SigningKey::secret("oct", "HS256", &[7; 32]);
    rows.push(("an HMAC with an oct key of the key set".into(), "algorithm", oct.token(json!({}))));
    let pss = SigningKey::rsa("RS256", "PS256");
    rows.push(("PS256 with a key for RS256".into(), "algorithm", pss.token(json!({}))));
    rows
}

fn extensions() -> Vec<Row> {
    headers(
        "critical",
        &[
            ("crit", json!({"crit": ["exp"], "exp": NOW + 600})),
            ("an empty crit", json!({"crit": []})),
            ("crit is no list", json!({"crit": "b64"})),
            ("an extension of somebody", json!({"crit": ["http://example.invalid/UNDEFINED"]})),
            ("an unencoded payload", json!({"crit": ["b64"], "b64": false})),
            ("b64 without crit", json!({"b64": false})),
            ("b64 is true", json!({"b64": true})),
        ],
    )
}

fn keys() -> Vec<Row> {
    let mut rows = headers(
        "key-unknown",
        &[
            ("an unknown kid", json!({"kid": "other"})),
            ("an unknown kid and where to fetch it", json!({"kid": "other", "jku": "https://evil.example/jwks"})),
            (
                "an unknown kid and a certificate",
                json!({"kid": "other", "x5c": ["MIIB"], "x5u": "https://evil.example"}),
            ),
            ("the kid of a key that only signs", json!({"kid": "signing-only"})),
            ("the kid of a private key", json!({"kid": "private"})),
            ("the kid of a point off the curve", json!({"kid": "off-curve"})),
            ("a kid that is a path", json!({"kid": "../../../dev/null"})),
            ("a kid that is a query", json!({"kid": "' OR 1=1 --"})),
        ],
    );
    let ed = key("EdDSA");
    let nameless = ed.sign(&header(ed, json!({"kid": null})), &claims(json!({})));
    rows.push(("no kid where two keys fit".into(), "key-unknown", nameless));
    let encrypting = key("ES384");
    let token = encrypting.sign(&header(encrypting, json!({"kid": "encrypting"})), &claims(json!({})));
    rows.push(("the kid of a key for encryption".into(), "key-unknown", token));
    let rsa = SigningKey::rsa("weak", "RS256");
    rows.push(("the kid of an RSA key that is too short".into(), "key-unknown", rsa.token(json!({}))));
    rows
}

fn signatures() -> Vec<Row> {
    let es = key("ES256");
    let good = good();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let raw = es.sign_bytes(signed.as_bytes());
    let with = |bytes: &[u8]| format!("{signed}.{}", encode(bytes));
    let flipped: Vec<u8> = raw.iter().enumerate().map(|(at, byte)| if at == 20 { byte ^ 1 } else { *byte }).collect();
    let (head, body) = signed.split_once('.').unwrap();
    let admin = encode(claims(json!({"sub": "admin"})).to_string().as_bytes());
    let longer = encode(header(es, json!({"x": 1})).to_string().as_bytes());
    let other = SigningKey::ec("ec", "ES256");
    let embedded = other.sign(&header(es, json!({"kid": null, "jwk": other.bare_jwk()})), &claims(json!({})));
    let named = other.sign(&header(es, json!({"jwk": other.bare_jwk()})), &claims(json!({})));
    let rsa = key("RS256").token(json!({}));
    let (rsa_signed, _) = rsa.rsplit_once('.').unwrap();
    let ed = key("EdDSA").token(json!({}));
    let (ed_signed, _) = ed.rsplit_once('.').unwrap();
    [
        ("no signature", format!("{signed}.")),
        ("a flipped bit", with(&flipped)),
        ("half a signature", with(&raw[..32])),
        ("a byte more", with(&[&raw[..], &[0]].concat())),
        ("r and s are zero", with(&[0; 64])),
        ("r and s are the order of the curve", with(&[0xff; 64])),
        ("the signature of another token", {
            let another = es.token(json!({"sub": "u-18"}));
            format!("{signed}.{}", another.rsplit_once('.').unwrap().1)
        }),
        ("other claims under the signature", format!("{head}.{admin}.{signature}")),
        ("another header above the signature", format!("{longer}.{body}.{signature}")),
        ("the payload alone is signed", with(&es.sign_bytes(body.as_bytes()))),
        ("another key of the same name", other.token(json!({}))),
        ("a key that the token brings along", embedded),
        ("a key that the token brings along under a known name", named),
        ("a zero RSA signature", format!("{rsa_signed}.{}", encode(&[0; 256]))),
        ("an RSA signature of one", format!("{rsa_signed}.{}", encode(&[&[0; 255][..], &[1]].concat()))),
        ("a zero EdDSA signature", format!("{ed_signed}.{}", encode(&[0; 64]))),
    ]
    .into_iter()
    .map(|(name, token)| (name.to_owned(), "signature", token))
    .collect()
}

fn sources() -> Vec<Row> {
    bodies(
        "source",
        &[
            ("no iss", json!({"iss": null})),
            ("iss is another", json!({"iss": "https://login.evil.example"})),
            ("iss with a slash", json!({"iss": "https://login.corp.example/"})),
            ("iss in capitals", json!({"iss": "https://LOGIN.corp.example"})),
            ("iss begins like ours", json!({"iss": "https://login.corp.example.evil.example"})),
            ("iss with a NUL", json!({"iss": "https://login.corp.example\u{0}"})),
            ("iss is a list", json!({"iss": ["https://login.corp.example"]})),
            ("iss is an object", json!({"iss": {"https://login.corp.example": 1}})),
            ("iss is a number", json!({"iss": 1})),
        ],
    )
}

fn audiences() -> Vec<Row> {
    bodies(
        "audience",
        &[
            ("no aud", json!({"aud": null})),
            ("aud is another", json!({"aud": "wiki"})),
            ("aud is others", json!({"aud": ["wiki", "mail"]})),
            ("aud begins like ours", json!({"aud": "payments-api-test"})),
            ("aud is a part of ours", json!({"aud": "payments"})),
            ("aud in capitals", json!({"aud": "Payments-API"})),
            ("aud with a blank", json!({"aud": " payments-api"})),
            ("aud is a list in a string", json!({"aud": "[\"payments-api\"]"})),
            ("aud is two in a string", json!({"aud": "wiki payments-api"})),
            ("aud is empty", json!({"aud": ""})),
        ],
    )
}

fn wrong_types() -> Vec<Row> {
    let mut rows = bodies(
        "claim",
        &[
            ("no exp", json!({"exp": null})),
            ("exp is a string", json!({"exp": "1800000600"})),
            ("exp is true", json!({"exp": true})),
            ("exp is a list", json!({"exp": [NOW + 600]})),
            ("exp is an object", json!({"exp": {}})),
            ("exp is 1e300", json!({"exp": 1e300})),
            ("exp is negative", json!({"exp": -1})),
            ("exp is the largest number", json!({"exp": u64::MAX})),
            ("exp is beyond the year 9999", json!({"exp": 999_999_999_999_i64})),
            ("nbf is a string", json!({"nbf": "0"})),
            ("nbf is 1e300", json!({"nbf": 1e300})),
            ("nbf is negative", json!({"nbf": -1e300})),
            ("iat is a string", json!({"iat": "1800000000"})),
            ("iat is an object", json!({"iat": {}})),
            ("auth_time is a string", json!({"auth_time": "yesterday"})),
            ("no sub", json!({"sub": null})),
            ("sub is empty", json!({"sub": ""})),
            ("sub is a number", json!({"sub": 17})),
            ("sub is a list", json!({"sub": ["u-17"]})),
            ("aud is an empty list", json!({"aud": []})),
            ("aud is a number", json!({"aud": 1})),
            ("aud holds a number", json!({"aud": ["payments-api", 1]})),
            ("aud holds a list", json!({"aud": [["payments-api"]]})),
            ("aud is an object", json!({"aud": {"payments-api": true}})),
            ("jti is a number", json!({"jti": 1})),
            ("client_id is a number", json!({"client_id": 1})),
            ("azp is a list", json!({"azp": ["cli"]})),
            ("scope is a number", json!({"scope": 1})),
            ("scope is an object", json!({"scope": {"read": true}})),
            ("scope holds a number", json!({"scope": ["read", 1]})),
            ("acr is a number", json!({"acr": 2})),
            ("amr is a string", json!({"amr": "mfa"})),
            ("amr holds a number", json!({"amr": ["mfa", 1]})),
        ],
    );
    let es = key("ES256");
    for claim in ["aud", "exp", "nbf", "iat", "sub", "jti", "scope", "cnf"] {
        let mut text = claims(json!({}));
        text[claim] = Value::Null;
        let kind = if claim == "cnf" { "binding" } else { "claim" };
        rows.push((format!("claims: {claim} is null"), kind, es.sign(&header(es, json!({})), &text)));
    }
    rows
}

fn times() -> Vec<Row> {
    let mut rows = bodies(
        "expired",
        &[
            ("expired long ago", json!({"exp": 1})),
            ("expired at zero", json!({"exp": 0})),
            ("expired just beyond the skew", json!({"exp": NOW - 30})),
            ("expired by a fraction", json!({"exp": f64::from(1_799_999_969) + 0.5})),
        ],
    );
    rows.extend(bodies(
        "not-yet-valid",
        &[
            ("not yet, just beyond the skew", json!({"nbf": NOW + 31})),
            ("not yet by a fraction", json!({"nbf": f64::from(1_800_000_030) + 0.5})),
            ("not in this century", json!({"nbf": 253_402_207_000_i64})),
            ("issued in the future", json!({"iat": NOW + 31})),
        ],
    ));
    rows.extend(bodies(
        "lifetime",
        &[
            ("lives a second too long", json!({"iat": NOW, "nbf": NOW, "exp": NOW + 3601})),
            ("lives for ever", json!({"exp": 253_402_207_000_i64})),
            ("does not say since when it lives", json!({"iat": null, "nbf": null, "exp": NOW + 3601})),
            ("was issued in 1970", json!({"iat": 0})),
        ],
    ));
    rows
}

fn bindings() -> Vec<Row> {
    let thumbprint = encode(&[7; 32]);
    bodies(
        "binding",
        &[
            ("bound to a DPoP key, sent as a bearer", json!({"cnf": {"jkt": thumbprint}})),
            ("bound to a certificate that was not shown", json!({"cnf": {"x5t#S256": thumbprint}})),
            ("bound to both", json!({"cnf": {"x5t#S256": thumbprint, "jkt": thumbprint}})),
            ("bound in a way that is not known", json!({"cnf": {"kid": "x"}})),
            ("bound to a key in the token", json!({"cnf": {"jwk": key("ES256").bare_jwk()}})),
            ("bound to a SHA-1 thumbprint", json!({"cnf": {"x5t": thumbprint}})),
            ("bound in a known and an unknown way", json!({"cnf": {"jkt": thumbprint, "osc": {}}})),
            ("bound to nothing", json!({"cnf": {}})),
            ("cnf is a string", json!({"cnf": thumbprint})),
            ("cnf is a list", json!({"cnf": [{"jkt": thumbprint}]})),
            ("a thumbprint that is too short", json!({"cnf": {"jkt": encode(&[7; 31])}})),
            ("a thumbprint that is a number", json!({"cnf": {"jkt": 7}})),
            ("a thumbprint with padding", json!({"cnf": {"jkt": format!("{thumbprint}=")}})),
        ],
    )
}

fn too_large() -> Vec<Row> {
    bodies("too-large", &[("larger than any token", json!({"x": "x".repeat(9000)}))])
}

pub(crate) fn every_row() -> Vec<Row> {
    [
        form(),
        too_large(),
        types(),
        algorithms(),
        extensions(),
        keys(),
        signatures(),
        sources(),
        audiences(),
        wrong_types(),
        times(),
        bindings(),
    ]
    .concat()
}

#[tokio::test]
async fn every_hostile_token_is_refused_for_its_reason() {
    let mut house = house();
    let (rows, mut wrong) = (every_row(), Vec::new());
    assert!(rows.len() >= 100, "{} rows", rows.len());
    let names: BTreeSet<_> = rows.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), rows.len(), "two rows have the same name");
    for (name, expected, token) in &rows {
        house.reconnect();
        // Twice: what failed once must not have been remembered as good.
        for _ in 0..2 {
            match house.bearer("corp", token).await {
                Ok(_) => wrong.push(format!("{name}: accepted")),
                Err(error) if kind(&error) == *expected => {
                    let shown = format!("{error} {error:?}");
                    let leaks = token.split('.').filter(|part| part.len() > 8).any(|part| shown.contains(part));
                    assert!(!leaks, "{name}: the refusal shows a part of the token");
                }
                Err(error) => wrong.push(format!("{name}: {} instead of {expected}", kind(&error))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Remembered are only the three that are good on another connection, or with another proof.
    assert_eq!(house.tokens.len(), 3);
}

#[tokio::test]
async fn no_hostile_token_counts_where_no_token_does() {
    let mut house = house();
    for (name, _, token) in every_row() {
        house.reconnect();
        assert!(house.bearer("none", &token).await.is_err(), "{name}");
    }
    assert_eq!(house.bearer("none", &good()).await.unwrap_err(), AuthnError::Source);
}
