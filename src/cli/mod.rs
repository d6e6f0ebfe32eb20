//! The command line: one file a command, each with its `Args` and `run(&Args, &Terminal) -> ExitCode`.
//!
//! Exit codes: 0 well, 1 refused or failed, 2 usage. Only [`output`] writes to the terminal.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod check;
mod completions;
mod control;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
mod dev_certs;
mod man;
pub mod output;
mod revoke;
mod policy;
mod rollback;
mod run;
mod schema;
mod token;

use output::{Color, Format, Terminal};

const ABOUT: &str = "A Zero Trust authenticating reverse proxy.";

const LONG_ABOUT: &str = "\
A Zero Trust authenticating reverse proxy.

Portcullis stands in front of your services. Every request is authenticated (a client certificate, a JWT, or an opaque \
token that its issuer is asked about), decided by a policy that is closed by default, forwarded, and recorded.";

const AFTER_HELP: &str = "\
Exit status:
  0  well
  1  refused or failed
  2  the command line was wrong

Environment:
  NO_COLOR  no colours, unless --color says otherwise";

#[derive(Parser, Debug)]
#[command(name = "portcullis", version, about = ABOUT, long_about = LONG_ABOUT, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// Write results for a person or for a program
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "text|json",
        default_value_t,
        hide_possible_values = true,
        help_heading = "Everywhere"
    )]
    output: Format,
    /// When to colour; auto means on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "auto|always|never",
        default_value_t,
        hide_possible_values = true,
        help_heading = "Everywhere"
    )]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    Run(run::Args),
    Check(check::Args),
    Policy(policy::Args),
    Schema(schema::Args),
    Token(token::Args),
    /// Have a running Portcullis read its configuration again
    ///
    /// A configuration with faults leaves everything as it is, and the faults are shown here.
    Reload(control::Args),
    Rollback(rollback::Args),
    /// Have the program as it is on disk now take over from a running Portcullis
    ///
    /// A new process starts, takes every socket over and serves; the old one finishes what is open and ends. No
    /// connection is refused. When the new one does not come to serve, the old one serves on.
    Upgrade(control::Args),
    Revoke(revoke::Args),
    /// Show the state of a running Portcullis
    Status(control::Args),
    #[cfg(feature = "demo")]
    DevCerts(dev_certs::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    fn run(&self, terminal: &Terminal) -> ExitCode {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo(args) => demo::run(args, terminal),
            Self::Run(args) => run::run(args, terminal),
            Self::Check(args) => check::run(args, terminal),
            Self::Policy(args) => policy::run(args, terminal),
            Self::Schema(args) => schema::run(args, terminal),
            Self::Token(args) => token::run(args, terminal),
            Self::Reload(args) => control::reload(args, terminal),
            Self::Rollback(args) => rollback::run(args, terminal),
            Self::Upgrade(args) => control::upgrade(args, terminal),
            Self::Revoke(args) => revoke::run(args, terminal),
            Self::Status(args) => control::status(args, terminal),
            #[cfg(feature = "demo")]
            Self::DevCerts(args) => dev_certs::run(args, terminal),
            Self::Completions(args) => completions::run(args, terminal),
            Self::Man(args) => man::run(args, terminal),
        }
    }
}

/// Parses `arguments` (the program's name first), runs the command, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let command = Cli::command().color(help_color(&arguments));
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => {
            let terminal = Terminal::standard(cli.output, cli.color);
            let code = cli.command.run(&terminal);
            terminal.finish(code)
        }
        Err(error) => {
            // Help into a closed pipe is no fault.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// The whole command line, for completions and manual pages.
fn command() -> clap::Command {
    Cli::command()
}

/// `--color` must hold for help and usage errors too, which are written before the arguments are parsed.
fn help_color(arguments: &[OsString]) -> clap::ColorChoice {
    let mut choice = clap::ColorChoice::Auto;
    for (index, argument) in arguments.iter().enumerate() {
        let value = match argument.to_str() {
            Some("--") => break,
            Some("--color") => arguments.get(index + 1).and_then(|value| value.to_str()),
            Some(text) => text.strip_prefix("--color="),
            None => None,
        };
        match value {
            Some("always") => choice = clap::ColorChoice::Always,
            Some("never") => choice = clap::ColorChoice::Never,
            _ => {}
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::{command, help_color};

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_color_option_is_seen_before_parsing() {
        let color = |words: &[&str]| help_color(&words.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(color(&["p", "--color", "never", "--help"]), ColorChoice::Never);
        assert_eq!(color(&["p", "--color=always"]), ColorChoice::Always);
        assert_eq!(color(&["p", "--", "--color=always"]), ColorChoice::Auto);
        assert_eq!(color(&["p", "--color"]), ColorChoice::Auto);
    }
}
