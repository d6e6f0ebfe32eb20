//! The only place that writes to the terminal.
//!
//! Results go to standard output, everything said beside them to standard error, so that a pipe gets the result alone.
//! A reader that goes away (`| head`) is no fault; any other failed write ends the command with 1.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

/// The command did what it was asked to, and the answer is yes.
pub const WELL: ExitCode = ExitCode::SUCCESS;

/// Exit code 1: refused, or failed. (2, a usage error, is clap's.)
pub fn failed() -> ExitCode {
    ExitCode::from(1)
}

/// For whom a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program: one JSON value a line.
    Json,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always, even into a pipe.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Settles the question for one stream.
    fn holds(self, terminal: bool) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_some_and(|term| term != "dumb"),
        }
    }
}

/// The meaning of a piece of text; how it looks is decided here, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It went well.
    Good,
    /// It was refused, or it failed.
    Bad,
    /// Worth a look.
    Warning,
    /// A heading.
    Heading,
    /// Something to type.
    Literal,
    /// Beside the point.
    Faint,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Heading => Style::new().bold(),
            Self::Literal => AnsiColor::Cyan.on_default(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// Standard output and standard error, with what the user chose for them.
pub struct Terminal {
    format: Format,
    out: Stream,
    err: Stream,
}

impl Terminal {
    /// The streams of this program.
    pub fn standard(format: Format, color: Color) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_color, err_color) = (color.holds(out.is_terminal()), color.holds(err.is_terminal()));
        Self { format, out: Stream::new(out, out_color), err: Stream::new(err, err_color) }
    }

    /// For whom results are written.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether standard output is coloured.
    pub const fn colors(&self) -> bool {
        self.out.color
    }

    /// Whether standard error is coloured.
    pub const fn colors_notes(&self) -> bool {
        self.err.color
    }

    /// One line of the result, to standard output.
    pub fn line(&self, text: impl Display) {
        self.out.write(format_args!("{text}\n"));
    }

    /// Text of the result as it stands, without a line end.
    pub fn raw(&self, bytes: &[u8]) {
        self.out.write_bytes(bytes);
    }

    /// A result for a program: one line of JSON on standard output.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.out.fail(io::Error::other(error)),
        }
    }

    /// Shows what was written so far, for a command that goes on.
    pub fn flush(&self) {
        self.out.flush();
    }

    /// One line beside the result, to standard error.
    pub fn note(&self, text: impl Display) {
        self.err.write(format_args!("{text}\n"));
    }

    /// `error: ...` on standard error.
    pub fn error(&self, text: impl Display) {
        let label = painted(self.err.color, Tone::Bad, "error:");
        self.err.write(format_args!("{label} {text}\n"));
    }

    /// An error with its causes, on one line of standard error.
    pub fn failure(&self, error: &dyn Error) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.error(text);
    }

    /// `text` in the colours of standard output.
    pub fn paint<T: Display>(&self, tone: Tone, text: T) -> impl Display + use<T> {
        painted(self.out.color, tone, text)
    }

    /// Flushes; a write that failed turns `code` into 1, unless the reader simply went away.
    pub fn finish(self, code: ExitCode) -> ExitCode {
        self.out.flush();
        match self.out.failure.into_inner() {
            None => code,
            Some(error) => {
                self.err.write(format_args!("error: cannot write: {error}\n"));
                failed()
            }
        }
    }
}

fn painted<T: Display>(color: bool, tone: Tone, text: T) -> Painted<T> {
    Painted { style: color.then(|| tone.style()), text }
}

struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            None => self.text.fmt(f),
            Some(style) => {
                style.fmt(f)?;
                self.text.fmt(f)?;
                style.render_reset().fmt(f)
            }
        }
    }
}

/// One stream. After the first failed write it is silent.
struct Stream {
    writer: RefCell<Box<dyn Write>>,
    color: bool,
    closed: Cell<bool>,
    failure: RefCell<Option<io::Error>>,
}

impl Stream {
    fn new(writer: impl Write + 'static, color: bool) -> Self {
        Self { writer: RefCell::new(Box::new(writer)), color, closed: Cell::new(false), failure: RefCell::new(None) }
    }

    fn write(&self, text: fmt::Arguments<'_>) {
        self.write_bytes(text.to_string().as_bytes());
    }

    fn write_bytes(&self, bytes: &[u8]) {
        if self.closed.get() {
            return;
        }
        let written = self.writer.borrow_mut().write_all(bytes);
        if let Err(error) = written {
            self.fail(error);
        }
    }

    fn flush(&self) {
        if self.closed.get() {
            return;
        }
        let flushed = self.writer.borrow_mut().flush();
        if let Err(error) = flushed {
            self.fail(error);
        }
    }

    fn fail(&self, error: io::Error) {
        self.closed.set(true);
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.failure.replace(Some(error));
        }
    }
}

#[cfg(test)]
mod tests;
