//! `portcullis policy lint`: what may be written and is hardly meant.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::Place;
use crate::policy::lint::Finding;

/// Look for rules that are hardly meant
///
/// Finds rules that never match, contradict themselves, change nothing or open too much. Each finding has a code;
/// docs/lint.md says what it means. What is meant can be silenced beside the rules, with the reason:
/// `[[lint]]` with silence = "P006", about = "RULE", reason = "...".
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 when nothing is found or all of it is silenced, 1 otherwise.

Examples:
  portcullis policy lint --config /etc/portcullis
  portcullis policy lint --output json | jq '.findings[].code'")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Show what is silenced, too
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some(project) = args.place.open(terminal) else { return failed() };
    let found = project.lint(Timestamp::now());
    let open = found.iter().filter(|finding| finding.silenced.is_none()).count();
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "findings": found, "open": open, "silenced": found.len() - open })),
        Format::Text => {
            for finding in found.iter().filter(|finding| args.all || finding.silenced.is_none()) {
                show(finding, terminal);
            }
            let noun = if open == 1 { "finding" } else { "findings" };
            let tone = if open == 0 { Tone::Good } else { Tone::Warning };
            let sum = format!("{open} {noun}, {} silenced", found.len() - open);
            terminal.line(terminal.paint(tone, sum));
        }
    }
    if open == 0 { WELL } else { failed() }
}

fn show(finding: &Finding, terminal: &Terminal) {
    let tone = if finding.silenced.is_some() { Tone::Faint } else { Tone::Warning };
    let code = terminal.paint(tone, format!("{} {}", finding.code.code(), finding.code.name()));
    terminal.line(format_args!("{}: {code}: {}", finding.origin, finding.message));
    let (word, text) = match &finding.silenced {
        Some(reason) => ("silenced", reason),
        None => ("help", &finding.hint),
    };
    terminal.line(format_args!("    {word}: {}", terminal.paint(Tone::Faint, text.clone())));
}
