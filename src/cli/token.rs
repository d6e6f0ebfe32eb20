//! `portcullis token`: what this gateway makes of a token.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use super::check::report;
use super::output::{Format, Terminal, Tone, WELL, failed};
use crate::authn::{Ask, Authenticator, AuthnError, Check, Inspection, Outcome, ProofMemory, Revocations};
use crate::config::{self, Loaded, Wanted};
use crate::identity::{Name, Secret};
use crate::rejection::Rejection;
use crate::request::PathForms;
use crate::route::Route;
use crate::telemetry::Clock;

/// The most that is read from standard input, in bytes.
const MAX_TOKEN: u64 = 64 * 1024;

/// Find out what this gateway makes of a token
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Inspect(Inspect),
}

/// Say whose token it is, and walk every check that a request with it would meet
///
/// The token is read from standard input and never shown; what it says is. Its issuer is asked for keys, or its
/// authorization server about it, as the gateway would ask. Revocations live in the running gateway and are not known
/// here.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis token inspect --config /etc/portcullis < token.txt
  portcullis token inspect --config . --route payments --output json < token.txt | jq .checks
  portcullis token inspect --config . --offline < token.txt")]
struct Inspect {
    /// The directory that holds portcullis.toml
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// The route that the token is meant for; without it, the first that takes tokens of its source
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Ask nobody over the network: what only the issuer knows stays open
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let Command::Inspect(args) = &args.command;
    match inspect(args, terminal) {
        Ok(code) => code,
        Err(message) => {
            terminal.error(message);
            failed()
        }
    }
}

fn inspect(args: &Inspect, terminal: &Terminal) -> Result<ExitCode, String> {
    let loaded = config::load(&args.config, Timestamp::now(), None, Wanted::OnDisk).map_err(|faults| {
        report(&faults, terminal);
        format!("{} has faults", args.config.display())
    })?;
    let token = read_token()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let (clock, ask) = (Clock::system(), if args.offline { Ask::Nobody } else { Ask::TheSource });
    let sources = &loaded.settings.sources;
    let (revocations, proofs) = (Revocations::default().into(), ProofMemory::since(clock.now()).into());
    let authenticator = Authenticator::open(sources, revocations, proofs, runtime.handle(), &clock, None)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let meant = meant(&loaded, &authenticator, token.expose(), args.route.as_deref())?;
    let (tokens, binding) = meant.first().map_or((&[] as &[Name], None), |route| (&route.tokens, route.binding));
    let seen = runtime.block_on(authenticator.inspect(token.expose(), tokens, binding, ask, clock.now()));
    let routes: Vec<_> = meant.iter().map(|route| &route.name).collect();
    if terminal.format() == Format::Json {
        show_json(&seen, &routes, terminal);
    } else {
        show_text(&seen, &routes, terminal);
    }
    Ok(if seen.refusal().is_none() { WELL } else { failed() })
}

fn read_token() -> Result<Secret<String>, String> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_TOKEN + 1).read_to_string(&mut text);
    let read = read.map_err(|error| format!("cannot read the token from standard input: {error}"))?;
    if read as u64 > MAX_TOKEN {
        return Err(format!("more than {MAX_TOKEN} bytes came on standard input; that is no token"));
    }
    let text = text.trim();
    let text =
        ["Bearer", "DPoP"].iter().find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix(' ')).unwrap_or(text);
    if text.is_empty() {
        return Err("no token came on standard input".into());
    }
    Ok(Secret::new(text.to_owned()))
}

/// The routes that the inspection speaks of: the named one, or every one at which the token has the same source as at the
/// first that gives it one. A token that has a source nowhere is held against the first route that takes tokens.
fn meant<'l>(
    loaded: &'l Loaded,
    authenticator: &Authenticator,
    token: &str,
    named: Option<&str>,
) -> Result<Vec<&'l Route>, String> {
    let routes = || loaded.settings.routes.iter().map(|route| &**route);
    if let Some(name) = named {
        let route = routes().find(|route| route.name.as_str() == name);
        return route.map(|route| vec![route]).ok_or_else(|| format!("there is no route `{name}`"));
    }
    let source = |route: &Route| authenticator.source_of(token, &route.tokens).ok().cloned();
    let Some(first) = routes().find_map(&source) else {
        return Ok(routes().find(|route| !route.tokens.is_empty()).into_iter().collect());
    };
    Ok(routes().filter(|route| source(route).as_ref() == Some(&first)).collect())
}

fn reason(error: &AuthnError) -> &'static str {
    Rejection::Authn(error.clone()).verdict(false, PathForms::NONE, None).recorded.code()
}

fn show_json(seen: &Inspection, routes: &[&Name], terminal: &Terminal) {
    let checks = seen.checks.iter().map(|Check { name, outcome, found }| match outcome {
        Outcome::Passed => json!({ "name": name, "outcome": "passed", "found": found }),
        Outcome::Open => json!({ "name": name, "outcome": "open", "found": found }),
        Outcome::Failed(error) => json!({
            "name": name, "outcome": "failed", "found": found, "reason": reason(error), "why": error.to_string(),
        }),
    });
    let refusal = seen.refusal().map(reason);
    let checks: Vec<_> = checks.collect();
    terminal.json(&json!({ "source": seen.source, "routes": routes, "refused": refusal, "checks": checks }));
}

fn show_text(seen: &Inspection, routes: &[&Name], terminal: &Terminal) {
    if seen.source.is_some() {
        let routes: Vec<_> = routes.iter().map(|name| name.as_str()).collect();
        terminal.line(format_args!("{} {}", terminal.paint(Tone::Faint, "routes"), routes.join(", ")));
    }
    for Check { name, outcome, found } in &seen.checks {
        let (word, tone, why) = match outcome {
            Outcome::Passed => ("pass", Tone::Good, String::new()),
            Outcome::Open => ("open", Tone::Warning, String::new()),
            Outcome::Failed(error) => ("FAIL", Tone::Bad, format!("{error}: ")),
        };
        terminal.line(format_args!("{}  {name:<10}  {why}{found}", terminal.paint(tone, word)));
    }
    let open = seen.checks.iter().any(|check| check.outcome == Outcome::Open);
    match seen.refusal() {
        Some(error) => {
            let word = terminal.paint(Tone::Bad, "refused");
            terminal.line(format_args!("{word}: {}; see docs/reasons.md", reason(error)));
        }
        None if open => {
            let word = terminal.paint(Tone::Warning, "nothing wrong was found");
            terminal.line(format_args!("{word}; what is open decides"));
        }
        None => terminal.line(format_args!("{}", terminal.paint(Tone::Good, "counts"))),
    }
}
