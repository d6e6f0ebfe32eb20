//! What stands behind the proxies where nginx cannot: a WebSocket echo and token introspection (RFC 7662) over HTTP/1.1,
//! and a gRPC echo over HTTP/2 in the clear.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use h2::RecvStream;
use h2::server::SendResponse;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::Fault;
use crate::tokens;

pub async fn serve(http1: SocketAddr, http2: SocketAddr, folder: &Path) -> Result<(), Fault> {
    let introspection = Rc::new(Introspection {
        known: format!("token={}&", std::fs::read_to_string(folder.join("token.opaque"))?),
        asked: Cell::new(0),
    });
    let calls = TcpListener::bind(http2).await?;
    let requests = TcpListener::bind(http1).await?;
    loop {
        tokio::select! {
            accepted = calls.accept() => {
                spawn_local(grpc(accepted?.0));
            }
            accepted = requests.accept() => {
                spawn_local(plain(accepted?.0, introspection.clone()));
            }
        }
    }
}

async fn plain(stream: TcpStream, introspection: Rc<Introspection>) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |request| answer(request, introspection.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    Ok(connection.with_upgrades().await?)
}

async fn answer(request: Request<Incoming>, introspection: Rc<Introspection>) -> Result<Response<Full<Bytes>>, Fault> {
    match request.uri().path() {
        "/introspect" => introspection.answer(request).await,
        "/introspected" => Ok(Response::new(introspection.asked.get().to_string().into())),
        "/api/socket" => websocket(request),
        _ => Ok(Response::builder().status(StatusCode::NOT_FOUND).body(Full::default())?),
    }
}

/// Knows one opaque token, and counts how often it was asked.
struct Introspection {
    known: String,
    asked: Cell<u64>,
}

impl Introspection {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Fault> {
        self.asked.set(self.asked.get() + 1);
        let form = request.into_body().collect().await?.to_bytes();
        let active = [&form, &b"&"[..]].concat().starts_with(self.known.as_bytes());
        let claims = if active { tokens::opaque_claims()? } else { serde_json::json!({ "active": false }) };
        Ok(Response::builder().header("content-type", "application/json").body(claims.to_string().into())?)
    }
}

fn websocket(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Fault> {
    let key = request.headers().get("sec-websocket-key").ok_or("no WebSocket")?;
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
        .body(Full::default())?;
    spawn_local(async move {
        let stream = TokioIo::new(hyper::upgrade::on(&mut request).await?);
        let (sink, incoming) = WebSocketStream::from_raw_socket(stream, Role::Server, None).await.split();
        let messages = incoming.filter(|message| {
            let close = message.as_ref().is_ok_and(|message| message.is_close());
            std::future::ready(!close)
        });
        Ok::<_, Fault>(messages.forward(sink).await?)
    });
    Ok(response)
}

async fn grpc(stream: TcpStream) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        spawn_local(talk(request.into_body(), respond));
    }
    Ok(())
}

async fn talk(mut incoming: RecvStream, mut respond: SendResponse<Bytes>) -> Result<(), Fault> {
    let response = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut outgoing = respond.send_response(response, false)?;
    while let Some(part) = incoming.data().await.transpose()? {
        incoming.flow_control().release_capacity(part.len())?;
        if !part.is_empty() {
            outgoing.send_data(part, false)?;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse()?);
    Ok(outgoing.send_trailers(trailers)?)
}
