//! `portcullis completions`: what a shell must know to complete the command line.

use std::process::ExitCode;

use clap_complete::Shell;

use super::output::{Terminal, WELL};

/// Print the completion script of a shell
///
/// The script goes to standard output. Put it where the shell looks for completions, or evaluate it in the shell's
/// start-up file.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis
  portcullis completions zsh > ~/.zfunc/_portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish")]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "portcullis", &mut script);
    terminal.raw(&script);
    WELL
}
