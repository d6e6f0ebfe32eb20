//! `portcullis policy explain`: every rule that was considered, every condition, what was asked and what was seen.

use std::process::ExitCode;

use serde_json::json;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::Place;
use crate::config::fault::Faults;
use crate::config::policy::describe::{Description, describe};
use crate::config::policy::project::Project;
use crate::identity::Reason;
use crate::policy::case::Case;
use crate::policy::rules::{Explanation, Node, RuleExplanation, Truth};
use crate::route::RouteError;

/// Explain the decision about a request
///
/// Shows every rule of the route: what it asks, what it saw, and what was nearest to being allowed. The request is
/// described by the options, or taken from a test. What an option does not state is not there: no token without --issuer,
/// no certificate without --spiffe-id or --trust.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis policy explain GET https://pay.corp.example/v1/payments/7 --issuer corp --group finance
  portcullis policy explain POST https://ci.corp.example/deploy --spiffe-id spiffe://corp.example/device/7
  portcullis policy explain --test 'a contractor cannot write'")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The method
    #[arg(requires = "url")]
    method: Option<String>,
    /// The address
    url: Option<String>,
    /// Explain the request of a test instead
    #[arg(long, value_name = "NAME", conflicts_with_all = ["method", "url"])]
    test: Option<String>,
    #[command(flatten)]
    description: Options,
}

/// What else is true of the request.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "The request")]
pub(super) struct Options {
    /// The token source whose token was presented
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The token's subject
    #[arg(long, value_name = "SUB", requires = "issuer")]
    sub: Option<String>,
    /// The token's client
    #[arg(long, value_name = "ID", requires = "issuer")]
    client_id: Option<String>,
    /// A group of the subject; may be repeated
    #[arg(long, value_name = "GROUP", requires = "issuer")]
    group: Vec<String>,
    /// A scope of the token; may be repeated
    #[arg(long, value_name = "SCOPE", requires = "issuer")]
    scope: Vec<String>,
    /// The class of the sign-in
    #[arg(long, value_name = "ACR", requires = "issuer")]
    acr: Option<String>,
    /// A method of the sign-in; may be repeated
    #[arg(long, value_name = "AMR", requires = "issuer")]
    amr: Vec<String>,
    /// How long ago the subject signed in: 10m
    #[arg(long, value_name = "SPAN", requires = "issuer")]
    signed_in_ago: Option<String>,
    /// A claim, its value in JSON or else a text; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "issuer")]
    claim: Vec<String>,
    /// The SPIFFE ID of the client certificate
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// The trust bundle that verified the client certificate
    #[arg(long, value_name = "NAME")]
    trust: Option<String>,
    /// A header field; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The source address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// The moment of the decision: 2026-03-01T12:00:00Z; else now
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some(project) = args.place.open(terminal) else { return failed() };
    let Some(case) = find_case(args, &project, terminal) else { return failed() };
    let explained = case.explain(&project.routes, &project.policy.rules);
    match explained {
        Ok((route, explanation)) => {
            match terminal.format() {
                Format::Json => terminal.json(&json!({ "route": route.as_str(), "decision": explanation })),
                Format::Text => {
                    let target = format!("{} https://{}{}", case.method, case.host, case.path);
                    show(&target, route.as_str(), &explanation, terminal);
                }
            }
            if explanation.allowed { WELL } else { failed() }
        }
        Err(error) => {
            unrouted(&error, terminal);
            failed()
        }
    }
}

fn find_case(args: &Args, project: &Project, terminal: &Terminal) -> Option<Case> {
    if let Some(name) = &args.test {
        let found = project.policy.trials.iter().find(|trial| trial.name == *name);
        if found.is_none() {
            terminal.error(format_args!("there is no test named \"{name}\""));
        }
        return found.map(|trial| trial.case.clone());
    }
    let (Some(method), Some(url)) = (&args.method, &args.url) else {
        terminal.error("say which request: METHOD URL, or --test NAME");
        return None;
    };
    let faults = Faults::default();
    let case = describe(&args.description.description(method, url), project, &faults);
    for fault in faults.into_sorted() {
        terminal.error(match fault.hint {
            Some(hint) => format!("{} ({hint})", fault.message),
            None => fault.message,
        });
    }
    case
}

