//! Where the keys are between two runs: a file of mode 0600 in a directory that is ours alone. A lock holds two processes
//! apart that share it, such as the old and the new one of an upgrade.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{Key, StoredKey};

/// A file larger than this is none that we wrote, in bytes.
const LARGEST: u64 = 64 * 1024;

/// The state directory, held.
pub(super) struct Store {
    file: PathBuf,
    // Unlocked when it is closed.
    _lock: File,
}

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    keys: Vec<StoredKey>,
}

impl Store {
    /// Makes the directory when it is missing, and waits for whoever holds it.
    pub(super) fn hold(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if fs::metadata(directory)?.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may enter it: chmod 700"));
        }
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = lock.open(directory.join("assertion-keys.lock"))?;
        lock.lock()?;
        Ok(Self { file: directory.join("assertion-keys.json"), _lock: lock })
    }

    /// The keys of an earlier run; none when there was none. A file that cannot be read is an error and never a reason for
    /// new keys, which no service would know.
    pub(super) fn read(&self) -> io::Result<Vec<Arc<Key>>> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            let text = "others may read assertion-keys.json: chmod 600, and delete it if they have";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let mut text = Zeroizing::new(Vec::new());
        file.take(LARGEST).read_to_end(&mut text)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "assertion-keys.json is damaged");
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| damaged())?;
        stored.keys.iter().map(|key| Key::restore(key).map(Arc::new).ok_or_else(damaged)).collect()
    }

    /// Replaces the file in one step.
    pub(super) fn write(&self, keys: &[Arc<Key>]) -> io::Result<()> {
        let keys: Option<Vec<_>> = keys.iter().map(|key| key.store()).collect();
        let keys = keys.ok_or_else(|| io::Error::other("a key cannot be encoded"))?;
        let text = Zeroizing::new(serde_json::to_vec(&Stored { keys })?);
        let beside = self.file.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)
    }
}
