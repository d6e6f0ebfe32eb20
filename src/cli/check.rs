//! `portcullis check`: reads a whole configuration, reports every fault, and says what is open to whom.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{Format, Terminal, Tone, WELL, failed};
use crate::config::{self, Fault, History, Loaded, Wanted};
use crate::policy::rules::{Effect, Rule};
use crate::route::Authorization;

/// Read a configuration and report every fault
///
/// Checks everything that can be known without the network: names, files, certificates and keys, patterns, overlaps, and
/// the tests beside the rules. Then prints each route and who may use it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis check --config /etc/portcullis
  portcullis check --config . --output json | jq .faults")]
pub(super) struct Args {
    /// The directory that holds portcullis.toml
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let loaded = config::load(&args.config, Timestamp::now(), None, Wanted::OnDisk);
    let (faults, code) = match &loaded {
        Ok(loaded) => (&loaded.warnings, WELL),
        Err(faults) => (faults, failed()),
    };
    if terminal.format() == Format::Json {
        let routes = loaded.as_ref().map(routes).unwrap_or_default();
        let faults: Vec<_> = faults.iter().map(fault).collect();
        terminal.json(&json!({ "well": loaded.is_ok(), "faults": faults, "routes": routes }));
        return code;
    }
    report(faults, terminal);
    match &loaded {
        Ok(loaded) => summary(loaded, terminal),
        Err(faults) => {
            let errors = faults.iter().filter(|fault| !fault.warning).count();
            let noun = if errors == 1 { "fault" } else { "faults" };
            terminal.error(format_args!("{errors} {noun} in {}; nothing would be served", args.config.display()));
        }
    }
    code
}

/// Shows faults on standard error, each with the line it stands on.
pub(super) fn report(faults: &[Fault], terminal: &Terminal) {
    for fault in faults {
        terminal.note(format_args!("{}\n", fault.render(terminal.colors_notes())));
    }
}

fn fault(fault: &Fault) -> Value {
    let place = fault.at.as_ref().map(|at| {
        let (line, column) = at.line_column();
        json!({ "file": at.source.path, "line": line, "column": column })
    });
    json!({ "warning": fault.warning, "message": fault.message, "hint": fault.hint, "at": place })
}

fn routes(loaded: &Loaded) -> Vec<Value> {
    let rules = loaded.settings.policy.rules();
    let named = |rules: &[std::sync::Arc<Rule>]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    let shown = loaded.settings.routes.iter().map(|route| {
        let bound = rules.route(&route.name);
        json!({
            "name": route.name,
            "host": route.host.to_string(),
            "path": route.path.as_str(),
            "methods": route.methods.to_string(),
            "upstream": route.upstream,
            "tokens": route.tokens,
            "prefix_rewrite": route.prefix_rewrite.as_ref().map(ToString::to_string),
            "passes_authorization": route.authorization == Authorization::Pass,
            "allow": bound.map(|bound| named(bound.allows())).unwrap_or_default(),
            "require": bound.map(|bound| named(bound.requirements())).unwrap_or_default(),
            "deny": bound.map(|bound| named(bound.denies())).unwrap_or_default(),
        })
    });
    shown.collect()
}

fn summary(loaded: &Loaded, terminal: &Terminal) {
    let rules = loaded.settings.policy.rules();
    for route in loaded.settings.routes.iter() {
        let name = terminal.paint(Tone::Heading, &route.name);
        let (host, path) = (&route.host, route.path.as_str());
        terminal.line(format_args!("{name}  {} {host}{path} -> {}", route.methods, route.upstream));
        if let Some(rewrite) = &route.prefix_rewrite {
            terminal.line(format_args!("    {} {rewrite}", terminal.paint(Tone::Faint, "rewrites")));
        }
        if route.authorization == Authorization::Pass {
            terminal.line("    passes Authorization to the service untouched; no token is verified here");
        }
        if !route.tokens.is_empty() {
            let sources: Vec<_> = route.tokens.iter().map(|source| source.as_str()).collect();
            terminal.line(format_args!("    {}   {}", terminal.paint(Tone::Faint, "tokens"), sources.join(", ")));
        }
        let Some(bound) = rules.route(&route.name) else { continue };
        if bound.allows().is_empty() {
            terminal.line(format_args!("    {}", terminal.paint(Tone::Bad, "closed: no rule allows anything")));
        }
        for rule in bound.enforced() {
            show(rule, terminal);
        }
        terminal.line("");
    }
    let tests = counted(loaded.trials.len(), "test");
    let routes = counted(loaded.settings.routes.iter().len(), "route");
    let version = loaded.settings.policy.version();
    terminal.line(format_args!("well: policy {version}, {routes}, {tests} passed"));
    if let Some(in_force) = rolled_back(loaded) {
        terminal.note(format_args!(
            "a rollback set these policy files aside: policy {in_force} is in force until they change"
        ));
    }
}

/// The version that a rollback put in force in place of these very files, where this user may know.
fn rolled_back(loaded: &Loaded) -> Option<String> {
    let index = History::of(loaded.settings.state.as_ref()?, &loaded.directory).index().ok()?;
    index.set_aside.filter(|version| **version == **loaded.on_disk.as_arc())?;
    Some(index.kept.last()?.version.clone())
}

/// The rule by the word that its author wrote, and below it whom it means.
fn show(rule: &Rule, terminal: &Terminal) {
    let (word, tone) = match rule.effect {
        Effect::Allow => ("allow", Tone::Good),
        Effect::Require => ("require", Tone::Warning),
        Effect::Deny => ("deny", Tone::Bad),
    };
    terminal.line(format_args!("    {}  {}", terminal.paint(tone, format!("{word:<7}")), rule.name));
    terminal.line(format_args!("             {}", terminal.paint(Tone::Faint, rule.condition.wanted())));
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
