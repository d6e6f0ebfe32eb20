//! `/metrics`: the workers' counters, summed, in the Prometheus text format. `docs/metrics.md` lists every family.

use super::Overview;
use super::notes::AuthorityNote;
use crate::authn::{SourceKind, SourceState};
use crate::identity::Reason;
use crate::telemetry::{Exposition, Kind, Meters, total};
use crate::upstream::EndpointStatus;

/// The text of one scrape.
pub(super) fn expose(overview: &Overview) -> String {
    let mut text = Exposition::default();
    let workers: Vec<&Meters> = overview.meters.iter().map(|meters| &**meters).collect();
    requests(&mut text, &workers);
    connections(&mut text, &workers);
    denials(&mut text, overview);
    sources(&mut text, overview);
    endpoints(&mut text, overview);
    authorities(&mut text, overview);
    certificates(&mut text, overview);
    audit(&mut text, overview);
    let ready = u8::from(overview.not_ready().is_empty());
    text.single("portcullis_ready", Kind::Gauge, "Whether the gateway is ready: 1 or 0.", ready);
    let uptime = overview.uptime();
    text.single("portcullis_uptime_seconds", Kind::Gauge, "Seconds since the start.", uptime);
    text.finish()
}

fn requests(text: &mut Exposition, workers: &[&Meters]) {
    let sum = |count: &dyn Fn(&Meters) -> u64| total(workers.iter().copied(), count);
    let name = "portcullis_requests_total";
    text.family(name, Kind::Counter, "Requests by how they ended; `reason` is empty for those that ended well.");
    text.sample(name, &[("reason", "")], sum(&|meters| meters.allowed.value()));
    for reason in Reason::ALL {
        text.sample(name, &[("reason", reason.code())], sum(&|meters| meters.refused(*reason).value()));
    }
    let in_flight: i64 = workers.iter().map(|meters| meters.in_flight.value()).sum();
    text.single("portcullis_requests_in_flight", Kind::Gauge, "Requests being answered.", in_flight);
    let help = "From the head of a request to the end of its answer.";
    text.histogram("portcullis_request_duration_seconds", help, workers.iter().map(|meters| &meters.durations));
    let help = "From the head of a request to the decision.";
    text.histogram("portcullis_decision_duration_seconds", help, workers.iter().map(|meters| &meters.decisions));
    let name = "portcullis_policy_watched_differences_total";
    text.family(
        name,
        Kind::Counter,
        "Decisions that rules in shadow mode would have made otherwise, by what they would be.",
    );
    text.sample(name, &[("decision", "allow")], sum(&|meters| meters.watched(true).value()));
    text.sample(name, &[("decision", "deny")], sum(&|meters| meters.watched(false).value()));
    let name = "portcullis_body_bytes_total";
    text.family(name, Kind::Counter, "Bytes of bodies.");
    text.sample(name, &[("direction", "in")], sum(&|meters| meters.bytes_in.value()));
    text.sample(name, &[("direction", "out")], sum(&|meters| meters.bytes_out.value()));
    let name = "portcullis_tokens_total";
    text.family(name, Kind::Counter, "Tokens presented, by whether a worker's cache knew them.");
    text.sample(name, &[("cache", "hit")], sum(&|meters| meters.tokens_cached.value()));
    text.sample(name, &[("cache", "miss")], sum(&|meters| meters.tokens_verified.value()));
}

/// Zero where no bound is stated: nothing is counted then.
fn denials(text: &mut Exposition, overview: &Overview) {
    let note = overview.denials();
    let name = "portcullis_policy_subjects";
    text.family(name, Kind::Gauge, "Different authenticated subjects in the window of policy.alarm, about.");
    text.sample(name, &[("outcome", "all")], note.map_or(0, |note| note.subjects));
    text.sample(name, &[("outcome", "refused")], note.map_or(0, |note| note.refused));
    let help = "Whether more subjects are refused than policy.alarm allows: 1 or 0.";
    text.single("portcullis_policy_alarm", Kind::Gauge, help, u8::from(note.is_some_and(|note| note.alarm)));
}

fn connections(text: &mut Exposition, workers: &[&Meters]) {
    let sum = |count: &dyn Fn(&Meters) -> u64| total(workers.iter().copied(), count);
    let accepted = sum(&|meters| meters.connections.accepted.value());
    text.single("portcullis_connections_accepted_total", Kind::Counter, "Connections accepted.", accepted);
    let open: i64 = workers.iter().map(|meters| meters.connections.open.value()).sum();
    text.single("portcullis_connections_open", Kind::Gauge, "Connections open.", open);
    let name = "portcullis_handshakes_total";
    text.family(name, Kind::Counter, "TLS handshakes finished.");
    let (all, resumed) =
        (sum(&|meters| meters.connections.handshakes.value()), sum(&|meters| meters.connections.resumed.value()));
    text.sample(name, &[("kind", "full")], all.saturating_sub(resumed));
    text.sample(name, &[("kind", "resumed")], resumed);
    let failed = sum(&|meters| meters.connections.failed.value());
    let help = "Connections that ended badly outside of any request.";
    text.single("portcullis_connections_failed_total", Kind::Counter, help, failed);
}