impl Options {
    pub(super) fn description<'a>(&'a self, method: &'a str, url: &'a str) -> Description<'a> {
        Description {
            method,
            url,
            issuer: self.issuer.as_deref(),
            sub: self.sub.as_deref(),
            client_id: self.client_id.as_deref(),
            groups: &self.group,
            scopes: &self.scope,
            acr: self.acr.as_deref(),
            amr: &self.amr,
            signed_in_ago: self.signed_in_ago.as_deref(),
            claims: &self.claim,
            spiffe_id: self.spiffe_id.as_deref(),
            trust: self.trust.as_deref(),
            headers: &self.header,
            source: self.source.as_deref(),
            now: self.now.as_deref(),
        }
    }
}

fn unrouted(error: &RouteError, terminal: &Terminal) {
    let reason = match error {
        RouteError::Unknown => Reason::RouteUnknown,
        RouteError::Method { .. } => Reason::MethodNotAllowed,
        RouteError::Misdirected => Reason::Misdirected,
        RouteError::Path { .. } => Reason::PathAmbiguous,
    };
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "decision": { "allowed": false, "reason": reason.code() } })),
        Format::Text => {
            let word = terminal.paint(Tone::Bad, "deny");
            terminal.line(format_args!("{word}  {}: {error}", reason.code()));
        }
    }
}

fn show(target: &str, route: &str, explanation: &Explanation, terminal: &Terminal) {
    let (word, tone) = if explanation.allowed { ("allow", Tone::Good) } else { ("deny", Tone::Bad) };
    terminal.line(format_args!("{}{target}", terminal.paint(tone, format!("{word:<9}"))));
    let row = |what: &str, text: &str| terminal.line(format_args!("{what:<9}{text}"));
    row("route", route);
    if let Some(reason) = explanation.reason {
        row("reason", reason);
    }
    if let Some(rule) = &explanation.rule {
        row("rule", rule);
    }
    if let Some(nearest) = &explanation.nearest {
        row("nearest", nearest);
    }
    if let Some(advice) = &explanation.advice {
        row("advice", advice);
    }
    for rule in &explanation.rules {
        terminal.line("");
        show_rule(rule, terminal);
    }
}

fn show_rule(rule: &RuleExplanation, terminal: &Terminal) {
    let (became, tone) = match (rule.effect, rule.applies) {
        ("allow", true) => ("admits", Tone::Good),
        ("allow", false) => ("does not admit", Tone::Bad),
        ("deny", true) => ("refuses", Tone::Bad),
        ("deny", false) => ("does not refuse", Tone::Good),
        (_, true) => ("is met", Tone::Good),
        (_, false) => ("is not met", Tone::Bad),
    };
    let watched = if rule.shadow { ", only watched" } else { "" };
    let reach = if rule.reached { "" } else { ", not in its rollout" };
    let name = terminal.paint(Tone::Heading, &rule.rule);
    let became = terminal.paint(tone, format!("{became}{watched}{reach}"));
    let place = terminal.paint(Tone::Faint, &rule.origin);
    terminal.line(format_args!("{:<8} {name}: {became}  {place}", rule.effect));
    show_node(&rule.condition, 1, terminal);
}

fn show_node(node: &Node, depth: usize, terminal: &Terminal) {
    let tone = match node.truth {
        Truth::Holds => Tone::Good,
        Truth::Fails => Tone::Bad,
        Truth::Missing | Truth::Malformed => Tone::Warning,
    };
    // Conditions are joined by "and" unless something else is said, so that needs no line of its own.
    let plain_join = node.seen.is_none() && node.wanted == "all of";
    if !plain_join {
        let word = terminal.paint(tone, format!("{:<9}", node.truth.word()));
        let seen = node.seen.as_ref().filter(|seen| !seen.is_empty());
        let seen = seen.map(|seen| format!("  <- {seen}")).unwrap_or_default();
        let indent = "  ".repeat(depth);
        terminal.line(format_args!("{indent}{word} {}{}", node.wanted, terminal.paint(Tone::Faint, seen)));
    }
    let deeper = if plain_join { depth } else { depth + 1 };
    node.parts.iter().for_each(|part| show_node(part, deeper, terminal));
}
