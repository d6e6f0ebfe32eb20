//! Bodies and trailers on their way, in both versions of HTTP: piece by piece, with the pace of the slower side, and with
//! an end that tells whether it is one.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::{advance, pause};

use super::harness::{Gate, Local, Peer, Seen, Who, service, settings};
use crate::upstream::settings::{Protocol, Settings};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

/// A body that is written as the test goes.
pub(super) type Feed = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;
pub(super) type Fed = StreamBody<Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>>>>>;

pub(super) fn fed() -> (Feed, Fed) {
    let (feed, source) = mpsc::unbounded_channel();
    let stream = futures_util::stream::unfold(source, |mut source: mpsc::UnboundedReceiver<_>| async move {
        source.recv().await.map(|frame| (frame, source))
    });
    (feed, StreamBody::new(Box::pin(stream)))
}

pub(super) fn data(text: &'static str) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

pub(super) fn trailers(fields: &[(&'static str, &'static str)]) -> Result<Frame<Bytes>, Infallible> {
    let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Ok(Frame::trailers(fields.collect::<HeaderMap>()))
}

/// A service that speaks HTTP/2 without TLS.
pub(super) async fn http2_service<F, A>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + 'static,
    A: Future<Output = Response<Fed>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection =
                hyper::server::conn::http2::Builder::new(Local).serve_connection(TokioIo::new(stream), service);
            spawn_local(connection);
        }
    });
    address
}

pub(super) fn http2(address: SocketAddr) -> Settings {
    Settings { protocol: Protocol::Http2, ..settings(address) }
}

pub(super) async fn client(gate: &Gate) -> hyper::client::conn::http2::SendRequest<Fed> {
    let io = TokioIo::new(TcpStream::connect(gate.address).await.unwrap());
    let (send, connection) = hyper::client::conn::http2::handshake(Local, io).await.unwrap();
    spawn_local(connection);
    send
}

pub(super) fn call(body: Fed) -> Request<Fed> {
    let request = Request::post("http://a/pkg.Service/Method").header("te", "trailers");
    request.header("content-type", "application/grpc").body(body).unwrap()
}

async fn next(body: &mut Incoming) -> Frame<Bytes> {
    body.frame().await.unwrap().unwrap()
}

/// A bidirectional call: each side's next message waits for the other's last one, so nothing may be held back.
#[tokio::test(flavor = "local")]
async fn messages_of_a_call_go_both_ways_as_they_come_and_trailers_follow() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let address = http2_service(move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            told.send(format!("{:?}", request.headers().get("te"))).unwrap();
            let (feed, body) = fed();
            spawn_local(async move {
                let mut incoming = request.into_body();
                while let Some(Ok(frame)) = incoming.frame().await {
                    match frame.into_data() {
                        Ok(bytes) => feed.send(Ok(Frame::data(bytes))).unwrap(),
                        Err(frame) => told.send(format!("{:?}", frame.into_trailers().unwrap())).unwrap(),
                    }
                }
                feed.send(trailers(&[("grpc-status", "0")])).unwrap();
            });
            Response::new(body)
        }
    })
    .await;
    let gate = Gate::open_http2(vec![http2(address)], Who::default()).await;
    let (feed, body) = fed();
    feed.send(data("first")).unwrap();
    let answer = client(&gate).await.send_request(call(body)).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(next(&mut body).await.into_data().unwrap(), "first");
    feed.send(data("second")).unwrap();
    assert_eq!(next(&mut body).await.into_data().unwrap(), "second");
    feed.send(trailers(&[("x-checksum", "1"), ("authorization", "Bearer x"), ("x-forwarded-for", "::1")])).unwrap();
    drop(feed);
    let last = next(&mut body).await.into_trailers().unwrap();
    assert_eq!(format!("{last:?}"), r#"{"grpc-status": "0"}"#);
    assert_eq!(heard.recv().await.unwrap(), r#"Some("trailers")"#);
    assert_eq!(heard.recv().await.unwrap(), r#"{"x-checksum": "1"}"#);
}

/// An answer that is trailers alone, as gRPC gives for a call that failed at once.
#[tokio::test(flavor = "local")]
async fn an_answer_without_a_body_keeps_its_status() {
    let address = http2_service(|_| async {
        let mut answer = Response::new(fed().1);
        answer.headers_mut().insert("grpc-status", "12".parse().unwrap());
        answer
    })
    .await;
    let gate = Gate::open_http2(vec![http2(address)], Who::default()).await;
    let answer = client(&gate).await.send_request(call(fed().1)).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "12");
}

#[tokio::test(flavor = "local")]
async fn a_client_that_resets_its_stream_cancels_the_call() {
    let cancelled = Rc::new(Notify::new());
    let tell = cancelled.clone();
    let address = http2_service(move |request: Request<Incoming>| {
        let tell = tell.clone();
        async move {
            let (feed, body) = fed();
            feed.send(data("first")).unwrap();
            spawn_local(async move {
                let mut incoming = request.into_body();
                while let Some(Ok(_)) = incoming.frame().await {}
                // The answer's other end is gone.
                feed.closed().await;
                tell.notify_one();
            });
            Response::new(body)
        }
    })
    .await;
    let gate = Gate::open_http2(vec![http2(address)], Who::default()).await;
    let (feed, body) = fed();
    let mut send = client(&gate).await;
    let mut answer = send.send_request(call(body)).await.unwrap();
    assert_eq!(next(answer.body_mut()).await.into_data().unwrap(), "first");
    drop((answer, feed));
    cancelled.notified().await;
}

#[tokio::test(flavor = "local")]
async fn a_service_that_breaks_off_breaks_off_the_clients_stream() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    })
    .await;
    let mut gate = Gate::open_http2(vec![settings(address)], Who::default()).await;
    let (feed, body) = fed();
    drop(feed);
    let answer = client(&gate).await.send_request(call(body)).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(next(&mut body).await.into_data().unwrap(), "half");
    assert!(body.frame().await.unwrap().is_err(), "an end in order would say that this was all");
    gate.seen().await;
    assert!(matches!(gate.seen().await, Seen::Cut(_)));
}

