//! What each worker thread serves with: a gateway of its own over the shared snapshot.

use std::cell::RefCell;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::audit::{AuditHandle, ConnectionRecord, Recorder};
use crate::gateway::{AnswerBody, Gateway, Snapshot};
use crate::listener::{ConnectionEvent, Observer, Phase, WorkerSeat};
use crate::request::Connection;
use crate::telemetry::{Clock, Meters};

/// How often open exchanges are looked at for those that are open for long.
const PERIOD: Duration = Duration::from_secs(1);

/// Bytes that the allocator has not at hand.
const LARGE: usize = 1 << 20;

thread_local! {
    /// The recorder of the worker that runs on this thread: events of connections reach it from the listener.
    static RECORDER: RefCell<Option<Rc<Recorder>>> = const { RefCell::new(None) };
}

/// What a worker is built from; one for all of them.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) audit: AuditHandle,
    pub(super) meters: Vec<Arc<Meters>>,
    pub(super) clock: Clock,
}

impl Parts {
    /// Takes connections that failed outside of any request to the recorder of their own worker.
    pub(super) fn observer(&self) -> Observer {
        let clock = self.clock.clone();
        Arc::new(move |event| {
            RECORDER.with_borrow(|recorder| {
                if let Some(recorder) = recorder {
                    record(recorder, &event, &clock);
                }
            });
        })
    }

    /// Builds the service of one worker, on its own thread.
    pub(super) fn serve(&self, seat: WorkerSeat) -> impl Fn(Request<Incoming>, Arc<Connection>) -> ServeFuture + use<> {
        let meters = self.meters.get(seat.index).cloned().unwrap_or_default();
        // Asked at the moment of a cut: a task that waits for the phase may learn of it after the connections.
        let cut = move || *seat.phase.borrow() == Phase::Cut;
        let recorder = Recorder::join(&self.audit, meters, self.meters.len(), cut);
        RECORDER.set(Some(recorder.clone()));
        let gateway = Rc::new(Gateway::new(self.snapshot.clone(), recorder.clone(), self.clock.clone()));
        tokio::task::spawn_local(watch(recorder, Rc::downgrade(&gateway)));
        move |request, connection| Box::pin(gateway.serve(request, connection))
    }
}

/// One request being answered. Boxed once: the walk is a large future, and the connection task holds it in place.
pub(super) type ServeFuture = std::pin::Pin<Box<dyn Future<Output = Response<AnswerBody>>>>;

async fn watch(recorder: Rc<Recorder>, gateway: Weak<Gateway>) {
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        recorder.notice_long_exchanges();
        // What was given back is handed to the system when the allocator is next asked for a large piece, and by
        // itself a worker never asks for one.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
        if let Some(gateway) = gateway.upgrade() {
            gateway.review();
        }
    }
}

fn record(recorder: &Recorder, event: &ConnectionEvent, clock: &Clock) {
    recorder.connection(&ConnectionRecord {
        kind: "connection",
        time: clock.now(),
        connection: &event.id.to_string(),
        listener: &event.listener,
        client: event.client,
        failure: event.kind.as_str(),
        detail: event.detail.as_deref(),
    });
}
