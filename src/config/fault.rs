//! Faults of a configuration: collected all, shown with file, line, the offending text and a hint.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use aws_lc_rs::digest::{Context, SHA256};

/// One file of a configuration, as it was read.
#[derive(Debug)]
pub struct Source {
    /// Its path, as the user gave it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Where its lines begin; looked for once, for thousands of rules ask where they stand.
    lines: OnceLock<Box<[usize]>>,
}

impl Source {
    /// A file's text.
    pub const fn new(path: PathBuf, text: String) -> Self {
        Self { path, text, lines: OnceLock::new() }
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect()
        })
    }
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct At {
    /// The file.
    pub source: Arc<Source>,
    /// Byte offsets into its text.
    pub span: Range<usize>,
}

impl At {
    /// Line and column, from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        let (text, lines) = (&self.source.text, self.source.lines());
        let place = self.span.start.min(text.len());
        let line = lines.partition_point(|start| *start <= place);
        let start = lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        (line, text.get(start..place).unwrap_or_default().chars().count() + 1)
    }

    /// The place of one part of a string value: `span` counts bytes of the string's content. Exact for strings in which
    /// nothing is escaped, else the whole string.
    #[must_use]
    pub fn within(&self, content: &str, span: Range<usize>) -> Self {
        let whole = self.source.text.get(self.span.clone()).unwrap_or_default();
        match whole.find(content) {
            Some(offset) => {
                let start = self.span.start + offset;
                Self { source: self.source.clone(), span: start + span.start..start + span.end }
            }
            None => self.clone(),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.path.display())
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: At,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where; `None` for what no line of a file says, such as a directory that is missing.
    pub at: Option<At>,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A warning does not stop a start.
    pub warning: bool,
}

impl Fault {
    /// Shows the fault with the line it stands on.
    pub fn render(&self, color: bool) -> String {
        let level = if self.warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(&self.message);
        let mut group = match &self.at {
            None => annotate_snippets::Group::with_title(title),
            Some(at) => title.element(
                Snippet::source(&at.source.text)
                    .path(at.source.path.display().to_string())
                    .annotation(AnnotationKind::Primary.span(at.span.clone())),
            ),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// A hash of what is in files and directories now: equal content is an equal configuration.
pub fn digest(files: &[PathBuf]) -> [u8; 32] {
    combined(files.iter().map(|path| (path.as_path(), content(path))))
}

fn combined<'p>(files: impl Iterator<Item = (&'p Path, [u8; 32])>) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for (path, content) in files {
        let path = path.as_os_str().as_encoded_bytes();
        hash.update(&path.len().to_be_bytes());
        hash.update(path);
        hash.update(&content);
    }
    sum(hash)
}

/// A hash of a file's bytes, or of a directory's names. What cannot be read has no content.
fn content(path: &Path) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    if let Ok(entries) = std::fs::read_dir(path) {
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        for name in names {
            hash.update(name.as_encoded_bytes());
            hash.update(b"/");
        }
    } else {
        hash.update(&std::fs::read(path).unwrap_or_default());
    }
    sum(hash)
}

fn sum(hash: Context) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(hash.finish().as_ref());
    sum
}

/// Collects faults while a configuration is read, so that all are reported at once; and the files that it names, so
/// that a change of one of them is noticed.
#[derive(Debug, Default)]
pub struct Faults {
    list: RefCell<Vec<Fault>>,
    files: RefCell<BTreeMap<PathBuf, [u8; 32]>>,
}

impl Faults {
    /// Records an error at a place.
    pub fn error(&self, at: &At, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.push(Fault { at: Some(at.clone()), message: message.into(), hint: hint.into(), warning: false });
    }

    /// Records a warning at a place.
    pub fn warning(&self, at: &At, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.push(Fault { at: Some(at.clone()), message: message.into(), hint: hint.into(), warning: true });
    }

    /// Records an error about a path that could not be read.
    pub fn unreadable(&self, at: Option<&At>, path: &Path, error: &std::io::Error) {
        let message = format!("cannot read `{}`: {error}", path.display());
        self.push(Fault { at: at.cloned(), message, hint: None, warning: false });
    }

    /// Records a fault.
    pub fn push(&self, fault: Fault) {
        self.list.borrow_mut().push(fault);
    }

    /// Remembers a file or directory that the configuration is read from, and what is in it before it is read: a change
    /// while it is read is a change.
    pub fn names_file(&self, path: &Path) {
        self.files.borrow_mut().entry(path.to_path_buf()).or_insert_with(|| content(path));
    }

    /// Every file and directory that the configuration is read from, and a hash of what was in all of them.
    pub fn files(&self) -> (Vec<PathBuf>, [u8; 32]) {
        let files = self.files.borrow();
        (files.keys().cloned().collect(), combined(files.iter().map(|(path, content)| (path.as_path(), *content))))
    }

    /// How many errors there are so far, warnings not counted.
    pub fn errors(&self) -> usize {
        self.list.borrow().iter().filter(|fault| !fault.warning).count()
    }

    /// All faults, in the order of files and lines.
    pub fn into_sorted(self) -> Vec<Fault> {
        let mut faults = self.list.into_inner();
        faults.sort_by_key(|fault| fault.at.as_ref().map(|at| (at.source.path.clone(), at.span.start)));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::{Faults, digest};

    #[test]
    fn a_change_while_files_are_read_is_a_change() {
        let place = tempfile::tempdir().unwrap();
        let (file, folder) = (place.path().join("a.toml"), place.path().join("policies"));
        std::fs::write(&file, "old").unwrap();
        std::fs::create_dir(&folder).unwrap();
        let read = |before: &dyn Fn()| {
            let faults = Faults::default();
            faults.names_file(&file);
            faults.names_file(&folder);
            before();
            faults.names_file(&file);
            faults.files()
        };
        let (files, unchanged) = read(&|| {});
        assert_eq!(digest(&files), unchanged);
        let (files, changed) = read(&|| std::fs::write(&file, "new").unwrap());
        assert_ne!(digest(&files), changed);
        let (files, grown) = read(&|| std::fs::write(folder.join("deny.toml"), "").unwrap());
        assert_ne!(digest(&files), grown);
    }
}
