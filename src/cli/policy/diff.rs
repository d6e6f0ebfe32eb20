//! `portcullis policy diff`: what differs between two policies.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::open_other;
use crate::policy::diff::{Difference, differences};
use crate::policy::trial::TrialReport;

/// Show what differs between two policies
///
/// Compares routes and rules by name, says what each difference means for who is admitted, as far as that is certain, and
/// runs the tests of the old policy against the new one. A policy is a configuration directory, or policy files that are
/// read over the names of --config.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 when nothing differs, 1 otherwise.

Examples:
  portcullis policy diff --config /etc/portcullis /etc/portcullis/policies ./policies
  git worktree add /tmp/main main && portcullis policy diff /tmp/main/config config")]
pub(super) struct Args {
    /// The old policy
    old: PathBuf,
    /// The new policy
    new: PathBuf,
    /// The directory of portcullis.toml, for policies that have none of their own
    #[arg(long, value_name = "DIR", default_value = ".")]
    config: PathBuf,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let old = open_other(&args.old, &args.config, terminal);
    let new = open_other(&args.new, &args.config, terminal);
    let (Some(old), Some(new)) = (old, new) else { return failed() };
    let found = differences((&old.routes, &old.policy.rules), (&new.routes, &new.policy.rules));
    let passes = |trial: &&crate::policy::trial::Trial| trial.run(&old.routes, &old.policy.rules).passed();
    let reports = old.policy.trials.iter().filter(passes).map(|trial| trial.run(&new.routes, &new.policy.rules));
    let broken: Vec<_> = reports.filter(|report| !report.passed()).collect();
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "differences": found, "broken_tests": broken })),
        Format::Text => {
            found.iter().for_each(|difference| show(difference, terminal));
            broken.iter().for_each(|report| show_broken(report, terminal));
            let noun = if found.len() == 1 { "difference" } else { "differences" };
            terminal.line(format_args!(
                "{} {noun}, {} tests of the old policy come out otherwise",
                found.len(),
                broken.len()
            ));
        }
    }
    if found.is_empty() && broken.is_empty() { WELL } else { failed() }
}

fn show(difference: &Difference, terminal: &Terminal) {
    let tone = match difference.became {
        "added" => Tone::Good,
        "removed" => Tone::Bad,
        _ => Tone::Warning,
    };
    let became = terminal.paint(tone, format!("{:<8}", difference.became));
    let name = terminal.paint(Tone::Heading, difference.name.clone());
    let meaning = terminal.paint(Tone::Faint, difference.meaning);
    terminal.line(format_args!("{became} {} {name}  {meaning}", difference.kind));
    for line in &difference.before {
        terminal.line(terminal.paint(Tone::Bad, format!("  - {line}")));
    }
    for line in &difference.after {
        terminal.line(terminal.paint(Tone::Good, format!("  + {line}")));
    }
}

fn show_broken(report: &TrialReport, terminal: &Terminal) {
    let name = terminal.paint(Tone::Heading, report.name.clone());
    terminal.line(format_args!("{} test {name}", terminal.paint(Tone::Warning, "differs ")));
    for difference in &report.differences {
        terminal.line(format_args!("  {}: {} -> {}", difference.what, difference.expected, difference.found));
    }
}
