//! An upgraded connection: bytes both ways until one side closes, nothing moves for too long, or the lease ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Extensions;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::body::Watch;
use super::error::StreamError;
use super::pool::Hold;
use super::websocket::Boundary;
use crate::identity::Reason;
use crate::lease::{Ended, Lease};

/// How long the two sides may take to hand over their connections, and the client to take the last word.
const PATIENCE: Duration = Duration::from_secs(10);
/// For each direction.
const BUFFER: usize = 16 * 1024;

/// Both ends, and what the tunnel rests on.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) service: OnUpgrade,
    /// Kept for its place; the connection never goes back.
    pub(super) hold: Hold,
    pub(super) lease: Rc<Lease>,
    pub(super) idle: Duration,
    /// Kept until the end.
    pub(super) along: Extensions,
}

impl Tunnel {
    /// Copies until the end, and says how it ended.
    pub(super) async fn run(self) -> Ended {
        let _kept = (self.hold, self.along);
        let both = async { (self.client.await, self.service.await) };
        let Ok((Ok(client), Ok(service))) = timeout(PATIENCE, both).await else {
            return Ended { reason: Some(Reason::ClientGone), to_upstream: 0, to_client: 0 };
        };
        let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
        let (mut up, mut down) = (Flow::new(), Flow::new());
        let mut watch = Watch::new(self.lease, self.idle, None);
        let mut boundary = Boundary::default();
        let cut = poll_fn(|context| {
            poll_both(context, &mut client, &mut service, (&mut up, &mut down), &mut boundary, &mut watch)
        })
        .await;
        let reason = cut.map(|cut| match cut {
            StreamError::LeaseEnded(reason) => reason,
            _ => Reason::UpstreamTimeout,
        });
        if reason.is_some() && boundary.between_frames() {
            let farewell = async {
                client.write_all(&Boundary::close_frame()).await?;
                client.shutdown().await
            };
            // The client may be gone already: then there is nobody to tell.
            let _ = timeout(PATIENCE, farewell).await;
        }
        Ended { reason, to_upstream: up.moved, to_client: down.moved }
    }
}

type Io = TokioIo<Upgraded>;

/// Moves what can be moved. Ready with `None` when both directions have ended or one has failed, else with the cut.
fn poll_both(
    context: &mut Context<'_>,
    client: &mut Io,
    service: &mut Io,
    (up, down): (&mut Flow, &mut Flow),
    boundary: &mut Boundary,
    watch: &mut Watch,
) -> Poll<Option<StreamError>> {
    let before = (up.moved, down.moved);
    let upward = up.poll(context, client, service, |_| ());
    let downward = down.poll(context, service, client, |bytes| boundary.advance(bytes));
    if (up.moved, down.moved) != before
        && let Err(cut) = watch.moved()
    {
        return Poll::Ready(Some(cut));
    }
    match (upward, downward) {
        (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) | (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
            Poll::Ready(None)
        }
        _ => watch.waits(context).map(Some),
    }
}

/// One direction.
struct Flow {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    reading: bool,
    closed: bool,
    moved: u64,
}

impl Flow {
    fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into(), start: 0, end: 0, reading: true, closed: false, moved: 0 }
    }

    /// Ready when the reader has ended and the writer knows. Reads only into an empty buffer: a slow writer stops the
    /// reader.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Io,
        to: &mut Io,
        mut passed: impl FnMut(&[u8]),
    ) -> Poll<std::io::Result<()>> {
        loop {
            while let Some(rest) = self.buffer.get(self.start..self.end).filter(|rest| !rest.is_empty()) {
                let written = ready!(Pin::new(&mut *to).poll_write(context, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                passed(rest.get(..written).unwrap_or_default());
                self.start += written;
                self.moved = self.moved.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
            }
            if !self.reading {
                if !self.closed {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    self.closed = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut space = ReadBuf::new(&mut self.buffer);
            if Pin::new(&mut *from).poll_read(context, &mut space)?.is_pending() {
                ready!(Pin::new(&mut *to).poll_flush(context))?;
                return Poll::Pending;
            }
            (self.start, self.end) = (0, space.filled().len());
            self.reading = self.end != 0;
        }
    }
}
