//! Messages through an open exchange, each sent when the last one came back: WebSocket and gRPC.

use std::time::Instant;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use hyper::Request;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::Fault;
use crate::client::{Client, Target};
use crate::report::{Report, ready};

/// Bytes of one message.
const SIZE: usize = 100;

/// `messages` on each of `connections` WebSockets.
pub async fn websocket(target: &Target, connections: usize, messages: usize) -> Result<(), Fault> {
    let (client, token, report) = (Client::usual(target, "http/1.1")?, target.token()?, Report::default());
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let stream = client.connect().await?;
        report.handshake(&stream);
        let mut request = "wss://localhost/api/socket".into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
        sockets.push(tokio_tungstenite::client_async(request, stream).await?.0);
    }
    ready()?;
    try_join_all(sockets.iter_mut().map(|socket| talk(socket, messages, &report))).await?;
    report.print();
    Ok(())
}

async fn talk(
    socket: &mut WebSocketStream<TlsStream<TcpStream>>,
    messages: usize,
    report: &Report,
) -> Result<(), Fault> {
    for _ in 0..messages {
        let since = Instant::now();
        socket.send(Message::binary(vec![7; SIZE])).await?;
        match socket.next().await.ok_or("the socket ended")?? {
            Message::Binary(back) if back.len() == SIZE => report.answered(since),
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
    Ok(socket.close(None).await?)
}

/// `messages` on each of `streams` gRPC calls on each of `connections`.
pub async fn grpc(target: &Target, connections: usize, streams: usize, messages: usize) -> Result<(), Fault> {
    let (client, token, report) = (Client::usual(target, "h2")?, target.token()?, Report::default());
    let mut calls = Vec::new();
    for _ in 0..connections {
        let stream = client.connect().await?;
        report.handshake(&stream);
        let (sender, connection) = h2::client::handshake(stream).await?;
        tokio::task::spawn_local(connection);
        for _ in 0..streams {
            calls.push(Call::start(sender.clone(), &token).await?);
        }
    }
    ready()?;
    try_join_all(calls.into_iter().map(|call| call.talk(messages, &report))).await?;
    report.print();
    Ok(())
}

/// A bidirectional call that has had its first message echoed.
struct Call {
    outgoing: SendStream<Bytes>,
    incoming: RecvStream,
    message: Bytes,
}

impl Call {
    async fn start(sender: SendRequest<Bytes>, token: &str) -> Result<Self, Fault> {
        let request = Request::post("https://localhost/api/echo.Echo/Talk")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {token}"))
            .body(())?;
        let mut message = BytesMut::new();
        message.put_u8(0);
        message.put_u32(u32::try_from(SIZE)?);
        message.put_bytes(7, SIZE);
        let message = message.freeze();
        let (response, mut outgoing) = sender.ready().await?.send_request(request, false)?;
        outgoing.send_data(message.clone(), false)?;
        let response = response.await?;
        if response.status() != 200 {
            return Err(format!("status {}", response.status()).into());
        }
        let mut call = Self { outgoing, incoming: response.into_body(), message };
        call.echoed().await?;
        Ok(call)
    }

    async fn talk(mut self, messages: usize, report: &Report) -> Result<(), Fault> {
        for _ in 0..messages {
            let since = Instant::now();
            self.outgoing.send_data(self.message.clone(), false)?;
            self.echoed().await?;
            report.answered(since);
        }
        self.outgoing.send_data(Bytes::new(), true)?;
        while self.incoming.data().await.transpose()?.is_some() {}
        let trailers = self.incoming.trailers().await?.ok_or("no trailers")?;
        if trailers.get("grpc-status").is_some_and(|status| status == "0") {
            Ok(())
        } else {
            Err(format!("trailers {trailers:?}").into())
        }
    }

    async fn echoed(&mut self) -> Result<(), Fault> {
        let mut missing = self.message.len();
        while missing > 0 {
            let part = self.incoming.data().await.ok_or("the call ended")??;
            self.incoming.flow_control().release_capacity(part.len())?;
            missing = missing.checked_sub(part.len()).ok_or("more than was sent")?;
        }
        Ok(())
    }
}
