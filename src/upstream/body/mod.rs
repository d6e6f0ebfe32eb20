//! Bodies on their way: streamed piece by piece, never collected; each piece is asked for only when the other side has
//! room, so that a slow reader slows its writer and nothing piles up here.

mod pace;
mod request;
mod response;
mod watch;

pub(super) use pace::Pace;
pub(super) use request::{Failure, Limits, Progress, RequestBody};
pub use response::Body;
pub(super) use watch::{Timer, Watch};
