//! An identity provider on loopback that answers what a test tells it to, and counts what it is asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What a path answers.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// Answer only when the test says so.
    pub(crate) held: bool,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string().into(), held: false }
    }

    pub(crate) fn keys(keys: &[Value]) -> Self {
        Self::json(&json!({"keys": keys}))
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), held: false }
    }

    pub(crate) fn text(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), held: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn held(mut self) -> Self {
        self.held = true;
        self
    }
}

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The certificate that the client showed.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

pub(crate) struct FakeProvider {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

struct State {
    replies: Mutex<HashMap<String, Reply>>,
    asked: watch::Sender<Vec<Asked>>,
    gate: watch::Sender<u64>,
}

impl FakeProvider {
    pub(crate) async fn start() -> Self {
        Self::start_behind(None).await
    }

    /// One that speaks TLS.
    pub(crate) async fn start_tls(config: ServerConfig) -> Self {
        Self::start_behind(Some(Arc::new(config).into())).await
    }

    async fn start_behind(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            replies: Mutex::default(),
            asked: watch::Sender::default(),
            gate: watch::Sender::default(),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return converse(stream, None, state).await };
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let certificate = shown.map(|certificate| certificate.clone().into_owned());
                    converse(stream, certificate, state).await;
                });
            }
        });
        Self { address, state, task: task.abort_handle() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on `path` answers this.
    pub(crate) fn answers(&self, path: &str, reply: Reply) {
        self.state.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// How often `path` was asked.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.state.asked.borrow().iter().filter(|asked| asked.path == path).count()
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.state.asked.borrow().iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// Waits until `path` was asked so often.
    pub(crate) async fn until(&self, path: &str, count: usize) {
        let asked = |all: &Vec<Asked>| all.iter().filter(|asked| asked.path == path).count() >= count;
        self.state.asked.subscribe().wait_for(asked).await.unwrap();
    }

    /// Gives everybody else their turn, often enough for a whole exchange with this provider.
    pub(crate) async fn idle(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets every held answer go.
    pub(crate) fn release(&self) {
        self.state.gate.send_modify(|count| *count += 1);
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    certificate: Option<CertificateDer<'static>>,
    state: Arc<State>,
) {
    let service = service_fn(move |request| answer(state.clone(), certificate.clone(), request));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    state: Arc<State>,
    certificate: Option<CertificateDer<'static>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let mut gate = state.gate.subscribe();
    gate.borrow_and_update();
    let reply = state.replies.lock().unwrap().get(&path).cloned().unwrap_or_else(|| Reply::status(404));
    state.asked.send_modify(|asked| asked.push(Asked { path, headers: head.headers, body, certificate }));
    if reply.held {
        gate.changed().await.unwrap();
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    Ok(response.body(Full::from(reply.body)).unwrap())
}
