//! The work of the comparison, written as directly as it can be: what a token, a rule, the fields for the service, a
//! deadline and a record cost on this stack when nothing else is done. No product: one issuer, one rule, one route, tokens
//! without a bound on their memory, no reload, no limits, no metrics.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::{
    AUTHORIZATION, CONNECTION, FORWARDED, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::Fault;

const HOP_BY_HOP: [HeaderName; 6] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHORIZATION];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How often the records go to their file.
const PERIOD: Duration = Duration::from_millis(100);

/// What one worker knows.
pub struct Duties {
    keys: [(Algorithm, DecodingKey); 2],
    known: RefCell<HashMap<Box<[u8]>, Rc<Token>>>,
    lines: RefCell<String>,
    started: u64,
    served: Cell<u64>,
}

/// A token that was verified.
struct Token {
    subject: HeaderValue,
    groups: HeaderValue,
    in_group: bool,
    expires: u64,
}

/// One request from its head to the end of its answer: dropping it writes the record.
pub struct Trail {
    duties: Rc<Duties>,
    client: HeaderValue,
    begun: Instant,
    at: Duration,
    id: HeaderValue,
    method: Method,
    path: Box<str>,
    token: Option<Rc<Token>>,
    status: StatusCode,
    bytes: u64,
}

impl Duties {
    pub fn begin(folder: &Path) -> Result<Rc<Self>, Fault> {
        let key = |name: &str| std::fs::read(folder.join(name));
        let keys = [
            (Algorithm::RS256, DecodingKey::from_rsa_pem(&key("rsa.pub")?)?),
            (Algorithm::ES256, DecodingKey::from_ec_pem(&key("ec.pub")?)?),
        ];
        let started = u64::try_from(now().as_nanos())?;
        let (known, lines, served) = (RefCell::default(), RefCell::default(), Cell::new(0));
        let duties = Rc::new(Self { keys, known, lines, started, served });
        let mut file = OpenOptions::new().create(true).append(true).open("decisions.jsonl")?;
        let writer = duties.clone();
        tokio::task::spawn_local(async move {
            let mut tick = tokio::time::interval(PERIOD);
            loop {
                tick.tick().await;
                if let Err(error) = writer.flush(&mut file) {
                    eprintln!("no record: {error}");
                }
            }
        });
        Ok(duties)
    }

    fn flush(&self, file: &mut File) -> std::io::Result<()> {
        let mut lines = self.lines.borrow_mut();
        file.write_all(lines.as_bytes())?;
        lines.clear();
        Ok(())
    }

    /// Checks a request and makes its head the service's.
    pub fn admit(self: &Rc<Self>, request: &mut Request<Incoming>, client: &HeaderValue) -> Trail {
        let (begun, at) = (Instant::now(), now());
        let number = self.served.replace(self.served.get() + 1);
        let id = format!("{:016x}{number:016x}", self.started);
        let id = HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"));
        let (method, path) = (request.method().clone(), request.uri().path().into());
        let (duties, client) = (self.clone(), client.clone());
        let mut trail =
            Trail { duties, client, begun, at, id, method, path, token: None, status: StatusCode::FORBIDDEN, bytes: 0 };
        match self.identify(request.headers(), at.as_secs()) {
            None => trail.status = StatusCode::UNAUTHORIZED,
            Some(token) if token.in_group && is_permitted(&trail.method, &trail.path) => {
                trail.fields(request.headers_mut(), &token);
                trail.status = StatusCode::OK;
                trail.token = Some(token);
            }
            Some(token) => trail.token = Some(token),
        }
        trail
    }

    fn identify(&self, headers: &HeaderMap, now: u64) -> Option<Rc<Token>> {
        let text = headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")?;
        let known = self.known.borrow().get(text).cloned();
        let token = match known {
            Some(token) => token,
            None => {
                let token = Rc::new(self.verify(text)?);
                self.known.borrow_mut().insert(text.into(), token.clone());
                token
            }
        };
        (token.expires > now).then_some(token)
    }

