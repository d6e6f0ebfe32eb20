//! What outlives the process: files in a directory that is ours alone.
//!
//! In: the directory's path, checked by `config`. Out: bytes, read, replaced in one step or appended, while nobody else
//! holds the directory: two processes may share it, such as the old and the new one of an upgrade.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDirectory(PathBuf);

/// A state directory that nobody else changes meanwhile. Let go when it is dropped.
#[derive(Debug)]
pub struct Held<'d> {
    directory: &'d Path,
    // Unlocked when it is closed.
    _lock: File,
}

impl StateDirectory {
    /// The directory at `path`, which need not be there yet.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory (mode 0700) when it is missing, and waits for whoever holds it.
    ///
    /// # Errors
    /// When it cannot be made or entered, or when others can enter it.
    pub fn hold(&self) -> io::Result<Held<'_>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        if is_open_to_others(&fs::metadata(&self.0)?) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may enter it: chmod 700"));
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.0.join("lock"))?;
        lock.lock()?;
        Ok(Held { directory: &self.0, _lock: lock })
    }

    /// What is in the file `name` from byte `from` on, and which file it is: another number tells that it was replaced. At
    /// most `most` bytes. `None` when there is no such file. For a look without holding the directory.
    ///
    /// # Errors
    /// When it cannot be read, is longer, or others may read it.
    pub fn read(&self, name: &str, from: u64, most: u64) -> io::Result<Option<(Zeroizing<Vec<u8>>, u64)>> {
        let mut file = match File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if is_open_to_others(&metadata) {
            let text = format!("others may read {name}: chmod 600, and do without it if they have");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{name} is longer than {most} bytes")));
        }
        Ok(Some((bytes, metadata.ino())))
    }
}

impl Held<'_> {
    /// Replaces a file in one step: it has the old content or the new.
    ///
    /// # Errors
    /// When it cannot be written; the old content stays.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let beside = self.directory.join(format!("{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, self.directory.join(name))?;
        File::open(self.directory)?.sync_all()
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// When it is there and stays.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Appends to a file, and returns when it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(self.directory.join(name))?;
        file.write_all(content)?;
        file.sync_all()
    }
}

fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::StateDirectory;

    #[test]
    fn what_was_written_is_there_and_nobody_elses() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(place.path().join("deep/state"));
        assert!(state.read("log", 0, 10).unwrap().is_none());
        let held = state.hold().unwrap();
        held.append("log", b"one\n").unwrap();
        held.append("log", b"two\n").unwrap();
        let (text, file) = state.read("log", 4, 10).unwrap().unwrap();
        assert_eq!(&**text, b"two\n");
        held.replace("log", b"three").unwrap();
        let (text, other) = state.read("log", 0, 10).unwrap().unwrap();
        assert_eq!(&**text, b"three");
        assert_ne!(file, other, "a replaced file is another one");
        assert!(state.read("log", 0, 4).is_err(), "a longer file is none of ours");
        held.replace("old", b"x").unwrap();
        held.remove("old").unwrap();
        held.remove("old").unwrap();
        assert!(state.read("old", 0, 4).unwrap().is_none());
        let mode = |name: &str| fs::metadata(state.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("log"), mode("lock")), (0o700, 0o600, 0o600));
    }

    #[test]
    fn what_others_can_reach_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(place.path().join("state"));
        state.hold().unwrap().append("log", b"x").unwrap();
        fs::set_permissions(state.path().join("log"), Permissions::from_mode(0o640)).unwrap();
        assert!(state.read("log", 0, 10).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(state.path(), Permissions::from_mode(0o710)).unwrap();
        assert!(state.hold().unwrap_err().to_string().contains("chmod 700"));
    }

    #[test]
    fn one_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(place.path().join("state"));
        let held = state.hold().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let other = state.clone();
        let waiting = std::thread::spawn(move || {
            let _held = other.hold().unwrap();
            tell.send(()).unwrap();
        });
        assert!(told.try_recv().is_err());
        held.append("log", b"first").unwrap();
        drop(held);
        told.recv().unwrap();
        waiting.join().unwrap();
    }
}
