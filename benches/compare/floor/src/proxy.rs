//! The floor: accept, decrypt, parse, forward. No token, no policy, no record, unless the duties are done, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Fault;
use crate::duties::{Duties, Trail};

/// How long the head of an answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

type Answer = Response<Either<PooledBody, Empty<Bytes>>>;

pub async fn serve(
    listen: SocketAddr,
    upstream: SocketAddr,
    folder: &Path,
    tickets: bool,
    duties: bool,
) -> Result<(), Fault> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(folder, tickets)?));
    let listener = TcpListener::bind(listen).await?;
    let duties = if duties { Some(Duties::begin(folder)?) } else { None };
    let pool = Pool { upstream, idle: Rc::default(), duties };
    loop {
        let (stream, client) = listener.accept().await?;
        let client = HeaderValue::try_from(client.ip().to_string())?;
        stream.set_nodelay(true)?;
        let (acceptor, pool) = (acceptor.clone(), pool.clone());
        tokio::task::spawn_local(async move {
            // A client that goes away is not news here.
            drop(connection(stream, client, acceptor, pool).await);
        });
    }
}

fn tls(folder: &Path, tickets: bool) -> Result<rustls::ServerConfig, Fault> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key"))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = usize::from(tickets);
    Ok(config)
}

async fn connection(stream: TcpStream, client: HeaderValue, acceptor: TlsAcceptor, pool: Pool) -> Result<(), Fault> {
    let stream = acceptor.accept(stream).await?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let (pool, client) = (pool.clone(), client.clone());
        async move { pool.serve(request, client).await }
    });
    let io = TokioIo::new(stream);
    if h2 {
        hyper::server::conn::http2::Builder::new(Local).serve_connection(io, service).await?;
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local
where
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

type Idle = Rc<RefCell<HashMap<SocketAddr, Vec<SendRequest<Incoming>>>>>;

/// Idle connections to the upstream.
#[derive(Clone)]
struct Pool {
    upstream: SocketAddr,
    idle: Idle,
    duties: Option<Rc<Duties>>,
}

impl Pool {
    async fn serve(&self, mut request: Request<Incoming>, client: HeaderValue) -> Result<Answer, Fault> {
        let Some(duties) = &self.duties else { return self.forward(request, None).await };
        let trail = duties.admit(&mut request, &client);
        match trail.refusal() {
            None => tokio::time::timeout(DEADLINE, self.forward(request, Some(trail))).await?,
            Some(status) => Ok(Response::builder().status(status).body(Either::Right(Empty::new()))?),
        }
    }

    async fn forward(&self, mut request: Request<Incoming>, mut trail: Option<Trail>) -> Result<Answer, Fault> {
        if let Some(authority) = request.uri().authority().cloned() {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse()?;
            *request.uri_mut() = path;
            request.headers_mut().insert("host", authority.as_str().parse()?);
        }
        *request.version_mut() = hyper::Version::HTTP_11;
        let mut sender = self.sender().await?;
        let mut response = sender.send_request(request).await?;
        if let Some(trail) = &mut trail {
            trail.answered(response.status(), response.headers_mut());
        }
        let (idle, upstream) = (self.idle.clone(), self.upstream);
        Ok(response.map(|body| Either::Left(PooledBody { body, back: Some((sender, idle, upstream)), trail })))
    }

    async fn sender(&self) -> Result<SendRequest<Incoming>, Fault> {
        loop {
            let idle = self.idle.borrow_mut().entry(self.upstream).or_default().pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

/// A response body that gives its connection back at its end.
struct PooledBody {
    body: Incoming,
    back: Option<(SendRequest<Incoming>, Idle, SocketAddr)>,
    trail: Option<Trail>,
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(Ok(frame)), Some(trail)) = (&frame, &mut self.trail) {
            trail.passed(frame.data_ref().map_or(0, Bytes::len));
        }
        if (frame.is_none() || self.body.is_end_stream())
            && let Some((sender, idle, upstream)) = self.back.take()
        {
            idle.borrow_mut().entry(upstream).or_default().push(sender);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
