//! An HTTP/1.1 connection that rests: what the HTTP library keeps for it, some fourteen kilobytes of buffers, is given back
//! when nothing was asked for a while, and made anew when the next byte comes. Most connections of most gates rest.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::Service;
use hyper_util::rt::TokioIo;

use super::stream::Stream;

/// A connection in HTTP/1.1, served or at rest.
pub(super) struct Http1<V, B>
where
    V: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    builder: Builder,
    state: State<V, B>,
}

enum State<V, B>
where
    V: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    Served(Box<UpgradeableConnection<TokioIo<Stream>, V>>),
    Resting(Box<(Stream, V)>),
    Ended,
}

impl<V, B> Http1<V, B>
where
    V: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Unpin,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    pub(super) fn serve(builder: Builder, stream: Stream, service: V) -> Self {
        let mut connection = Self { builder, state: State::Resting(Box::new((stream, service))) };
        connection.wake();
        connection
    }

    /// Lets it rest. Only between two requests, of which the first had no body and is answered to its last byte: then
    /// the library has nothing in hand but, perhaps, the beginning of the next head.
    pub(super) fn rest(mut self: Pin<&mut Self>) {
        if let State::Served(connection) = mem::replace(&mut self.state, State::Ended)
            && let Some(parts) = connection.into_parts()
        {
            let mut stream = parts.io.into_inner();
            // An empty one still holds its buffer.
            if !parts.read_buf.is_empty() {
                stream.unread(parts.read_buf);
            }
            self.state = State::Resting(Box::new((stream, parts.service)));
        }
    }

    /// Ends it after what is open.
    pub(super) fn close(mut self: Pin<&mut Self>) {
        self.wake();
        if let State::Served(connection) = &mut self.state {
            Pin::new(&mut **connection).graceful_shutdown();
        }
    }

    fn wake(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Resting(resting) => {
                let (stream, service) = *resting;
                let connection = self.builder.serve_connection(TokioIo::new(stream), service);
                State::Served(Box::new(connection.with_upgrades()))
            }
            awake => awake,
        };
    }
}

impl<V, B> Future for Http1<V, B>
where
    V: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Unpin,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        if let State::Resting(resting) = &mut self.state {
            ready!(resting.0.poll_speaks(context));
            self.wake();
        }
        match &mut self.state {
            State::Served(connection) => Pin::new(&mut **connection).poll(context),
            State::Resting(_) | State::Ended => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::server::conn::http1::Builder;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::Http1;
    use crate::listener::census::Census;
    use crate::listener::pace::Pace;
    use crate::listener::stream::{Stream, Transport};
    use crate::request::HttpVersion;
    use crate::upstream::Socket;

    /// A connection that is let rest whenever `rest` says so, and its client.
    async fn connection(rest: Arc<Notify>, close: Arc<Notify>) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (served, _) = listener.accept().await.unwrap();
        let pace = Arc::new(Pace::new(HttpVersion::Http1, Duration::from_secs(60)));
        let present = Census::new(Arc::default()).enter();
        let stream = Stream::new(Transport::Plain(Socket::new(served)), pace, None, present);
        let answer = |request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(path)))))
        };
        tokio::task::spawn_local(async move {
            let mut http = Box::pin(Http1::serve(Builder::new(), stream, service_fn(answer)));
            loop {
                tokio::select! {
                    biased;
                    ended = &mut http => return ended.unwrap(),
                    () = rest.notified() => Pin::as_mut(&mut http).rest(),
                    () = close.notified() => Pin::as_mut(&mut http).close(),
                }
            }
        });
        client
    }

    /// Reads one answer, whose body ends with `end`.
    async fn answer(client: &mut TcpStream, end: &str) {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            assert_ne!(client.read_buf(&mut seen).await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
        }
        assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&seen));
    }

    #[tokio::test(flavor = "local")]
    async fn who_rested_is_served_as_before_and_can_be_told_to_close() {
        let (rest, close) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut client = connection(rest.clone(), close.clone()).await;
        for path in ["/first", "/second", "/third"] {
            client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes()).await.unwrap();
            answer(&mut client, path).await;
            rest.notify_one();
            tokio::task::yield_now().await;
        }
        close.notify_one();
        assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0, "closed in order");
    }

    #[tokio::test(flavor = "local")]
    async fn half_a_head_that_came_with_the_last_request_is_not_lost() {
        let (rest, close) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut client = connection(rest.clone(), close).await;
        client.write_all(b"GET /first HTTP/1.1\r\nHost: a.example\r\n\r\nGET /two-").await.unwrap();
        answer(&mut client, "/first").await;
        rest.notify_one();
        tokio::task::yield_now().await;
        client.write_all(b"parts HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
        answer(&mut client, "/two-parts").await;
    }
}
