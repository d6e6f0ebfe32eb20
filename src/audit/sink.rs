//! Where records go: a file that may be renamed under us, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The kind of sink, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkSettings {
    /// Appends to a file of mode 0600; opened again when it was renamed or removed, and on SIGUSR1.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// An open sink.
#[derive(Debug)]
pub enum Sink {
    /// A file and its path.
    File(File, PathBuf),
    /// Standard output.
    Stdout,
}

impl Sink {
    /// Opens the sink.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(settings: &SinkSettings) -> io::Result<Self> {
        match settings {
            SinkSettings::File(path) => Ok(Self::File(append_to(path)?, path.clone())),
            SinkSettings::Stdout => Ok(Self::Stdout),
        }
    }

    /// The sink once more, a file by its path.
    pub(super) fn reopened(&self) -> io::Result<Self> {
        match self {
            Self::File(_, path) => Ok(Self::File(append_to(path)?, path.clone())),
            Self::Stdout => Ok(Self::Stdout),
        }
    }

    /// Writes as much as the sink takes at once; gives the number of bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file, _) => file.write(bytes),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                let written = stdout.write(bytes)?;
                stdout.flush()?;
                Ok(written)
            }
        }
    }

    /// Whether the path no longer leads to the open file.
    pub(super) fn was_moved(&self) -> bool {
        let Self::File(file, path) = self else { return false };
        let (Ok(open), Ok(named)) = (file.metadata(), path.metadata()) else { return true };
        (open.dev(), open.ino()) != (named.dev(), named.ino())
    }

    /// Whether the file ends in half a line, as a full disk or a fall of the machine leaves one. Of what cannot be read, a
    /// pipe or a file that only takes, nobody can say so.
    pub(super) fn ends_in_mid_line(&self) -> bool {
        let Self::File(_, path) = self else { return false };
        let last = || -> io::Result<u8> {
            // Only there is opening for reading without effect.
            if !path.metadata()?.is_file() {
                return Ok(b'\n');
            }
            let (mut file, mut last) = (File::open(path)?, [0]);
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            Ok(u8::from_be_bytes(last))
        };
        last().is_ok_and(|last| last != b'\n')
    }

    /// Whether what is written to either stands behind what was written to the other.
    pub(super) fn is_also(&self, other: &Self) -> bool {
        let inode = |file: &File| file.metadata().ok().map(|open| (open.dev(), open.ino()));
        match (self, other) {
            (Self::File(one, _), Self::File(other, _)) => inode(one).is_some_and(|one| inode(other) == Some(one)),
            (Self::Stdout, Self::Stdout) => true,
            _ => false,
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
