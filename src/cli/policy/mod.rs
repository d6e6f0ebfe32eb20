//! `portcullis policy`: tests of a policy, and questions to it. Needs no key, no certificate and no network.

mod coverage;
mod diff;
mod explain;
mod explained;
mod junit;
mod lint;
mod replay;
mod test;
mod who;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::output::Terminal;
use crate::config::MAIN_FILE;
use crate::config::fault::{Fault, Faults};
use crate::config::policy::project::Project;

/// Test a policy, and ask it questions
///
/// Reads the policy files and, of portcullis.toml, only the names: no key, no certificate and no network is needed.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Test(test::Args),
    Explain(Box<explain::Args>),
    Coverage(coverage::Args),
    Lint(lint::Args),
    Diff(diff::Args),
    Replay(replay::Args),
    WhoCan(who::WhoArgs),
    WhatCan(Box<who::WhatArgs>),
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    match &args.command {
        Command::Test(args) => test::run(args, terminal),
        Command::Explain(args) => explain::run(args, terminal),
        Command::Coverage(args) => coverage::run(args, terminal),
        Command::Lint(args) => lint::run(args, terminal),
        Command::Diff(args) => diff::run(args, terminal),
        Command::Replay(args) => replay::run(args, terminal),
        Command::WhoCan(args) => who::who_can(args, terminal),
        Command::WhatCan(args) => who::what_can(args, terminal),
    }
}

/// Where the policy is.
#[derive(clap::Args, Debug)]
struct Place {
    /// The directory of portcullis.toml
    #[arg(long, value_name = "DIR", default_value = ".")]
    config: std::path::PathBuf,
    /// Other policy files than those that portcullis.toml names: a directory or one file
    #[arg(long, value_name = "PATH")]
    policies: Option<std::path::PathBuf>,
}

impl Place {
    /// Reads the policy; shows every fault, and `None` when there was one that matters.
    fn open(&self, terminal: &Terminal) -> Option<Project> {
        let faults = Faults::default();
        let project = match &self.policies {
            None => Project::open(&self.config, &faults),
            Some(policies) => Project::open_candidate(&self.config, policies, &faults),
        };
        settled(project, faults, self.policies.as_ref().unwrap_or(&self.config), terminal)
    }
}

/// Reads another policy: a directory with its own portcullis.toml, or policy files over what this configuration defines.
fn open_other(place: &Path, config: &Path, terminal: &Terminal) -> Option<Project> {
    let faults = Faults::default();
    let project = if place.join(MAIN_FILE).is_file() {
        Project::open(place, &faults)
    } else {
        Project::open_candidate(config, place, &faults)
    };
    settled(project, faults, place, terminal)
}

fn settled(project: Option<Project>, faults: Faults, place: &Path, terminal: &Terminal) -> Option<Project> {
    let errors = faults.errors();
    let found = faults.into_sorted();
    let shown: Vec<&Fault> = found.iter().filter(|fault| !fault.warning).collect();
    for fault in &shown {
        terminal.note(format_args!("{}\n", fault.render(terminal.colors_notes())));
    }
    if errors > 0 {
        let noun = if errors == 1 { "fault" } else { "faults" };
        terminal.error(format_args!("{errors} {noun} in {}", place.display()));
    }
    project.filter(|_| errors == 0)
}
