//! The tour: requests of every kind against the running demo, each with what must come of it.
//!
//! A real HTTPS client asks; what the gateway decided and why is read where an operator would: in the audit log.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use serde::Serialize;
use serde_json::Value;

use super::caller::{CallError, Caller};
use super::stage::Stage;
use crate::identity::Reason;

mod chapters;
mod clients;
mod tokens;

pub use chapters::Expected;
use chapters::{Chapter, Step};
use clients::Clients;
use tokens::Tokens;

/// How often, and how many times, the audit log is looked at before a record counts as missing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOKS: usize = 250;

/// One part of the tour, with what happened.
#[derive(Debug, Serialize)]
pub struct Part {
    /// What it is about.
    pub title: &'static str,
    /// Its requests.
    pub outcomes: Vec<Outcome>,
}

/// What one request of the tour came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Who asked, for what.
    pub title: &'static str,
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: String,
    /// What must come of it.
    pub expected: Expected,
    /// The status that came back; none when nothing did.
    pub status: Option<u16>,
    /// The reason code of the answer, when it was refused.
    pub reason: Option<String>,
    /// The rule that decided, as the audit log has it.
    pub rule: Option<String>,
    /// Why, in a sentence.
    pub why: String,
    /// What else the audit log says, for the operator alone.
    pub detail: Option<String>,
    /// The request id, in the answer and in the audit log.
    pub request_id: Option<String>,
    /// What is wrong, when it did not go as it must.
    pub surprise: Option<String>,
}

/// The tour cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// The client cannot be set up.
    #[error("the client cannot be set up: {0}")]
    Client(String),
    /// The identity provider gave no token.
    #[error("the identity provider gives no token")]
    Provider(#[source] CallError),
    /// The identity provider answered something else.
    #[error("the identity provider answers {0}")]
    Answer(String),
}

/// Makes the tour.
///
/// # Errors
/// [`TourError`] when it cannot begin. Requests that come to nothing are outcomes, not errors.
pub async fn make(stage: &Stage) -> Result<Vec<Part>, TourError> {
    let clients = Clients::new(stage).map_err(TourError::Client)?;
    let tokens = Tokens::fetch(stage).await?;
    let mut parts = Vec::new();
    for Chapter { title, steps } in chapters::all(&tokens) {
        let mut outcomes = Vec::new();
        for step in steps {
            if let Some(token) = &step.revoked_before {
                tokens::revoke(stage, token).await?;
            }
            let answer = ask(stage, clients.caller(step.certificate), &step).await;
            outcomes.push((step, answer));
        }
        parts.push((title, outcomes));
    }
    let ids = parts.iter().flat_map(|(_, outcomes)| outcomes).filter_map(|(_, answer)| request_id(answer));
    let records = recorded(&stage.audit(), &ids.collect::<Vec<_>>()).await;
    let judge = |(step, answer)| judged(stage, &step, &answer, &records);
    Ok(parts
        .into_iter()
        .map(|(title, outcomes)| Part { title, outcomes: outcomes.into_iter().map(judge).collect() })
        .collect())
}

type Answer = Result<Response<Bytes>, CallError>;

async fn ask(stage: &Stage, caller: &Caller, step: &Step) -> Answer {
    let mut request = Request::builder().method(step.method).uri(stage.url(step.host, step.path));
    for (name, value) in &step.headers {
        request = request.header(*name, *value);
    }
    if let Some(token) = &step.token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if !step.body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    match request.body(Bytes::from_static(step.body.as_bytes())) {
        Ok(request) => caller.call(request).await,
        Err(error) => Err(CallError::Http(error.into())),
    }
}

fn request_id(answer: &Answer) -> Option<String> {
    Some(answer.as_ref().ok()?.headers().get("x-request-id")?.to_str().ok()?.to_owned())
}

/// The audit records of these requests. What is not there after a while stays missing.
async fn recorded(log: &Path, ids: &[String]) -> HashMap<String, Value> {
    let mut records = HashMap::new();
    for _ in 0..LOOKS {
        let text = tokio::fs::read_to_string(log).await.unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records = lines.filter_map(|record| Some((record.get("id")?.as_str()?.to_owned(), record))).collect();
        if ids.iter().all(|id| records.contains_key(id)) {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    records
}

fn judged(stage: &Stage, step: &Step, answer: &Answer, records: &HashMap<String, Value>) -> Outcome {
    let request_id = request_id(answer);
    let record = request_id.as_ref().and_then(|id| records.get(id));
    let said = |name| record.and_then(|record| record.get(name)?.as_str().map(str::to_owned));
    let body: Value =
        answer.as_ref().ok().and_then(|answer| serde_json::from_slice(answer.body()).ok()).unwrap_or_default();
    let mut outcome = Outcome {
        title: step.title,
        method: step.method,
        url: stage.url(step.host, step.path),
        expected: step.expected,
        status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
        reason: body.get("reason").and_then(Value::as_str).map(str::to_owned),
        rule: said("rule"),
        why: String::new(),
        detail: said("detail").filter(|_| adds(body.get("reason").and_then(Value::as_str))),
        request_id,
        surprise: None,
    };
    outcome.why = why(&outcome, &body, step, answer);
    outcome.surprise = surprise(&outcome, step, record, &body);
    outcome
}

/// Whether the audit log's detail says more than the reason's own sentence.
fn adds(reason: Option<&str>) -> bool {
    let known = [
        Reason::CertificateRefused,
        Reason::CredentialMissing,
        Reason::NoRuleAllows,
        Reason::RequirementFailed,
        Reason::StepUpRequired,
    ];
    known.iter().any(|known| Some(known.code()) == reason)
}

fn why(outcome: &Outcome, body: &Value, step: &Step, answer: &Answer) -> String {
    if let Err(error) = answer {
        let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
        return format!("{error}{cause}");
    }
    let Some(reason) = outcome.reason.as_deref() else {
        let shown = step.service_sees.map(|(name, value)| format!("the service saw {name}: {value}"));
        return shown.unwrap_or_default();
    };
    let known = Reason::ALL.iter().find(|known| known.code() == reason);
    let summary = known.map_or("", |known| known.summary());
    let advice = body.get("advice").and_then(Value::as_str).map(|advice| format!(" {advice}"));
    format!("{summary}{}", advice.unwrap_or_default())
}

/// What is not as it must be: in the answer, at the service behind, or in the audit log.
fn surprise(outcome: &Outcome, step: &Step, record: Option<&Value>, body: &Value) -> Option<String> {
    let Some(record) = record else { return Some("the audit log has no record of it".into()) };
    let seen = |name: &str| body.pointer(&format!("/headers/{name}")).and_then(Value::as_str);
    match step.expected {
        Expected::Allowed { rule } => {
            if outcome.status != Some(200) {
                return Some("it should be answered by the service, with 200".into());
            }
            if outcome.rule.as_deref() != Some(rule) || record.get("decision") != Some(&"allow".into()) {
                return Some(format!("the rule `{rule}` should allow it"));
            }
            if seen("authorization").is_some() {
                return Some("the token should not reach the service".into());
            }
            let (name, value) = step.service_sees?;
            (seen(name) != Some(value)).then(|| format!("the service should see {name}: {value}"))
        }
        Expected::Refused { status, reason } => {
            let as_told = outcome.status == Some(status) && outcome.reason.as_deref() == Some(reason);
            let as_recorded =
                record.get("decision") == Some(&"deny".into()) && record.get("reason") == Some(&reason.into());
            (!(as_told && as_recorded)).then(|| format!("it should be refused with {status} {reason}"))
        }
    }
}

#[cfg(test)]
mod tests;
