//! As much of RFC 6455 as an echo needs: the handshake, whole frames, ping, close.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A larger frame ends the connection.
const FRAME: u64 = 64 * 1024;

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Whether the request asks for a WebSocket.
pub(super) fn is_handshake(request: &Request<Incoming>) -> bool {
    let asks = request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    asks && request.headers().contains_key(SEC_WEBSOCKET_KEY)
}

/// Accepts the handshake; the echo runs once the answer is written.
pub(super) fn accept(request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let mut answer = Response::new(Empty::<Bytes>::new());
    let mut key = request.headers().get(SEC_WEBSOCKET_KEY).map_or_else(Vec::new, |key| key.as_bytes().to_vec());
    key.extend_from_slice(GUID.as_bytes());
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &key));
    let Ok(proof) = HeaderValue::try_from(proof) else { return answer };
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, proof);
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            // A client that breaks off is no fault of an echo.
            let _ = echo(TokioIo::new(upgraded)).await;
        }
    });
    answer
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    while let Some((first, payload)) = read_frame(&mut stream).await? {
        let answer = if first & 0x0f == PING { FINAL | PONG } else { first };
        if first & 0x0f != PONG {
            write_frame(&mut stream, answer, &payload).await?;
        }
        if first & 0x0f == CLOSE {
            break;
        }
    }
    stream.shutdown().await
}

/// The first byte of a frame and its unmasked payload. `None` when it is not masked, or too large (RFC 6455 section 5).
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let first = stream.read_u8().await?;
    let second = stream.read_u8().await?;
    let length = match second & !MASKED {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    if second & MASKED == 0 || length > FRAME {
        return Ok(None);
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = Vec::new();
    let mut limited = stream.take(length);
    limited.read_to_end(&mut payload).await?;
    if limited.limit() > 0 {
        return Ok(None);
    }
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Some((first, payload)))
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => frame.push(short),
        (_, Ok(middle)) => {
            frame.push(126);
            frame.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}
