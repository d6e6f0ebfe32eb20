//! Faults of a configuration: collected all, shown with file, line, the offending text and a hint.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One file of a configuration, as it was read.
#[derive(Debug)]
pub struct Source {
    /// Its path, as the user gave it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
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
        let before = self.source.text.get(..self.span.start).unwrap_or(&self.source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
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

/// Collects faults while a configuration is read, so that all are reported at once; and the files that it names, so
/// that a change of one of them is noticed.
#[derive(Debug, Default)]
pub struct Faults {
    list: RefCell<Vec<Fault>>,
    files: RefCell<Vec<PathBuf>>,
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

    /// Remembers a file or directory that the configuration is read from.
    pub fn names_file(&self, path: &Path) {
        self.files.borrow_mut().push(path.to_path_buf());
    }

    /// Every file and directory that the configuration is read from, each once.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.files.borrow().clone();
        files.sort();
        files.dedup();
        files
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
