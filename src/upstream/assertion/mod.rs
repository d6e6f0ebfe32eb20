//! Signed assertions: a short-lived JWT of our own that tells the service who asks, so that it need not trust the network
//! between us. An opaque token outside becomes a JWT inside.
//!
//! | file | what happens there |
//! |---|---|
//! | `key` | one key: makes, restores, signs |
//! | `ring` | which key signs, which are published |
//! | `store` | the keys between two runs |
//! | `claims` | what is said, and a worker's memory of what it said lately |

mod claims;
mod key;
mod ring;
mod store;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;

pub(super) use self::claims::{Assertions, Speaker};
use self::ring::Ring;
use crate::identity::Name;
use crate::state::StateDirectory;

/// How often the keys' ages are looked at.
const WATCH: Duration = Duration::from_secs(600);

/// What `[assertion]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionSettings {
    /// `iss`.
    pub issuer: Box<str>,
    /// Where the keys are.
    pub state: StateDirectory,
    /// The listener that publishes the public keys.
    pub listener: Name,
    /// From `iat` to `exp`.
    pub lifetime: Duration,
}

/// Signs assertions: one for the whole process, whichever configuration is in force.
pub struct Signer {
    settings: AssertionSettings,
    ring: ArcSwap<Ring>,
}

/// The keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the keys of [assertion] cannot be had: {}: {error}", .directory.display())]
pub struct AssertionError {
    directory: PathBuf,
    error: io::Error,
}

impl Signer {
    /// Opens the state directory, makes the first key when there is none, and looks after the keys from then on.
    ///
    /// # Errors
    /// [`AssertionError`] when the directory or its file cannot be used.
    pub fn open(
        settings: &AssertionSettings,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Arc<Self>, AssertionError> {
        let error = |error| AssertionError { directory: settings.state.path().to_path_buf(), error };
        let ring = arranged(&settings.state, now()).map_err(error)?;
        let signer = Arc::new(Self { settings: settings.clone(), ring: ArcSwap::from_pointee(ring) });
        tokio::spawn(look_after(Arc::downgrade(&signer), now));
        Ok(signer)
    }

    /// What it was opened with.
    pub const fn settings(&self) -> &AssertionSettings {
        &self.settings
    }

    /// The public keys as a JWK set.
    pub fn published(&self) -> Bytes {
        self.ring.load().published().clone()
    }

    fn sign(&self, claims: &[u8]) -> Option<String> {
        self.ring.load().signing().sign(claims)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Reads, arranges and, when that changed anything, writes.
fn arranged(state: &StateDirectory, now: Timestamp) -> io::Result<Ring> {
    let held = state.hold()?;
    let known = store::read(state)?;
    let before: Vec<_> = known.iter().map(|key| key.id().to_owned()).collect();
    let ring = Ring::arrange(known, now).ok_or_else(|| io::Error::other("no key can be made"))?;
    if !ring.keys().iter().map(|key| key.id()).eq(before.iter().map(String::as_str)) {
        store::write(&held, ring.keys())?;
    }
    Ok(ring)
}

/// Ends with the signer.
async fn look_after(signer: std::sync::Weak<Signer>, now: impl Fn() -> Timestamp) {
    loop {
        tokio::time::sleep(WATCH).await;
        let Some(signer) = signer.upgrade() else { return };
        let (state, now) = (signer.settings.state.clone(), now());
        match tokio::task::spawn_blocking(move || arranged(&state, now)).await {
            Ok(Ok(ring)) => signer.ring.store(Arc::new(ring)),
            Ok(Err(error)) => {
                tracing::error!(%error, "the keys of assertions could not be looked after; the old ones go on")
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
