//! Logs, metrics and the clock: what every room may use to say what happened, and to know when.

mod clock;

pub use clock::Clock;
