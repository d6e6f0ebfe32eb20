use std::cell::RefCell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;

use super::{Color, Format, Stream, Terminal, Tone};

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn terminal(out: impl Write + 'static, err: impl Write + 'static, color: bool) -> Terminal {
    Terminal { format: Format::Text, out: Stream::new(out, color), err: Stream::new(err, false) }
}

#[test]
fn results_and_notes_go_to_different_streams() {
    let (out, err) = (Shared::default(), Shared::default());
    let terminal = terminal(out.clone(), err.clone(), false);
    terminal.line("result");
    terminal.note("beside it");
    terminal.error("wrong");
    assert_eq!(*out.0.borrow(), b"result\n");
    assert_eq!(*err.0.borrow(), b"beside it\nerror: wrong\n");
}

#[test]
fn a_reader_that_goes_away_changes_nothing_and_a_full_disk_does() {
    for (kind, expected) in
        [(io::ErrorKind::BrokenPipe, ExitCode::SUCCESS), (io::ErrorKind::StorageFull, ExitCode::from(1))]
    {
        let err = Shared::default();
        let terminal = terminal(Broken(kind), err.clone(), false);
        terminal.line("one");
        terminal.line("two");
        assert_eq!(terminal.finish(ExitCode::SUCCESS), expected, "{kind}");
        assert_eq!(err.0.borrow().is_empty(), expected == ExitCode::SUCCESS);
    }
}

#[test]
fn paint_adds_escapes_only_where_colours_hold() {
    let plain = terminal(Shared::default(), Shared::default(), false);
    assert_eq!(plain.paint(Tone::Good, "yes").to_string(), "yes");
    let colored = terminal(Shared::default(), Shared::default(), true);
    assert_eq!(colored.paint(Tone::Good, "yes").to_string(), "\u{1b}[32myes\u{1b}[0m");
}

#[test]
fn a_pipe_is_coloured_only_when_asked() {
    assert!(!Color::Auto.holds(false));
    assert!(!Color::Never.holds(true));
    assert!(Color::Always.holds(false));
}