/// Kernel buffers on both hops and what the gate holds itself, at most; a body of four times as much must not fit.
const HELD: usize = 64 << 20;

/// Counts what goes in until nothing more does.
async fn until_it_stalls(count: &Cell<usize>) -> usize {
    loop {
        let before = count.get();
        tokio::time::sleep(Duration::from_millis(100)).await;
        if before > 0 && count.get() == before {
            return before;
        }
    }
}

/// Writes pieces for as long as they are taken.
async fn pour(mut peer: Peer, head: String, poured: Rc<Cell<usize>>) {
    peer.send(head).await;
    let piece = vec![b'x'; 64 * 1024];
    while poured.get() < 4 * HELD && peer.try_send(&piece).await {
        poured.set(poured.get() + piece.len());
    }
}

#[tokio::test(flavor = "local")]
async fn an_upload_waits_for_a_slow_service_instead_of_filling_the_memory() {
    let go = Rc::new(Notify::new());
    let wait = go.clone();
    let address = service(move |_, mut peer| {
        let wait = wait.clone();
        async move {
            peer.head().await;
            wait.notified().await;
        }
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    let poured = Rc::new(Cell::new(0));
    let head = format!("{POST}Content-Length: {}\r\n\r\n", 4 * HELD);
    spawn_local(pour(Peer::connect(gate.address).await, head, poured.clone()));
    let held = until_it_stalls(&poured).await;
    assert!(held < HELD, "{held} bytes are under way and nobody has taken one");
    go.notify_one();
}

#[tokio::test(flavor = "local")]
async fn a_download_waits_for_a_slow_client_instead_of_filling_the_memory() {
    let poured = Rc::new(Cell::new(0));
    let count = poured.clone();
    let address = service(move |_, mut peer| {
        let count = count.clone();
        async move {
            peer.head().await;
            pour(peer, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 4 * HELD), count).await;
        }
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    let held = until_it_stalls(&poured).await;
    assert!(held < HELD, "{held} bytes are under way and nobody has taken one");
}

#[tokio::test(flavor = "local")]
async fn a_client_that_expects_100_gets_it_when_the_service_wants_the_body() {
    let (told, mut heads) = mpsc::unbounded_channel();
    let address = service(move |_, mut peer| {
        let told = told.clone();
        async move {
            told.send(peer.head().await).unwrap();
            assert_eq!(peer.bytes(4).await, b"body");
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(format!("{POST}Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert!(client.rest().await.ends_with("ok"));
    let head = heads.recv().await.unwrap();
    assert!(!head.to_lowercase().contains("expect"), "we have answered it: {head}");
}

#[tokio::test(flavor = "local")]
async fn a_client_that_expects_100_and_is_refused_gets_none() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gate = Gate::open(vec![settings(nobody)], Who::default()).await;
    let answer = gate.talk(&format!("{POST}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"), |_| false).await;
    assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
}

#[tokio::test(flavor = "local")]
async fn what_a_service_says_in_between_is_not_passed_on() {
    for between in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 X\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let address = service(move |_, mut peer| async move {
            peer.head().await;
            peer.send(between).await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            peer.more().await;
        })
        .await;
        let gate = Gate::open(vec![settings(address)], Who::default()).await;
        let answer = gate.get("").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{between}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{between}: {answer}");
    }
}

#[tokio::test(flavor = "local")]
async fn an_answer_may_come_before_the_request_is_whole() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull").await;
        while peer.more().await {}
    })
    .await;
    let mut gate = Gate::open(vec![settings(address)], Who::default()).await;
    let mut client = Peer::connect(gate.address).await;
    client.send(format!("{POST}Content-Length: 1000000\r\n\r\nhalf")).await;
    let answer = client.read_until(|kept| kept.ends_with("full")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(matches!(gate.seen().await, Seen::Answered(413)));
}

#[tokio::test(flavor = "local")]
async fn a_long_answer_ends_with_the_token_that_opened_it() {
    let address = service(|_, mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        while peer.more().await {}
    })
    .await;
    let expires_at = Timestamp::now().checked_add(SignedDuration::from_secs(300)).ok();
    let mut patient = settings(address);
    patient.timeouts.idle = Duration::from_secs(3_600);
    let mut gate = Gate::open(vec![patient], Who { expires_at, ..Who::default() }).await;
    let mut client = Peer::connect(gate.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_until(|kept| kept.contains("first\r\n")).await;
    pause();
    advance(Duration::from_secs(301)).await;
    assert_eq!(client.rest().await, "", "an end in order would say that this was all");
    gate.seen().await;
    let cut = gate.seen().await;
    assert!(matches!(&cut, Seen::Cut(error) if error.contains("LeaseEnded(TokenExpired)")), "{cut:?}");
}

#[tokio::test(flavor = "local")]
async fn one_stream_ends_and_its_neighbours_go_on() {
    let address = http2_service(|_| async {
        let (feed, body) = fed();
        spawn_local(async move {
            feed.send(data("first")).unwrap();
            feed.closed().await;
        });
        Response::new(body)
    })
    .await;
    let gate = Gate::open_http2(vec![http2(address)], Who::default()).await;
    let mut send = client(&gate).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        send.ready().await.unwrap();
        let mut body = send.send_request(call(fed().1)).await.unwrap().into_body();
        assert_eq!(next(&mut body).await.into_data().unwrap(), "first");
        open.push(body);
    }
    gate.leases.borrow()[0].end_for(crate::identity::Reason::TokenRevoked);
    assert!(open[0].frame().await.unwrap().is_err());
    send.ready().await.unwrap();
    assert_eq!(send.send_request(call(fed().1)).await.unwrap().status(), StatusCode::OK);
    assert!(futures_util::FutureExt::now_or_never(open[1].frame()).is_none(), "it is still open");
}

#[tokio::test(flavor = "local")]
async fn every_byte_of_a_large_body_arrives() {
    const SIZE: usize = 8 << 20;
    let address = service(|_, mut peer| async move {
        peer.head().await;
        let body = peer.bytes(SIZE).await;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")).await;
        peer.send(body).await;
    })
    .await;
    let gate = Gate::open(vec![settings(address)], Who::default()).await;
    let body: Vec<u8> = (0..SIZE).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let mut client = Peer::connect(gate.address).await;
    client.send(format!("{POST}Content-Length: {SIZE}\r\nConnection: close\r\n\r\n")).await;
    client.send(&body).await;
    client.head().await;
    assert!(client.bytes(SIZE).await == body);
}