fn sources(text: &mut Exposition, overview: &Overview) {
    let sources = overview.sources();
    let name = "portcullis_token_source_up";
    text.family(name, Kind::Gauge, "Whether a token source can be relied on: 1 or 0.");
    for source in &sources {
        let up = u8::from(matches!(source.state, SourceState::Fresh | SourceState::Stale));
        text.sample(name, &[("kind", source.kind.as_str()), ("name", source.name.as_str())], up);
    }
    let name = "portcullis_issuer_keys";
    text.family(name, Kind::Gauge, "Keys that are known of an issuer.");
    for source in sources.iter().filter(|source| source.kind == SourceKind::Issuer) {
        text.sample(name, &[("name", source.name.as_str())], source.keys);
    }
}

fn endpoints(text: &mut Exposition, overview: &Overview) {
    let endpoints = overview.endpoints();
    let mut each = |name: &'static str, kind: Kind, help: &'static str, value: &dyn Fn(&EndpointStatus) -> u64| {
        text.family(name, kind, help);
        for status in &endpoints {
            let labels = [("upstream", status.upstream.as_str()), ("endpoint", &*status.endpoint)];
            text.sample(name, &labels, value(status));
        }
    };
    let help = "Whether requests are sent to an endpoint: 1 or 0.";
    each("portcullis_endpoint_in_service", Kind::Gauge, help, &|status| u64::from(status.in_service()));
    let help = "Requests in flight at an endpoint.";
    each("portcullis_endpoint_requests", Kind::Gauge, help, &|status| u64::from(status.active));
    let help = "How often failed requests have put an endpoint out of service.";
    each("portcullis_endpoint_ejections_total", Kind::Counter, help, &|status| status.ejections);
    let name = "portcullis_endpoint_checks_total";
    text.family(name, Kind::Counter, "Health checks by how they ended.");
    for status in &endpoints {
        let labels =
            |outcome| [("upstream", status.upstream.as_str()), ("endpoint", &*status.endpoint), ("outcome", outcome)];
        text.sample(name, &labels("passed"), status.checks.0);
        text.sample(name, &labels("failed"), status.checks.1);
    }
}

fn authorities(text: &mut Exposition, overview: &Overview) {
    let authorities = overview.trust();
    let labels = |note: &'_ AuthorityNote| [("trust", note.trust.to_string()), ("authority", note.authority.clone())];
    let mut each = |name: &'static str, help: &'static str, value: &dyn Fn(&AuthorityNote) -> Option<i64>| {
        text.family(name, Kind::Gauge, help);
        for note in &authorities {
            let [(trust, name_of_trust), (authority, subject)] = labels(note);
            if let Some(value) = value(note) {
                text.sample(name, &[(trust, &name_of_trust), (authority, &subject)], value);
            }
        }
    };
    let help = "The end of an authority's validity, in seconds since 1970.";
    each("portcullis_authority_not_after_seconds", help, &|note| Some(note.not_after.as_second()));
    let help = "When an authority's next revocation list is due, in seconds since 1970.";
    each("portcullis_revocation_list_next_update_seconds", help, &|note| Some(note.next_update?.as_second()));
    let help = "Whether an authority's certificates cannot be told from revoked ones: no list, or one that is overdue.";
    each("portcullis_revocation_list_missing", help, &|note| Some(note.list_missing.into()));
    let help = "Certificates that an authority's list revokes.";
    each("portcullis_revocation_list_entries", help, &|note| i64::try_from(note.revoked).ok());
}

fn certificates(text: &mut Exposition, overview: &Overview) {
    let name = "portcullis_certificate_not_after_seconds";
    text.family(name, Kind::Gauge, "When the first of a listener's server certificates ends, in seconds since 1970.");
    for (listener, not_after) in overview.first_ends() {
        text.sample(name, &[("listener", listener.as_str())], not_after.as_second());
    }
}

fn audit(text: &mut Exposition, overview: &Overview) {
    let health = overview.audit.health();
    let writable = u8::from(health.failure.is_none());
    text.single("portcullis_audit_writable", Kind::Gauge, "Whether records can be written: 1 or 0.", writable);
    text.single("portcullis_audit_bytes_total", Kind::Counter, "Bytes of records written.", health.written);
    let help = "Records that were only counted.";
    text.single("portcullis_audit_records_lost_total", Kind::Counter, help, health.lost);
}
