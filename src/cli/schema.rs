//! `portcullis schema`: what may be written, for editors.

use std::process::ExitCode;

use clap::ValueEnum;

use super::output::{Terminal, WELL};
use crate::config::schema;

/// Print the JSON Schema of a configuration file
///
/// Editors that know TOML (Taplo, Even Better TOML) complete and check with it. Write it to a file and name that file in
/// the first line of yours: #:schema ./policy.schema.json
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis schema policy > policies/policy.schema.json
  portcullis schema portcullis > portcullis.schema.json")]
pub(super) struct Args {
    /// Which file
    #[arg(value_enum)]
    file: File,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    /// portcullis.toml
    Portcullis,
    /// A policy file
    Policy,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let text = match args.file {
        File::Portcullis => schema::PORTCULLIS,
        File::Policy => schema::POLICY,
    };
    terminal.raw(text.as_bytes());
    WELL
}
