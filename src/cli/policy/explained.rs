//! Shows an explanation: the decision, then every rule with its conditions as a tree.

use super::super::output::{Terminal, Tone};
use crate::policy::replay::Recalled;
use crate::policy::rules::{Explanation, Finding, Node, RuleExplanation};

/// A recorded decision: what was decided then, and what the rules say now.
pub(super) fn show_recalled(recalled: &Recalled, terminal: &Terminal) {
    let row = |what: &str, text: &str| terminal.line(format_args!("{what:<9}{text}"));
    let then = &recalled.then;
    let why = then.rule.as_ref().or(then.reason.as_ref()).map(|why| format!(" ({why})")).unwrap_or_default();
    row("request", &recalled.request);
    row("by", &recalled.who);
    row("at", &recalled.time.to_string());
    let version = then.policy.as_deref().unwrap_or("unknown");
    let word = decision(Some(then.allowed), terminal);
    terminal.line(format_args!("{:<9}{word} by policy {version}{why}", "then"));
    let same = if version == recalled.policy { ", the same version" } else { ", another version" };
    terminal.line(format_args!(
        "{:<9}{} by policy {}{same}",
        "now",
        decision(recalled.now.allowed, terminal),
        recalled.policy
    ));
    match &recalled.route {
        Ok(route) => row("route", route),
        Err(error) => row("route", &format!("none: {error}")),
    }
    show_reasons(&recalled.now, terminal);
}

fn decision(allowed: Option<bool>, terminal: &Terminal) -> String {
    let (word, tone) = match allowed {
        Some(true) => ("allow", Tone::Good),
        Some(false) => ("deny", Tone::Bad),
        None => ("unknown", Tone::Warning),
    };
    terminal.paint(tone, word).to_string()
}

/// The decision about a described request, on a route that may rewrite its path.
pub(super) fn show_explained(
    target: &str,
    (route, rewritten): (&str, Option<&str>),
    explanation: &Explanation,
    terminal: &Terminal,
) {
    let (word, tone) = if explanation.allowed == Some(true) { ("allow", Tone::Good) } else { ("deny", Tone::Bad) };
    terminal.line(format_args!("{}{target}", terminal.paint(tone, format!("{word:<9}"))));
    terminal.line(format_args!("{:<9}{route}", "route"));
    if let Some(path) = rewritten {
        terminal.line(format_args!("{:<9}{path}, which is what the rules and the service see", "becomes"));
    }
    show_reasons(explanation, terminal);
}

fn show_reasons(explanation: &Explanation, terminal: &Terminal) {
    let row = |what: &str, text: &str| terminal.line(format_args!("{what:<9}{text}"));
    if let Some(reason) = &explanation.reason {
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
    let (became, tone) = match (rule.effect.as_str(), rule.applies) {
        ("allow", Some(true)) => ("admits", Tone::Good),
        ("allow", Some(false)) => ("does not admit", Tone::Bad),
        ("deny", Some(true)) => ("refuses", Tone::Bad),
        ("deny", Some(false)) => ("does not refuse", Tone::Good),
        (_, Some(true)) => ("is met", Tone::Good),
        (_, Some(false)) => ("is not met", Tone::Bad),
        (_, None) => ("depends on what was not recorded", Tone::Warning),
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
        Finding::Holds => Tone::Good,
        Finding::Fails => Tone::Bad,
        Finding::Missing | Finding::Malformed | Finding::Unknown => Tone::Warning,
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
