//! `portcullis policy coverage`: which rules and routes no test exercises.

use std::process::ExitCode;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::Place;
use crate::policy::trial::coverage;

/// List rules and routes that no test exercises
///
/// A rule is exercised when it takes effect in a test: an allow that admits, a deny that refuses, a requirement that is
/// not met. A rule of which nobody has seen that it restricts may not restrict.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Exit with 1 unless everything is exercised
    #[arg(long)]
    require_full: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some(project) = args.place.open(terminal) else { return failed() };
    let found = coverage(&project.policy.trials, &project.routes, &project.policy.rules);
    let full = found.idle_rules.is_empty() && found.idle_routes.is_empty();
    match terminal.format() {
        Format::Json => terminal.json(&found),
        Format::Text => {
            for rule in &found.idle_rules {
                let never = match rule.effect {
                    "allow" => "never admits",
                    "deny" => "never refuses",
                    _ => "never fails",
                };
                let (name, place) =
                    (terminal.paint(Tone::Heading, &rule.rule), terminal.paint(Tone::Faint, &rule.origin));
                terminal.line(format_args!("{:<8} {name} {never} in a test  {place}", rule.effect));
            }
            for route in &found.idle_routes {
                terminal.line(format_args!(
                    "{:<8} {} is asked for in no test",
                    "route",
                    terminal.paint(Tone::Heading, route)
                ));
            }
            let (rules, routes) = (found.rules - found.idle_rules.len(), found.routes - found.idle_routes.len());
            let tone = if full { Tone::Good } else { Tone::Warning };
            let sum = format!("{rules} of {} rules and {routes} of {} routes are exercised", found.rules, found.routes);
            terminal.line(terminal.paint(tone, sum));
        }
    }
    if full || !args.require_full { WELL } else { failed() }
}
