//! Time that stands still until a test moves it.

use std::sync::mpsc;
use std::time::Duration;

/// While it lives, the runtime's timers fire only when [`Still::passes`] says that time has passed. A paused clock alone
/// would run ahead whenever everybody waits for a socket; a blocking task at work keeps it where it is.
pub(crate) struct Still {
    _keeps: mpsc::Sender<()>,
}

impl Still {
    pub(crate) fn begin() -> Self {
        tokio::time::pause();
        let (keeps, ended) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || ended.recv().unwrap_err());
        Self { _keeps: keeps }
    }

    /// Lets this time pass, and the millisecond to which timers are rounded up.
    pub(crate) async fn passes(&self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}
