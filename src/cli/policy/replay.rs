//! `portcullis policy replay`: what a policy would have decided about requests that were recorded.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::{Place, open_other};
use crate::policy::replay::{Replay, Report};

/// The longest line of an audit log that is read, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Ask a policy about decisions that were recorded
///
/// Reads an audit log and tells which requests the new policy would decide otherwise. A record holds no groups, claims,
/// header fields or query; where the decision of the policy that is in --config tells what they were, that is used, and
/// where it does not, the request is counted as open, with what would have to be known.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 when no request would be decided otherwise, 1 otherwise.

Example:
  portcullis policy replay --config /etc/portcullis ./policies --decisions /var/log/portcullis/decisions.jsonl")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The new policy: a configuration directory, or policy files that are read over the names of --config
    new: PathBuf,
    /// The audit log
    #[arg(long, value_name = "FILE")]
    decisions: PathBuf,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some(old) = args.place.open(terminal) else { return failed() };
    let Some(new) = open_other(&args.new, &args.place.config, terminal) else { return failed() };
    let replay = Replay { routes: &new.routes, rules: &new.policy.rules, old: (&old.policy.rules, &old.version) };
    let mut report = Report::default();
    if let Err(error) = read(args, &replay, &mut report) {
        terminal.error(format_args!("cannot read {}: {error}", args.decisions.display()));
        return failed();
    }
    match terminal.format() {
        Format::Json => terminal.json(&report),
        Format::Text => show(&report, terminal),
    }
    if report.changed == 0 { WELL } else { failed() }
}

fn read(args: &Args, replay: &Replay<'_>, report: &mut Report) -> std::io::Result<()> {
    let mut reader = BufReader::new(File::open(&args.decisions)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            report.add(text.trim(), replay);
        }
    }
}

fn show(report: &Report, terminal: &Terminal) {
    let requests = |count: u64| if count == 1 { "1 request".to_owned() } else { format!("{count} requests") };
    let subjects = |count: usize| if count == 1 { "1 subject".to_owned() } else { format!("{count} subjects") };
    let sum = format!("{} of {} would change", requests(report.changed), subjects(report.subjects));
    let tone = if report.changed == 0 { Tone::Good } else { Tone::Warning };
    terminal.line(terminal.paint(tone, sum));
    for change in &report.changes {
        let rule = |rule: &Option<String>| rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        let (from, to) =
            (format!("{}{}", change.from, rule(&change.old_rule)), format!("{}{}", change.to, rule(&change.new_rule)));
        let tone = if change.to == "allow" { Tone::Good } else { Tone::Bad };
        let who: Vec<_> = change.subjects.iter().take(5).map(String::as_str).collect();
        terminal.line(format_args!(
            "  {}  {from} -> {}: {}",
            change.route,
            terminal.paint(tone, to),
            requests(change.requests)
        ));
        terminal.line(format_args!("      {}; {}", subjects(change.subjects.len()), who.join(", ")));
        terminal.line(format_args!("      {}", terminal.paint(Tone::Faint, change.examples.join(", "))));
    }
    terminal.line(format_args!("{} would be decided the same", requests(report.same)));
    if report.open > 0 {
        terminal.line(format_args!("{} cannot be replayed: it depends on what no record holds", requests(report.open)));
        for (what, count) in &report.lacking {
            terminal.line(format_args!("      {what}: {}", requests(*count)));
        }
    }
    if report.not_decided > 0 {
        terminal.line(format_args!("{} had been refused before the policy was asked", requests(report.not_decided)));
    }
    if report.unreadable > 0 {
        terminal.line(format_args!("{} lines are no records", report.unreadable));
    }
}
