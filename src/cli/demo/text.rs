//! What the demo says to a person.

use crate::cli::output::{Terminal, Tone};
use crate::demo::tour::{Expected, Outcome, Part};
use crate::demo::{Endpoint, PEOPLE_CLIENT, PERSON_GRANT, Stage};

/// What runs, and where.
pub(super) fn opening(stage: &Stage, terminal: &Terminal) {
    terminal.line(terminal.paint(Tone::Heading, "Everything below runs on this machine alone."));
    let rows = [
        ("gateway", stage.url("payments", "")),
        ("identity provider", stage.provider().issuer().to_owned()),
        ("service behind", format!("http://{}", stage.service().address())),
        ("health, metrics", format!("http://{}/status", stage.probes())),
        ("configuration", stage.directory().display().to_string()),
    ];
    for (what, place) in rows {
        terminal.line(format_args!("  {what:<18} {place}"));
    }
    terminal.flush();
}

/// Every request with what came of it and why, and the count.
pub(super) fn tour(parts: &[Part], terminal: &Terminal) {
    for part in parts {
        terminal.line(format_args!("\n{}", terminal.paint(Tone::Heading, part.title)));
        for outcome in &part.outcomes {
            show(outcome, terminal);
        }
    }
    let outcomes: Vec<_> = parts.iter().flat_map(|part| &part.outcomes).collect();
    let surprises = outcomes.iter().filter(|outcome| outcome.surprise.is_some()).count();
    terminal.line("");
    if surprises == 0 {
        let all = format!("{} requests, each decided as it must be.", outcomes.len());
        terminal.line(terminal.paint(Tone::Good, all));
    } else {
        let some = format!("{surprises} of {} requests were not decided as they must be.", outcomes.len());
        terminal.line(terminal.paint(Tone::Bad, some));
    }
}

/// What to try next, ready to paste.
pub(super) fn going_on(stage: &Stage, terminal: &Terminal) {
    let token = stage.provider().url(Endpoint::Token);
    let file = |name| stage.certificate(name).display().to_string();
    let (ca, device, key) = (file("ca.pem"), file("device.pem"), file("device.key"));
    let payment = stage.url("payments", "/v1/payments/7");
    let socket = stage.control().display().to_string();
    let program = std::env::current_exe().map_or_else(|_| "portcullis".into(), |path| path.display().to_string());
    let heading = |text: &str| terminal.line(format_args!("\n{}", terminal.paint(Tone::Heading, text)));
    let command = |text: String| terminal.line(format_args!("  {}", terminal.paint(Tone::Literal, text)));

    heading("Go on yourself: paste these into another terminal");
    command(format!(
        "TOKEN=$(curl -s -d 'grant_type={PERSON_GRANT}&client_id={PEOPLE_CLIENT}&user=alice' {token} | sed 's/.*\"access_token\":\"//; s/\".*//')"
    ));
    command(format!("curl --cacert {ca} {}", stage.url("status", "/")));
    command(format!("curl --cacert {ca} {payment}"));
    command(format!("curl --cacert {ca} -H \"Authorization: Bearer $TOKEN\" {payment}"));
    command(format!(
        "curl --cacert {ca} --cert {device} --key {key} -H \"Authorization: Bearer $TOKEN\" -d '{{\"amount\": 42}}' {payment}"
    ));
    heading("See what it recorded, and what it knows of itself");
    command(format!("tail -n 1 {}", stage.audit().display()));
    command(format!("{program} status --socket {socket}"));
    command(format!("$EDITOR {}", stage.directory().join("policies/demo.toml").display()));
    terminal.line(format_args!(
        "  {}",
        terminal.paint(Tone::Faint, "A saved change is tested and served within two seconds; one with a fault is not.")
    ));
    terminal.line(format_args!("\nServing until Ctrl-C, which removes {}.", stage.directory().display()));
}

fn show(outcome: &Outcome, terminal: &Terminal) {
    let (tone, verdict) = match (&outcome.surprise, outcome.expected) {
        (Some(_), _) => (Tone::Bad, "WRONG"),
        (None, Expected::Allowed { .. }) => (Tone::Good, "allowed"),
        (None, Expected::Refused { .. }) => (Tone::Warning, "refused"),
    };
    let status = outcome.status.map_or_else(|| "---".to_owned(), |status| status.to_string());
    let (status, verdict) = (terminal.paint(tone, status), terminal.paint(tone, format!("{verdict:<7}")));
    terminal.line(format_args!("  {status} {verdict}  {}", outcome.title));
    let path = outcome.url.split_once("://").map_or(outcome.url.as_str(), |(_, rest)| rest);
    let faint = |label: &str, text: &str| {
        terminal.line(format_args!("               {}", terminal.paint(Tone::Faint, format!("{label}{text}"))));
    };
    faint("", &format!("{} {path}", outcome.method));
    match (&outcome.reason, &outcome.rule) {
        (Some(reason), Some(rule)) => faint("", &format!("{reason}, by \"{rule}\": {}", outcome.why)),
        (Some(reason), None) => faint("", &format!("{reason}: {}", outcome.why)),
        (None, Some(rule)) if outcome.why.is_empty() => faint("", &format!("by \"{rule}\"")),
        (None, Some(rule)) => faint("", &format!("by \"{rule}\"; {}", outcome.why)),
        (None, None) => faint("", &outcome.why),
    }
    if let Some(detail) = &outcome.detail {
        faint("for the operator: ", detail);
    }
    if let Some(surprise) = &outcome.surprise {
        terminal.line(format_args!("               {}", terminal.paint(Tone::Bad, surprise)));
    }
}
