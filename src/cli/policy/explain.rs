//! `portcullis policy explain`: every rule that was considered, every condition, what was asked and what was seen.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::Method;
use serde_json::json;

use super::super::control::call_socket;
use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::Place;
use super::explained::{show_explained, show_recalled};
use crate::admin::{ExplainOrder, Reply};
use crate::audit::find_record;
use crate::config::fault::Faults;
use crate::config::policy::describe::{Description, describe};
use crate::config::policy::project::Project;
use crate::identity::Reason;
use crate::policy::case::Case;
use crate::policy::replay::{Recalled, Record, Replay};
use crate::policy::rules::Explanation;
use crate::request::CanonicalPath;
use crate::route::RouteError;

/// Explain the decision about a request
///
/// Shows every rule of the route: what it asks, what it saw, and what was nearest to being allowed. The request is
/// described by the options, taken from a test, or recalled from the audit log by its id. What an option does not state is
/// not there: no token without --issuer, no certificate without --spiffe-id or --trust. What a record does not hold is
/// unknown, unless the decision itself tells what it was; the decision of then is shown beside what the rules say now.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis policy explain GET https://pay.corp.example/v1/payments/7 --issuer corp --group finance
  portcullis policy explain POST https://ci.corp.example/deploy --spiffe-id spiffe://corp.example/device/7
  portcullis policy explain --test 'a contractor cannot write'
  portcullis policy explain --decision 5f0c6e0d9a434c0c9b9a0a5d1c7be9d2 --decisions decisions.jsonl
  portcullis policy explain --decision 5f0c6e0d9a434c0c9b9a0a5d1c7be9d2 --socket /run/portcullis/control.sock")]
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
    /// Explain a decision that was recorded: the request id of the answer and of the record
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "url", "test"])]
    decision: Option<String>,
    /// The audit log that has the record
    #[arg(long, value_name = "FILE", requires = "decision", conflicts_with = "socket")]
    decisions: Option<PathBuf>,
    /// Ask the Portcullis that serves this control socket: its policy in force, its audit log
    #[arg(long, value_name = "PATH", conflicts_with = "policies")]
    socket: Option<PathBuf>,
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
    if args.socket.is_some() {
        return running(args, terminal);
    }
    if let (Some(_), None) = (&args.decision, &args.decisions) {
        terminal.error("say where the record is: --decisions FILE, or --socket PATH of the Portcullis that wrote it");
        return failed();
    }
    let Some(project) = args.place.open(terminal) else { return failed() };
    if let (Some(id), Some(log)) = (&args.decision, &args.decisions) {
        return recorded(id, log, &project, terminal);
    }
    let Some(case) = find_case(args, &project, terminal) else { return failed() };
    let explained = case.explain(&project.routes, &project.policy.rules);
    match explained {
        Ok((meant, explanation)) => {
            let (route, rewritten) = (meant.route.name.as_str(), meant.rewritten.as_ref().map(CanonicalPath::as_str));
            match terminal.format() {
                Format::Json => {
                    terminal.json(&json!({ "route": route, "rewritten": rewritten, "decision": explanation }));
                }
                Format::Text => {
                    let target = format!("{} https://{}{}", case.method, case.host, case.path);
                    show_explained(&target, (route, rewritten), &explanation, terminal);
                }
            }
            if explanation.allowed == Some(true) { WELL } else { failed() }
        }
        Err(error) => {
            unrouted(&error, terminal);
            failed()
        }
    }
}

/// A decision of the audit log, under the policy of --config.
fn recorded(id: &str, log: &Path, project: &Project, terminal: &Terminal) -> ExitCode {
    let line = match find_record(log, id) {
        Ok(Some(line)) => line,
        Ok(None) => return complain(terminal, format_args!("{} has no record of request {id}", log.display())),
        Err(error) => return complain(terminal, format_args!("{} cannot be read: {error}", log.display())),
    };
    let record = match Record::parse(&line) {
        Ok(record) => record,
        Err(unreadable) => return complain(terminal, unreadable.told(&line)),
    };
    let rules = &project.policy.rules;
    let replay = Replay { routes: &project.routes, rules, old: (rules, &project.version) };
    tell_recalled(&replay.recall(&record, &project.version), terminal)
}

/// A question to a Portcullis that runs.
fn running(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some(socket) = &args.socket else { return failed() };
    let request = match (&args.decision, &args.method, &args.url) {
        (Some(_), _, _) => None,
        (None, Some(method), Some(url)) => {
            let faults = Faults::default();
            let text = args.description.description(method, url).as_toml(&faults);
            complain_of(faults, terminal);
            let Some(text) = text else { return failed() };
            Some(text)
        }
        _ => return complain(terminal, "say which request: METHOD URL, or --decision ID"),
    };
    let order = ExplainOrder { decision: args.decision.clone(), request };
    let body = serde_json::to_vec(&order).unwrap_or_default();
    let Some((well, body)) = call_socket(socket, terminal, Method::POST, "/explain", body.into()) else {
        return failed();
    };
    if !well {
        let reply = serde_json::from_slice::<Reply>(&body).map(|reply| reply.message);
        return complain(
            terminal,
            reply.unwrap_or_else(|_| "the answer is not one that this version understands".into()),
        );
    }
    if let Ok(recalled) = serde_json::from_slice::<Recalled>(&body) {
        return tell_recalled(&recalled, terminal);
    }
    let Ok(Described { route, rewritten, decision }) = serde_json::from_slice(&body) else {
        return complain(terminal, "the answer is not one that this version understands");
    };
    match terminal.format() {
        Format::Json => terminal.raw(&body),
        Format::Text => {
            let target =
                format!("{} {}", args.method.as_deref().unwrap_or_default(), args.url.as_deref().unwrap_or_default());
            show_explained(&target, (&route, rewritten.as_deref()), &decision, terminal);
        }
    }
    if decision.allowed == Some(true) { WELL } else { failed() }
}

/// The answer to a described request.
#[derive(serde::Deserialize)]
struct Described {
    route: String,
    rewritten: Option<String>,
    decision: Explanation,
}

fn tell_recalled(recalled: &Recalled, terminal: &Terminal) -> ExitCode {
    match terminal.format() {
        Format::Json => terminal.json(recalled),
        Format::Text => show_recalled(recalled, terminal),
    }
    if recalled.now.allowed == Some(true) { WELL } else { failed() }
}

fn complain(terminal: &Terminal, message: impl std::fmt::Display) -> ExitCode {
    terminal.error(message);
    failed()
}

fn complain_of(faults: Faults, terminal: &Terminal) {
    for fault in faults.into_sorted() {
        terminal.error(match fault.hint {
            Some(hint) => format!("{} ({hint})", fault.message),
            None => fault.message,
        });
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
        terminal.error("say which request: METHOD URL, --test NAME, or --decision ID");
        return None;
    };
    let faults = Faults::default();
    let case = describe(&args.description.description(method, url), project, &faults);
    complain_of(faults, terminal);
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
        RouteError::Header(_) => Reason::HeaderInvalid,
    };
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "decision": { "allowed": false, "reason": reason.code() } })),
        Format::Text => {
            let word = terminal.paint(Tone::Bad, "deny");
            terminal.line(format_args!("{word}  {}: {error}", reason.code()));
        }
    }
}
