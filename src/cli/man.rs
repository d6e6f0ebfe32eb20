//! `portcullis man`: manual pages, made from the same text as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::output::{Terminal, WELL, failed};

/// Print the manual page, or write one page a command
///
/// Without options the main page goes to standard output in roff. With --out every command gets a page of its own, such
/// as portcullis-run.1.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis man | man -l -
  portcullis man --out ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Write all pages into this directory, which must exist
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let written = match &args.out {
        Some(directory) => clap_mangen::generate_to(super::command(), directory)
            .map_err(|error| format!("cannot write manual pages into {}: {error}", directory.display())),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(super::command()).render(&mut page);
            rendered.map(|()| terminal.raw(&page)).map_err(|error| error.to_string())
        }
    };
    match written {
        Ok(()) => WELL,
        Err(error) => {
            terminal.error(error);
            failed()
        }
    }
}
