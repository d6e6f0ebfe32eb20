//! A worker's end of the audit log: places are reserved here, and records are rendered into the worker's lane.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::Serialize;
use slab::Slab;

use super::line::Seconds;
use super::trail::Exchange;
use super::writer::AuditHandle;
use super::{Lane, OnFailure};
use crate::telemetry::Meters;

/// Bytes in a lane that are worth waking the writer for, before its time.
const WAKE: usize = 256 * 1024;
/// Records of connections a worker writes at most each second; the rest are only counted.
const CONNECTIONS_PER_SECOND: u32 = 100;
/// Decisions that a worker writes at most each second into the operational log, for rules that ask for it.
const SPOKEN_PER_SECOND: u32 = 10;

/// Reserves places and takes records. One per worker, `!Send`.
#[derive(Debug)]
pub struct Recorder {
    audit: AuditHandle,
    lane: Arc<Lane>,
    meters: Arc<Meters>,
    /// How many share the capacity.
    workers: u64,
    admitted: Cell<u64>,
    refused: Cell<u64>,
    pub(super) open: RefCell<Slab<Rc<Exchange>>>,
    /// The text of the second that was recorded last.
    pub(super) seconds: Seconds,
    cut: Cut,
    connections: Cell<(i64, u32)>,
    spoken: Cell<(i64, u32)>,
}

/// Tells whether exchanges are being cut because the process has to end.
struct Cut(Box<dyn Fn() -> bool>);

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cut").field(&(self.0)()).finish()
    }
}

impl Recorder {
    /// Joins the audit log with a lane of its own. `workers` share the capacity equally. Where `cut` says so, an
    /// exchange that is cut was cut by the drain, and not by its client.
    pub fn join(
        audit: &AuditHandle,
        meters: Arc<Meters>,
        workers: usize,
        cut: impl Fn() -> bool + 'static,
    ) -> Rc<Self> {
        Rc::new(Self {
            lane: audit.lane(),
            audit: audit.clone(),
            meters,
            workers: u64::try_from(workers.max(1)).unwrap_or(1),
            admitted: Cell::new(0),
            refused: Cell::new(0),
            open: RefCell::default(),
            seconds: Seconds::default(),
            cut: Cut(Box::new(cut)),
            connections: Cell::new((0, 0)),
            spoken: Cell::new((0, 0)),
        })
    }

    /// Reserves the place of an admitted request's record, before it is forwarded.
    ///
    /// `None` when no place is free or the sink has failed, and the settings say that such a request is refused.
    pub fn reserve(self: &Rc<Self>) -> Option<Slot> {
        let waiting = self.admitted.get().wrapping_sub(self.lane.admitted_written.load(Ordering::Acquire));
        if waiting < self.share() && !self.audit.failed() {
            self.admitted.set(self.admitted.get().wrapping_add(1));
            return Some(Slot { recorder: Some(self.clone()) });
        }
        match self.audit.settings().on_failure {
            OnFailure::Deny => None,
            OnFailure::Count => Some(Slot { recorder: None }),
        }
    }

    /// How many records of this worker may wait.
    fn share(&self) -> u64 {
        (self.audit.settings().capacity / self.workers).max(1)
    }

    /// The worker's counters.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(super) fn draining(&self) -> bool {
        (self.cut.0)()
    }

    /// Writes the `opened` notice of every exchange that has been open for more than ten seconds and has none yet.
    /// Called about once a second.
    pub fn notice_long_exchanges(&self) {
        for (_, exchange) in self.open.borrow().iter() {
            if exchange.is_long() {
                self.push_refusal(|lines| exchange.render_opened(lines, &self.seconds));
            }
        }
    }

    /// Records a connection that ended before its first request; beyond 100 a second they are only counted.
    pub fn connection(&self, record: &super::ConnectionRecord<'_>) {
        self.meters.connections.failed.add(1);
        if within(&self.connections, record.time, CONNECTIONS_PER_SECOND) {
            self.push_refusal(|lines| render(lines, record));
        }
    }

    /// Whether a decision may be told to the operational log, too: whoever is refused often must not fill it.
    pub(super) fn may_speak(&self, at: Timestamp) -> bool {
        within(&self.spoken, at, SPOKEN_PER_SECOND)
    }

    /// Writes a record into the share of refusals; drops and counts it when that is full, so that a flood of refusals
    /// cannot starve admitted traffic.
    pub(super) fn push_refusal(&self, render: impl FnOnce(&mut Vec<u8>)) {
        let waiting = self.refused.get().wrapping_sub(self.lane.refused_written.load(Ordering::Acquire));
        if waiting >= self.share() {
            self.audit.count_lost();
            return;
        }
        self.refused.set(self.refused.get().wrapping_add(1));
        let mut batch = self.lane.batch();
        render(&mut batch.lines);
        batch.refused += 1;
        self.wake_if(batch.lines.len());
    }

    fn push_admitted(&self, render: impl FnOnce(&mut Vec<u8>)) {
        let mut batch = self.lane.batch();
        render(&mut batch.lines);
        batch.admitted += 1;
        self.wake_if(batch.lines.len());
    }

    fn wake_if(&self, gathered: usize) {
        if gathered >= WAKE {
            self.audit.wake();
        }
    }
}

/// Counts one more of the second, and tells whether it is within what a second may have.
fn within(counted: &Cell<(i64, u32)>, at: Timestamp, most: u32) -> bool {
    let second = at.as_second();
    let (current, count) = counted.get();
    let count = if current == second { count.saturating_add(1) } else { 1 };
    counted.set((second, count));
    count <= most
}

/// A reserved place for the record of one admitted request.
#[derive(Debug)]
pub struct Slot {
    /// `None` when nothing could be reserved and the settings say to go on without a record.
    recorder: Option<Rc<Recorder>>,
}

impl Slot {
    /// Writes the record into the place.
    pub(super) fn fill(mut self, render: impl FnOnce(&mut Vec<u8>), audit: &Recorder) {
        match self.recorder.take() {
            Some(recorder) => recorder.push_admitted(render),
            None => audit.audit.count_lost(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.admitted.set(recorder.admitted.get().wrapping_sub(1));
        }
    }
}

/// Renders one line.
fn render(lines: &mut Vec<u8>, record: &impl Serialize) {
    let before = lines.len();
    match serde_json::to_writer(&mut *lines, record) {
        Ok(()) => lines.push(b'\n'),
        // Unreachable for our records; half a line would spoil its neighbours.
        Err(_) => lines.truncate(before),
    }
}
