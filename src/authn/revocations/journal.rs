//! Revocations between two runs, and between two processes that share a state directory: one line of JSON each, appended
//! when it is made, read again when the file has grown.

use std::io;

use jiff::Timestamp;

use super::{Entry, Revocation, Revoked};
use crate::state::StateDirectory;

const FILE: &str = "revocations.jsonl";
/// More than 100 000 lines take, in bytes.
const LARGEST: u64 = 64 << 20;

/// The file, and how far it was read.
#[derive(Debug)]
pub(super) struct Journal {
    state: StateDirectory,
    place: Place,
}

/// A place in the file: which file it was, and the byte after the last whole line.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    file: u64,
    end: u64,
}

/// What a journal holds.
type Lines = Vec<(Revocation, Entry)>;

impl Journal {
    /// Opens the journal and gives what is in it and still needed; what is not is dropped from the file.
    pub(super) fn open(state: StateDirectory, now: Timestamp) -> io::Result<(Self, Lines)> {
        let mut journal = Self { state, place: Place::default() };
        let held = journal.state.hold()?;
        let (lines, _) = journal.unread()?;
        let all = lines.len();
        let kept: Vec<_> = lines.into_iter().filter(|(_, entry)| entry.until > now).collect();
        if kept.len() < all {
            let mut text = Vec::new();
            for (what, entry) in &kept {
                text.extend(line(&Revoked::new(what, *entry))?);
            }
            held.replace(FILE, &text)?;
        }
        // Nobody can append before the place is known from which on they are followed.
        let (_, place) = journal.unread()?;
        drop(held);
        journal.place = place;
        Ok((journal, kept))
    }

    /// Puts a revocation on the disk.
    pub(super) fn append(&self, revoked: &Revoked) -> io::Result<()> {
        self.state.hold()?.append(FILE, &line(revoked)?)
    }

    /// What was appended since the last look, by whomever.
    pub(super) fn follow(&mut self) -> io::Result<Lines> {
        let (lines, place) = self.unread()?;
        self.place = place;
        Ok(lines)
    }

    fn unread(&self) -> io::Result<(Lines, Place)> {
        let Place { file: before, end } = self.place;
        let Some((bytes, file)) = self.state.read(FILE, end, LARGEST)? else {
            return Ok((Vec::new(), Place::default()));
        };
        let (bytes, from) = if file == before || end == 0 {
            (bytes, end)
        } else {
            // Another file of the same name: from the start.
            (self.state.read(FILE, 0, LARGEST)?.map(|(bytes, _)| bytes).unwrap_or_default(), 0)
        };
        // A line that is being written has no end yet.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines = lines.map(parse).collect::<io::Result<Vec<_>>>()?;
        Ok((lines, Place { file, end: from.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX)) }))
    }
}

fn line(revoked: &Revoked) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(revoked)?;
    text.push(b'\n');
    Ok(text)
}

fn parse(line: &[u8]) -> io::Result<(Revocation, Entry)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged"));
    let revoked: Revoked = serde_json::from_slice(line).map_err(|_| damaged())?;
    let what = revoked.what().ok_or_else(damaged)?;
    Ok((what, Entry { at: revoked.at, until: revoked.until }))
}
