//! The bytes of one connection, in the clear or through TLS, as hyper takes them.

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::census::Present;
use super::fragment::Lookout;
use super::pace::Pace;
use crate::upstream::Socket;

/// What a client may still send, and for how long, when everything was said to it: a connection that is closed with
/// something unread is reset, and the last answer may be lost on the way (RFC 9112 section 9.6).
const LAST_BYTES: usize = 64 * 1024;
const LAST_WAIT: Duration = Duration::from_secs(1);

/// One connection's bytes. It is counted as open for as long as this lives, through upgrades, too.
pub(super) struct Stream {
    transport: Transport,
    pace: Arc<Pace>,
    /// Looks for request lines of HTTP/1.1; `None` in HTTP/2.
    lookout: Option<Lookout>,
    /// What was read already and is to be read again.
    unread: Bytes,
    /// Nothing more is said; what still comes is read and dropped.
    lingering: Option<Lingering>,
    _present: Present,
}

struct Lingering {
    left: usize,
    until: Pin<Box<Sleep>>,
}

pub(super) enum Transport {
    Plain(Socket<TcpStream>),
    Tls(Box<TlsStream<Socket<TcpStream>>>),
}

impl Transport {
    /// Waits until the client says something. `false` when it left without a word.
    pub(super) async fn speaks(&mut self) -> bool {
        poll_fn(|context| self.poll_speaks(context)).await
    }

    fn poll_speaks(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        match self {
            Self::Plain(stream) => {
                let peeked = stream.get().poll_peek(context, &mut ReadBuf::new(&mut [0]));
                peeked.map(|length| length.is_ok_and(|length| length > 0))
            }
            Self::Tls(stream) => {
                let filled = Pin::new(&mut **stream).poll_fill_buf(context);
                filled.map(|bytes| bytes.is_ok_and(|bytes| !bytes.is_empty()))
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl Stream {
    pub(super) const fn new(transport: Transport, pace: Arc<Pace>, lookout: Option<Lookout>, present: Present) -> Self {
        Self { transport, pace, lookout, unread: Bytes::new(), lingering: None, _present: present }
    }

    /// These bytes were read and are to be read again.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Ready when the client says something, or has left.
    pub(super) fn poll_speaks(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.unread.is_empty() { self.transport.poll_speaks(context).map(drop) } else { Poll::Ready(()) }
    }

    /// Ready when the client has closed its side as well, or has had its time.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(lingering) = &mut self.lingering else { return Poll::Ready(Ok(())) };
        let mut space = [0; 4096];
        while lingering.left > 0 {
            let mut buffer = ReadBuf::new(&mut space);
            match self.transport.poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => return lingering.until.as_mut().poll(context).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.pace.wrote(result.is_ready());
        result
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let length = this.unread.len().min(buffer.remaining());
            buffer.put_slice(&this.unread.split_to(length));
            this.pace.heard();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let result = this.transport.poll_read(context, buffer);
        let heard = buffer.filled().get(before..).unwrap_or_default();
        if !heard.is_empty() {
            this.pace.heard();
            if let Some(lookout) = this.lookout.as_mut().filter(|_| !this.pace.is_tunnel()) {
                lookout.see(heard);
            }
        }
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        this.wrote(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        this.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        this.wrote(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.pace.is_shut();
        if this.lingering.is_none() {
            ready!(match &mut this.transport {
                Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
                Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            })?;
            if this.pace.is_tunnel() {
                // Only one direction has ended.
                return Poll::Ready(Ok(()));
            }
            this.lingering = Some(Lingering { left: LAST_BYTES, until: Box::pin(sleep(LAST_WAIT)) });
        }
        this.linger(context)
    }
}
