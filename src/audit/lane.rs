//! What one worker hands to the writer thread: rendered records, and how many places they took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rendered records of one worker that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whole lines.
    pub lines: Vec<u8>,
    /// How many of them stand for admitted requests.
    pub admitted: u64,
    /// How many stand for refusals and connections.
    pub refused: u64,
}

impl Batch {
    /// The same room with nothing in it.
    pub(super) fn emptied(mut self) -> Self {
        self.lines.clear();
        Self { lines: self.lines, ..Self::default() }
    }
}

/// The queue between one worker and the writer.
#[derive(Debug, Default)]
pub struct Lane {
    batch: Mutex<Batch>,
    /// Records of admitted requests that reached the sink.
    pub(super) admitted_written: AtomicU64,
    /// Other records that reached the sink.
    pub(super) refused_written: AtomicU64,
}

impl Lane {
    /// The batch, locked. The lock is held for the rendering of one record or for a swap, never across a write.
    pub(super) fn batch(&self) -> MutexGuard<'_, Batch> {
        // A panic while rendering leaves whole lines and at most one cut one; the rest is still worth writing.
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has gathered, leaving `empty` in its place.
    pub(super) fn take(&self, empty: Batch) -> Batch {
        std::mem::replace(&mut self.batch(), empty)
    }

    /// Frees the places of a batch that reached the sink. Called by the writer alone.
    pub(super) fn settle(&self, batch: &Batch) {
        self.admitted_written.fetch_add(batch.admitted, Ordering::Release);
        self.refused_written.fetch_add(batch.refused, Ordering::Release);
    }
}
