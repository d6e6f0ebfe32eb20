//! Logs, metrics and the clock: what every room may use to say what happened, and to know when.

mod clock;
mod exposition;
mod log;
mod meters;
mod subjects;

pub use clock::Clock;
pub use exposition::{Exposition, Kind};
pub use log::{LogFormat, LogSettings, follow_log, start_log};
pub use meters::{Connections, Counter, Gauge, Histogram, Meters, total};
pub use subjects::{SubjectCount, Subjects};
