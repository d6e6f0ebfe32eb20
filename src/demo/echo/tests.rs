use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::Echo;
use crate::demo::caller::Caller;

#[tokio::test]
async fn the_answer_says_what_was_received() {
    let echo = Echo::start().await.unwrap();
    let request = Request::post(format!("http://{}/a%20b?c=d", echo.address()))
        .header("x-one", "1")
        .header("x-two", "2")
        .header("x-two", "3")
        .body(Bytes::from_static(b"hello"))
        .unwrap();
    let answer = Caller::plain(echo.address()).call(request).await.unwrap();
    let said: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        (&said["method"], &said["target"], &said["body_bytes"]),
        (&"POST".into(), &"/a%20b?c=d".into(), &5.into())
    );
    assert_eq!(said["headers"]["x-one"], "1");
    assert_eq!(said["headers"]["x-two"], serde_json::json!(["2", "3"]));
}

#[tokio::test]
async fn events_go_on() {
    let echo = Echo::start().await.unwrap();
    let mut stream = TcpStream::connect(echo.address()).await.unwrap();
    stream.write_all(b"GET /v1/events?every=1 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 3 {
        let line = lines.next_line().await.unwrap().unwrap();
        seen.extend(line.strip_prefix("data: ").map(str::to_owned));
    }
    assert_eq!(seen, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_websocket_gets_its_messages_back() {
    let echo = Echo::start().await.unwrap();
    let stream = TcpStream::connect(echo.address()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://echo/chat", stream).await.unwrap();
    for size in [0, 5, 125, 126, 60_000] {
        let message = Message::text("x".repeat(size));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"p")));
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_connection() {
    let echo = Echo::start().await.unwrap();
    let stream = TcpStream::connect(echo.address()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://echo/", stream).await.unwrap();
    // The service may close before the whole message is written.
    let _ = socket.send(Message::binary(vec![0; 70_000])).await;
    assert!(!matches!(socket.next().await, Some(Ok(Message::Binary(_)))));
}
