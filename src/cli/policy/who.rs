//! `portcullis policy who-can` and `what-can`: what the rules say when only the request, or only who asks, is known.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use super::super::output::{Format, Terminal, Tone, WELL, failed};
use super::Place;
use super::explain::Options;
use crate::config::fault::Faults;
use crate::config::policy::describe::{Description, describe};
use crate::config::policy::project::Project;
use crate::policy::case::Case;
use crate::policy::rules::Criterion;
use crate::policy::rules::criterion::{PeerCriterion, RequestCriterion, SubjectCriterion};
use crate::policy::rules::who::{Answer, Known, Who, ask};

/// Tell who can do something
///
/// Works out from the rules who is admitted: nobody, everybody, or whoever meets the conditions that remain. Sound: it
/// never says nobody where some request is admitted. Expressions are shown as they stand.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 when somebody can, 1 when nobody can.

Example:
  portcullis policy who-can POST https://payments.corp.example/v1/payments --config /etc/portcullis")]
pub(super) struct WhoArgs {
    #[command(flatten)]
    place: Place,
    /// The method
    method: String,
    /// The address
    url: String,
}

/// Tell what somebody can do
///
/// Goes through all routes and tells where a subject of whom only this is known is admitted, and what remains to be met.
/// What is stated counts as complete: `--group sre` is somebody in that group alone.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis policy what-can --issuer corp --group sre
  portcullis policy what-can --spiffe-id spiffe://corp.example/ns/shop/sa/web --trust corp")]
pub(super) struct WhatArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    subject: Options,
}

pub(super) fn who_can(args: &WhoArgs, terminal: &Terminal) -> ExitCode {
    let Some(project) = args.place.open(terminal) else { return failed() };
    let description = Description { method: &args.method, url: &args.url, ..Description::default() };
    let Some(case) = described(&description, &project, terminal) else { return failed() };
    let meant = match case.route(&project.routes) {
        Ok(found) => found,
        Err(error) => {
            terminal.error(format_args!("no route: {error}"));
            return failed();
        }
    };
    let route = &meant.route;
    let Some(rules) = project.policy.rules.route(&route.name) else { return failed() };
    let takes_tokens = rules.takes_tokens();
    let holds = |criterion: &Criterion| match criterion {
        Criterion::Request(RequestCriterion::Header(..) | RequestCriterion::HeaderPresent(..)) => false,
        Criterion::Request(_) => true,
        Criterion::Subject(_) | Criterion::Claim(_) => !takes_tokens,
        _ => false,
    };
    let known = Known { facts: case.facts(Some(&meant)), at: case.at, holds: &holds };
    let answer = ask(rules, &known);
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "route": route.name.as_str(), "answer": answer })),
        Format::Text => {
            let chosen = project.routes.iter().any(|other| other.host == route.host && !other.headers.is_empty());
            if chosen {
                terminal.note("other routes of this host are chosen by header fields, which are not looked at here");
            }
            show(route.name.as_str(), &answer, terminal);
        }
    }
    if answer.who == Who::Nobody { failed() } else { WELL }
}

pub(super) fn what_can(args: &WhatArgs, terminal: &Terminal) -> ExitCode {
    let Some(project) = args.place.open(terminal) else { return failed() };
    let description = args.subject.description("GET", "https://nowhere.invalid/");
    let Some(case) = described(&description, &project, terminal) else { return failed() };
    let holds = |criterion: &Criterion| stated(&description, criterion);
    let known = Known { facts: case.facts(None), at: case.at, holds: &holds };
    let mut answers = Vec::new();
    for (name, rules) in project.policy.rules.routes() {
        let counts = match &case.token {
            Some(token) => {
                project.routes.iter().any(|route| route.name == *name && route.tokens.contains(&token.source))
            }
            None => true,
        };
        // A token of somebody who does not count there is refused before any rule.
        let answer = counts.then(|| ask(rules, &known));
        answers.extend(answer.map(|answer| (name, answer)));
    }
    let somewhere = answers.iter().any(|(_, answer)| answer.who != Who::Nobody);
    match terminal.format() {
        Format::Json => {
            let routes: Vec<_> =
                answers.iter().map(|(name, a)| json!({ "route": name.as_str(), "answer": a })).collect();
            terminal.json(&routes);
        }
        Format::Text => {
            for (name, answer) in answers.iter().filter(|(_, answer)| answer.who != Who::Nobody) {
                show(name.as_str(), answer, terminal);
            }
            if !somewhere {
                terminal.line("nothing");
            }
        }
    }
    if somewhere { WELL } else { failed() }
}

fn described(description: &Description<'_>, project: &Project, terminal: &Terminal) -> Option<Case> {
    let faults = Faults::default();
    let case = describe(description, project, &faults);
    for fault in faults.into_sorted() {
        terminal.error(fault.message);
    }
    case.map(|case| Case { at: if description.now.is_some() { case.at } else { Timestamp::now() }, ..case })
}

/// Whether the description says all that the criterion looks at.
fn stated(described: &Description<'_>, criterion: &Criterion) -> bool {
    let (token, peer) = (described.issuer.is_some(), described.spiffe_id.is_some() || described.trust.is_some());
    match criterion {
        Criterion::Subject(SubjectCriterion::Any | SubjectCriterion::Issuer(_)) => token,
        Criterion::Subject(SubjectCriterion::Sub(_)) => described.sub.is_some(),
        Criterion::Subject(SubjectCriterion::ClientId(_)) => described.client_id.is_some(),
        Criterion::Subject(SubjectCriterion::Groups(_)) => !described.groups.is_empty(),
        Criterion::Subject(SubjectCriterion::Scopes(_)) => !described.scopes.is_empty(),
        Criterion::Subject(SubjectCriterion::Acr(_)) => described.acr.is_some(),
        Criterion::Subject(SubjectCriterion::Amr(_)) => !described.amr.is_empty(),
        Criterion::Subject(SubjectCriterion::SignedInWithin(_)) => described.signed_in_ago.is_some(),
        Criterion::Peer(PeerCriterion::Any | PeerCriterion::None) => peer,
        Criterion::Peer(PeerCriterion::Trust(_)) => described.trust.is_some(),
        Criterion::Peer(PeerCriterion::SpiffeId(_)) => described.spiffe_id.is_some(),
        Criterion::Source(_) => described.source.is_some(),
        Criterion::Time(_) => described.now.is_some(),
        _ => false,
    }
}

fn show(route: &str, answer: &Answer, terminal: &Terminal) {
    let (word, tone) = match answer.who {
        Who::Everybody => ("everybody", Tone::Good),
        Who::Nobody => ("nobody", Tone::Bad),
        Who::Some => ("whoever", Tone::Warning),
    };
    terminal.line(format_args!("{}  {}", terminal.paint(Tone::Heading, route.to_owned()), terminal.paint(tone, word)));
    let joined = |conditions: &[String]| conditions.join(", ");
    for way in &answer.ways {
        let what =
            if way.conditions.is_empty() { "as it is".to_owned() } else { format!("with {}", joined(&way.conditions)) };
        terminal.line(format_args!("    {what}  {}", terminal.paint(Tone::Faint, way.rule.clone())));
    }
    for rule in &answer.requirements {
        terminal.line(format_args!(
            "    and {}  {}",
            joined(&rule.conditions),
            terminal.paint(Tone::Faint, rule.rule.clone())
        ));
    }
    for rule in &answer.denies {
        let what = joined(&rule.conditions);
        terminal.line(format_args!("    unless {what}  {}", terminal.paint(Tone::Faint, rule.rule.clone())));
    }
}
