//! The keys between two runs: a file of the state directory.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{Key, StoredKey};
use crate::state::{Held, StateDirectory};

const FILE: &str = "assertion-keys.json";
/// A file larger than this is none that we wrote, in bytes.
const LARGEST: u64 = 64 * 1024;

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    keys: Vec<StoredKey>,
}

/// The keys of an earlier run; none when there was none. A file that cannot be read is an error and never a reason for new
/// keys, which no service would know.
pub(super) fn read(state: &StateDirectory) -> io::Result<Vec<Arc<Key>>> {
    let Some((text, _)) = state.read(FILE, 0, LARGEST)? else { return Ok(Vec::new()) };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged"));
    let stored: Stored = serde_json::from_slice(&text).map_err(|_| damaged())?;
    stored.keys.iter().map(|key| Key::restore(key).map(Arc::new).ok_or_else(damaged)).collect()
}

pub(super) fn write(held: &Held<'_>, keys: &[Arc<Key>]) -> io::Result<()> {
    let keys: Option<Vec<_>> = keys.iter().map(|key| key.store()).collect();
    let keys = keys.ok_or_else(|| io::Error::other("a key cannot be encoded"))?;
    held.replace(FILE, &Zeroizing::new(serde_json::to_vec(&Stored { keys })?))
}
