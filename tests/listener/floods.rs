//! HTTP/2 frames that cost the sender nothing and the server much, as raw bytes: each flood ends its own connection, or
//! is answered frame by frame, and the next client is served.

use portcullis::listener::ClientPolicy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, House, Running};

/// Far beyond every limit, and few enough that a server without limits is seen to take them all.
const MANY: usize = 100_000;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// GET https://edge.test/ in HPACK.
const HEAD: &[u8] = b"\x82\x84\x87\x41\x09edge.test";
/// CONNECT https://edge.test/ for a WebSocket.
const TUNNEL: &[u8] = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x84\x87\x41\x09edge.test";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
/// In the flags of a frame.
pub const END_STREAM: u8 = 1;

const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next frame: kind, stream, payload. `None` at the end of the connection.
async fn next(from: &mut ReadHalf<TlsStream<TcpStream>>) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    from.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, _, s1, s2, s3, s4] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
    from.read_exact(&mut payload).await.ok()?;
    Some((kind, u32::from_be_bytes([s1, s2, s3, s4]), payload))
}

/// A client that speaks frames.
pub struct Frames {
    from: ReadHalf<TlsStream<TcpStream>>,
    to: WriteHalf<TlsStream<TcpStream>>,
}

impl Frames {
    pub const DATA: u8 = DATA;
    pub const GOAWAY: u8 = GOAWAY;

    /// Says hello.
    pub async fn open(running: &Running) -> Self {
        let client = Client::new(None, &["h2"]);
        let (from, mut to) = tokio::io::split(running.connect(&client, "edge.test").await.unwrap());
        to.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        Self { from, to }
    }

    pub async fn send(&mut self, frames: &[u8]) {
        self.to.write_all(frames).await.unwrap();
    }

    /// The next frame, which stays without an answer.
    pub async fn listen(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        next(&mut self.from).await
    }

    pub async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let next = self.listen().await?;
        if next.0 == PING {
            // Whoever closes in order asks whether everything was heard.
            self.send(&frame(PING, 1, 0, &next.2)).await;
        }
        Some(next)
    }

    /// Asks for the one page.
    pub async fn ask(&mut self) {
        self.send(&frame(HEADERS, 5, 1, HEAD)).await;
    }

    /// Opens a tunnel in the first stream (RFC 8441).
    pub async fn open_tunnel(&mut self) {
        self.send(&frame(HEADERS, 4, 1, TUNNEL)).await;
        while self.next().await.unwrap().0 != HEADERS {}
    }

    /// Ends it.
    pub async fn close_tunnel(&mut self) {
        self.send(&frame(DATA, 1, 1, b"bye")).await;
    }

    /// Waits until the server has heard the hello.
    pub async fn settle(&mut self) {
        let mut heard = 0;
        while heard < 2 {
            heard += usize::from(self.next().await.unwrap().0 == SETTINGS);
        }
    }
}

fn house() -> Running {
    House::new(ClientPolicy::Off).run()
}

/// Sends the preface and then what `flood` makes of each number, until the server ends the connection or `MANY` were
/// sent. What the server said at the end, and how many frames of the flood were taken at most.
async fn flood(running: &Running, flood: impl Fn(usize) -> Vec<u8> + Send + 'static) -> (Option<u32>, usize) {
    let client = Client::new(None, &["h2"]);
    let (mut from, mut to) = tokio::io::split(running.connect(&client, "edge.test").await.unwrap());
    let sending = tokio::spawn(async move {
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        to.write_all(&hello).await.unwrap();
        for number in 0..MANY {
            if to.write_all(&flood(number)).await.is_err() || to.flush().await.is_err() {
                return number;
            }
        }
        MANY
    });
    let mut code = None;
    while let Some((kind, _, payload)) = next(&mut from).await {
        if let (GOAWAY, [_, _, _, _, rest @ ..]) = (kind, &payload[..]) {
            code = rest.first_chunk().copied().map(u32::from_be_bytes);
        }
    }
    (code, sending.await.unwrap())
}

async fn is_served(running: &Running) {
    assert_eq!(running.peer(&Client::anonymous()).await.as_deref(), Ok("absent"));
}

fn stream(number: usize) -> u32 {
    u32::try_from(number).unwrap() * 2 + 1
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let running = house();
    let (code, sent) = flood(&running, |number| {
        [frame(HEADERS, 4, stream(number), HEAD), frame(RST_STREAM, 0, stream(number), &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert!(code.is_some_and(|code| code != 0) && sent < MANY, "{code:?} after {sent}");
    is_served(&running).await;
}

#[tokio::test]
async fn a_header_block_without_end_ends_the_connection() {
    let running = house();
    let (code, sent) = flood(&running, |number| {
        if number == 0 { frame(HEADERS, 0, 1, HEAD) } else { frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b") }
    })
    .await;
    assert!(code.is_some_and(|code| code != 0) && sent < MANY, "{code:?} after {sent}");
    is_served(&running).await;
}

#[tokio::test]
async fn empty_pieces_of_a_body_end_the_connection() {
    let running = house();
    let (code, sent) =
        flood(&running, |number| if number == 0 { frame(HEADERS, 4, 1, HEAD) } else { frame(DATA, 0, 1, &[]) }).await;
    assert!(sent < MANY, "{code:?} after {sent}");
    is_served(&running).await;
}

/// What the server allows is said in its first frame.
#[tokio::test]
async fn limits_are_told_before_the_first_request() {
    let running = house();
    let mut frames = Frames::open(&running).await;
    let (kind, _, payload) = frames.next().await.unwrap();
    assert_eq!(kind, SETTINGS);
    let settings: Vec<(u16, u32)> = payload
        .chunks_exact(6)
        .filter_map(|one| Some((u16::from_be_bytes(*one.first_chunk()?), u32::from_be_bytes(*one.last_chunk()?))))
        .collect();
    for (name, value) in [(3, 100), (6, 64 * 1024), (8, 1)] {
        assert!(settings.contains(&(name, value)), "{name} is not {value}: {settings:?}");
    }
}

/// More streams at once than that are refused, each by itself.
#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let mut house = House::new(ClientPolicy::Off);
    house.limits.streams = 2;
    let running = house.run();
    let mut frames = Frames::open(&running).await;
    // With a window of nothing every answer stays open.
    let mut talk = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    for number in 0..3 {
        talk.extend(frame(HEADERS, 5, stream(number), HEAD));
    }
    frames.send(&talk).await;
    loop {
        let (kind, stream, payload) = frames.next().await.unwrap();
        if kind == RST_STREAM {
            assert_eq!((stream, &payload[..]), (5, &7_u32.to_be_bytes()[..]), "REFUSED_STREAM");
            return;
        }
        assert_ne!(kind, GOAWAY);
    }
}

/// Bytes that are no ClientHello, or half of one, take nobody else along.
#[tokio::test]
async fn strange_first_words_harm_nobody_else() {
    let running = house();
    for words in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff\x01\x00\x00\x01",
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x03",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x10aaaaaaaaaaaaaaaa",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        PREFACE,
    ] {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(words).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut said = Vec::new();
        // A reset is an answer, too.
        let _ = socket.read_to_end(&mut said).await;
        assert!(said.first().is_none_or(|kind| *kind == 0x15), "an alert or nothing, not {said:?}");
        is_served(&running).await;
    }
}
