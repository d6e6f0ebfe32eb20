//! The writer thread: empties all lanes, writes each batch at once, and goes on trying when the sink fails.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};

use super::lane::Batch;
use super::{AuditSettings, Lane, Sink};

/// How often the lanes are emptied. With the time of one write this bounds what a kill can lose.
const PERIOD: Duration = Duration::from_millis(100);
/// How long a failed sink is left alone before the next try, and how often a file is looked at for having been moved.
const RETRY: Duration = Duration::from_secs(1);

/// The process-wide end of the audit log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: ArcSwap<AuditSettings>,
    /// Where records go from the next write on.
    next: Mutex<Option<Sink>>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    reopen: AtomicBool,
    stop: AtomicBool,
    written: AtomicU64,
    lost: AtomicU64,
    thread: OnceLock<Thread>,
    join: Mutex<Option<JoinHandle<()>>>,
}

/// How the audit log fares, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHealth {
    /// Why the sink fails, when it does.
    pub failure: Option<String>,
    /// Bytes written.
    pub written: u64,
    /// Records that were only counted: refusals beyond their share, and admitted requests under `on_failure = "count"`.
    pub lost: u64,
}

/// Opens the sink and starts the writer thread.
///
/// # Errors
/// When the sink cannot be opened or the thread cannot be started.
pub fn start(settings: AuditSettings) -> io::Result<AuditHandle> {
    let sink = Sink::open(&settings.sink)?;
    let handle = AuditHandle(Arc::new(Shared {
        settings: ArcSwap::from_pointee(settings),
        next: Mutex::default(),
        lanes: Mutex::default(),
        failed: AtomicBool::new(false),
        failure: Mutex::default(),
        reopen: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        written: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        thread: OnceLock::new(),
        join: Mutex::default(),
    }));
    let (audit, looked) = (handle.clone(), Instant::now());
    // Who wrote there before may have been cut in mid-line: the first record begins a line of its own.
    let newline = sink.ends_in_mid_line().then(|| Batch { lines: vec![b'\n'], ..Batch::default() });
    let pending = newline.map(|newline| (Arc::default(), newline)).into_iter().collect();
    let mut writer = Writer { audit, sink, spare: Vec::new(), pending, offset: 0, looked };
    let join = thread::Builder::new().name("audit".into()).spawn(move || writer.run())?;
    let _ = handle.0.thread.set(join.thread().clone());
    *lock(&handle.0.join) = Some(join);
    Ok(handle)
}

impl AuditHandle {
    /// The settings in force.
    pub fn settings(&self) -> Guard<Arc<AuditSettings>> {
        self.0.settings.load()
    }

    /// Other settings hold from here on. `sink` is the open one where records are to go, when it is another: what has
    /// gathered goes to the one before, as far as that takes it. No record is lost over it, or whole in both.
    pub fn follow(&self, settings: &AuditSettings, sink: Option<Sink>) {
        self.0.settings.store(Arc::new(settings.clone()));
        if let Some(sink) = sink {
            *lock(&self.0.next) = Some(sink);
            self.wake();
        }
    }

    /// Whether the sink has failed and not recovered.
    pub fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// How the log fares.
    pub fn health(&self) -> AuditHealth {
        AuditHealth {
            failure: lock(&self.0.failure).clone(),
            written: self.0.written.load(Ordering::Relaxed),
            lost: self.0.lost.load(Ordering::Relaxed),
        }
    }

    /// Opens the file again before the next write (SIGUSR1).
    pub fn reopen(&self) {
        self.0.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Writes what has gathered and ends the thread. Blocks for the time of a write.
    pub fn finish(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
        let join = lock(&self.0.join).take();
        if let Some(join) = join {
            let _ = join.join();
        }
    }

    pub(super) fn lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane::default());
        lock(&self.0.lanes).push(lane.clone());
        lane
    }

    pub(super) fn wake(&self) {
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn count_lost(&self) {
        self.0.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for lines that is kept for the next batch, in bytes: a batch that has to grow is copied each time.
const MOST_SPARE: usize = 1 << 20;

struct Writer {
    audit: AuditHandle,
    sink: Sink,
    /// Batches that were written, empty.
    spare: Vec<Batch>,
    /// Batches that were taken from their lanes and are not wholly written.
    pending: Vec<(Arc<Lane>, Batch)>,
    /// How much of the first pending batch is written.
    offset: usize,
    looked: Instant,
}

impl Writer {
    fn run(&mut self) {
        loop {
            let stopping = self.audit.0.stop.load(Ordering::Acquire);
            self.reopen_if_moved();
            self.move_on();
            let outcome = self.drain();
            self.report(outcome.err());
            if stopping {
                return;
            }
            thread::park_timeout(if self.audit.failed() { RETRY } else { PERIOD });
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        // While the sink fails, records stay in their lanes, whose places then run out: that is what bounds them.
        if self.pending.is_empty() {
            for lane in lock(&self.audit.0.lanes).iter() {
                let batch = lane.take(self.spare.pop().unwrap_or_default());
                match batch.lines.is_empty() {
                    true => self.spare.push(batch),
                    false => self.pending.push((lane.clone(), batch)),
                }
            }
        }
        while let Some((lane, batch)) = self.pending.first() {
            while self.offset < batch.lines.len() {
                let rest = batch.lines.get(self.offset..).unwrap_or_default();
                match self.sink.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        self.offset += written;
                        self.audit.0.written.fetch_add(written as u64, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            lane.settle(batch);
            self.offset = 0;
            let (_, written) = self.pending.remove(0);
            if written.lines.capacity() <= MOST_SPARE {
                self.spare.push(written.emptied());
            }
        }
        Ok(())
    }

    fn reopen_if_moved(&mut self) {
        let asked = self.audit.0.reopen.swap(false, Ordering::AcqRel);
        let due = self.looked.elapsed() >= RETRY;
        if due {
            self.looked = Instant::now();
        }
        let moved = due && self.sink.was_moved();
        if !asked && !moved {
            return;
        }
        match self.sink.reopened() {
            Ok(sink) => self.go_on_with(sink),
            Err(error) => self.report(Some(error)),
        }
    }

    /// Goes on with the sink that a reload opened.
    fn move_on(&mut self) {
        let Some(sink) = lock(&self.audit.0.next).take() else { return };
        // What the old sink does not take goes to the new one.
        let _ = self.drain();
        self.go_on_with(sink);
    }

    /// A line that was cut in the old file begins anew in a new one. In the same file its other half follows: begun anew
    /// behind its first half, it could be read by nobody.
    fn go_on_with(&mut self, sink: Sink) {
        let same = self.sink.is_also(&sink);
        self.sink = sink;
        if same {
            return;
        }
        let written = self.pending.first().and_then(|(_, batch)| batch.lines.get(..self.offset)).unwrap_or_default();
        self.offset = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    }

    fn report(&self, error: Option<io::Error>) {
        let failed = error.is_some();
        if self.audit.0.failed.swap(failed, Ordering::AcqRel) != failed {
            match &error {
                Some(error) => tracing::error!(%error, "the audit log cannot be written"),
                None => tracing::info!("the audit log can be written again"),
            }
        }
        *lock(&self.audit.0.failure) = error.map(|error| error.to_string());
    }
}

#[cfg(test)]
mod tests;