    fn verify(&self, text: &[u8]) -> Option<Token> {
        let text = std::str::from_utf8(text).ok()?;
        let algorithm = jsonwebtoken::decode_header(text).ok()?.alg;
        let (_, key) = self.keys.iter().find(|(known, _)| *known == algorithm)?;
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["bench-api"]);
        validation.set_issuer(&["https://issuer.bench.local"]);
        let claims = jsonwebtoken::decode::<Value>(text, key, &validation).ok()?.claims;
        let groups: Vec<&str> = claims["groups"].as_array()?.iter().filter_map(Value::as_str).collect();
        Some(Token {
            subject: HeaderValue::from_str(claims["sub"].as_str()?).ok()?,
            groups: HeaderValue::from_str(&groups.join(",")).ok()?,
            in_group: groups.contains(&"sre"),
            expires: claims["exp"].as_u64()?,
        })
    }
}

/// The one rule. A path that could be read in two ways is not looked at further.
fn is_permitted(method: &Method, path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.'));
    let whole = path.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | ".."));
    path.starts_with("/api/") && plain && whole && [Method::GET, Method::PUT, Method::POST].contains(method)
}

impl Trail {
    /// What the service is told, once all that a client may not say is gone.
    fn fields(&self, headers: &mut HeaderMap, token: &Token) {
        let reserved = |name: &HeaderName| {
            let text = name.as_str();
            HOP_BY_HOP.contains(name)
                || *name == AUTHORIZATION
                || *name == FORWARDED
                || text.starts_with("x-forwarded-")
                || text.starts_with("x-auth-")
        };
        let gone: Vec<HeaderName> = headers.keys().filter(|name| reserved(name)).cloned().collect();
        for name in gone {
            headers.remove(name);
        }
        if let Some(host) = headers.get(HOST).cloned() {
            headers.insert("x-forwarded-host", host);
        }
        headers.insert("x-forwarded-for", self.client.clone());
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers.insert("x-forwarded-port", HeaderValue::from_static("443"));
        headers.insert("x-auth-user", token.subject.clone());
        headers.insert("x-auth-groups", token.groups.clone());
        headers.insert(REQUEST_ID, self.id.clone());
        let id = self.id.to_str().unwrap_or_default();
        if let Ok(trace) = HeaderValue::try_from(format!("00-{id}-{}-01", id.get(16..).unwrap_or_default())) {
            headers.insert("traceparent", trace);
        }
    }

    /// The status of a refusal, or `None`.
    pub fn refusal(&self) -> Option<StatusCode> {
        (self.status != StatusCode::OK).then_some(self.status)
    }

    /// Makes the head of an answer the client's.
    pub fn answered(&mut self, status: StatusCode, headers: &mut HeaderMap) {
        self.status = status;
        let gone: Vec<HeaderName> = headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned().collect();
        for name in gone {
            headers.remove(name);
        }
        headers.insert(REQUEST_ID, self.id.clone());
    }

    pub fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let Self { client, at, id, method, path, token, status, bytes, begun, .. } = self;
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let subject = token.as_ref().map(|token| text(&token.subject)).unwrap_or_default();
        let took = begun.elapsed().as_micros();
        let decision = if token.as_ref().is_some_and(|token| token.in_group) { "allow" } else { "deny" };
        let mut lines = self.duties.lines.borrow_mut();
        // Memory takes whatever is written.
        let _ = writeln!(
            lines,
            "{{\"kind\":\"request\",\"time\":{}.{:06},\"id\":\"{}\",\"trace\":\"{}\",\"client\":\"{}\",\"source\":\"{}\",\
             \"peer\":{{\"verified\":{{\"trust\":\"bench\",\"spiffe_id\":\"spiffe://bench.local/client\",\
             \"subject\":\"CN=client\"}}}},\"subject\":{{\"issuer\":\"https://issuer.bench.local\",\"sub\":\"{subject}\",\
             \"client_id\":\"bench\",\"source\":\"bench\"}},\"method\":\"{method}\",\"host\":\"localhost\",\"path\":\"{path}\",\
             \"route\":\"api\",\"decision\":\"{decision}\",\"reason\":null,\"rule\":\"sre\",\"policy\":\"none\",\
             \"upstream\":\"service\",\"endpoint\":\"http://127.0.0.1\",\"status\":{},\"bytes_in\":0,\"bytes_out\":{bytes},\
             \"durations_us\":{{\"total\":{took}}}}}",
            at.as_secs(),
            at.subsec_micros(),
            text(id),
            text(id),
            text(client),
            text(client),
            status.as_u16(),
        );
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
