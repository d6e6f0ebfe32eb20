//! `portcullis policy test`: runs the tests that stand beside the rules.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::{Place, junit};
use crate::policy::trial::TrialReport;

/// Run the tests of a policy
///
/// Runs every [[test]] of the policy files. A reload whose tests fail is refused, so this is what a change must pass.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis policy test --config /etc/portcullis
  portcullis policy test --only contractor
  portcullis policy test --junit report.xml")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write a JUnit report beside the output
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show failures only
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some(project) = args.place.open(terminal) else { return failed() };
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only));
    let trials = project.policy.trials.iter().filter(|trial| wanted(&trial.name));
    let reports: Vec<_> = trials.map(|trial| trial.run(&project.routes, &project.policy.rules)).collect();
    let failures = reports.iter().filter(|report| !report.passed()).count();
    match terminal.format() {
        Format::Json => {
            let passed = reports.len() - failures;
            terminal.json(&json!({ "tests": reports, "passed": passed, "failed": failures }));
        }
        Format::Text => show(&reports, failures, args, terminal),
    }
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit::render(&reports))
    {
        terminal.error(format_args!("cannot write {}: {error}", path.display()));
        return failed();
    }
    if reports.is_empty() && args.only.is_some() {
        terminal.error("no test has such a name");
        return failed();
    }
    if failures == 0 { WELL } else { failed() }
}

fn show(reports: &[TrialReport], failures: usize, args: &Args, terminal: &Terminal) {
    for report in reports {
        if report.passed() {
            if !args.quiet {
                terminal.line(format_args!("{}  {}", terminal.paint(Tone::Good, "ok  "), report.name));
            }
            continue;
        }
        let (mark, name) = (terminal.paint(Tone::Bad, "FAIL"), terminal.paint(Tone::Heading, &report.name));
        let place = terminal.paint(Tone::Faint, &report.origin);
        terminal.line(format_args!("{mark}  {name}  {place}"));
        for difference in &report.differences {
            let expected = terminal.paint(Tone::Good, &difference.expected);
            let found = terminal.paint(Tone::Bad, &difference.found);
            terminal.line(format_args!("      {:<9} expected {expected}, found {found}", difference.what));
        }
        if let Some(nearest) = &report.nearest {
            terminal.line(format_args!("      nearest   {nearest}"));
        }
        let quoted = report.name.replace('\'', "'\\''");
        let command = format!("portcullis policy explain --config {} --test '{quoted}'", args.place.config.display());
        terminal.line(format_args!("      why       {}", terminal.paint(Tone::Literal, command)));
    }
    let count = reports.len();
    let noun = if count == 1 { "test" } else { "tests" };
    if failures == 0 {
        terminal.line(format_args!("{count} {noun} passed"));
    } else {
        terminal.line(format_args!("{count} {noun}: {} passed, {failures} failed", count - failures));
    }
    if count == 0 && args.only.is_none() {
        terminal.note("no [[test]] is written yet; docs/policy.md shows how");
    }
}
