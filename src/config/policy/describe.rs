//! A request described on a command line or over the control socket, read as a `[[test]]` would be.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::super::fault::{Fault, Faults, Source};
use super::super::reader::Document;
use super::names::Names;
use super::project::Project;
use super::{Vocabulary, trial};
use crate::identity::{Issuer, Name};
use crate::policy::case::Case;

/// What is known of a request. What is absent is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Description<'d> {
    /// The method.
    pub method: &'d str,
    /// `https://host/path?query`; without a scheme it counts as `https`.
    pub url: &'d str,
    /// The token source; without it there is no token.
    pub issuer: Option<&'d str>,
    /// `sub`.
    pub sub: Option<&'d str>,
    /// `client_id`.
    pub client_id: Option<&'d str>,
    /// The groups.
    pub groups: &'d [String],
    /// The scopes.
    pub scopes: &'d [String],
    /// `acr`.
    pub acr: Option<&'d str>,
    /// `amr`.
    pub amr: &'d [String],
    /// How long ago the subject signed in, with its unit.
    pub signed_in_ago: Option<&'d str>,
    /// `name=value`, the value in JSON, or a text.
    pub claims: &'d [String],
    /// The SPIFFE ID of the client certificate.
    pub spiffe_id: Option<&'d str>,
    /// The trust bundle that verified it.
    pub trust: Option<&'d str>,
    /// `name: value`.
    pub headers: &'d [String],
    /// The source address.
    pub source: Option<&'d str>,
    /// The moment; else now.
    pub now: Option<&'d str>,
}

/// Reads a description.
pub fn describe(description: &Description<'_>, project: &Project, faults: &Faults) -> Option<Case> {
    let known = &project.known;
    read_described(&description.as_toml(faults)?, &known.token_sources, &known.trusts, faults)
}

/// Reads a request that is described by the keys of a `[[test]]`.
pub fn read_described(
    text: &str,
    token_sources: &BTreeMap<Name, Issuer>,
    trusts: &[Name],
    faults: &Faults,
) -> Option<Case> {
    let source = Arc::new(Source::new("the description".into(), text.to_owned()));
    let document = Document::parse(&source, faults);
    let case = trial::read_case(
        &document.root(faults),
        &Names::read(&[], Vocabulary { routes: &[], faulty_routes: &[], token_sources, trusts }),
    );
    case.filter(|_| faults.errors() == 0)
}

impl Description<'_> {
    /// The description as the keys of a test. Texts are quoted as JSON does it, which TOML reads too.
    pub fn as_toml(&self, faults: &Faults) -> Option<String> {
        let wrong = |message: String| faults.push(Fault { at: None, message, hint: None, warning: false });
        let rest = self.url.split_once("://").map_or(self.url, |(_, rest)| rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
        let host = host.map_or(authority, |(host, _)| host);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let now = self.now.map_or_else(|| jiff::Timestamp::now().to_string(), str::to_owned);
        let mut toml = format!("now = {}\n", quoted(&now));
        let _ = self.source.map(|source| writeln!(toml, "source = {}", quoted(source)));
        let (method, path) = (quoted(self.method), quoted(&format!("{slash}{path}")));
        let _ = write!(toml, "[request]\nmethod = {method}\nhost = {}\npath = {path}\n", quoted(host));
        for (name, values) in self.grouped_headers(&wrong)? {
            let _ = writeln!(toml, "headers.{} = [{}]", quoted(name), list(values));
        }
        if let Some(issuer) = self.issuer {
            let _ = writeln!(toml, "[token]\nissuer = {}", quoted(issuer));
            let texts = [
                ("sub", self.sub),
                ("client_id", self.client_id),
                ("acr", self.acr),
                ("signed_in_ago", self.signed_in_ago),
            ];
            for (key, text) in texts.into_iter().filter_map(|(key, text)| Some((key, text?))) {
                let _ = writeln!(toml, "{key} = {}", quoted(text));
            }
            for (key, texts) in [("groups", self.groups), ("scopes", self.scopes), ("amr", self.amr)] {
                if !texts.is_empty() {
                    let _ = writeln!(toml, "{key} = [{}]", list(texts.iter().map(String::as_str)));
                }
            }
            for claim in self.claims {
                let Some((name, value)) = claim.split_once('=') else {
                    wrong(format!("`{claim}` is no claim: write NAME=VALUE"));
                    return None;
                };
                let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value));
                let _ = writeln!(toml, "claims.{} = {}", quoted(name), toml_value(&value)?);
            }
        }
        if self.spiffe_id.is_some() || self.trust.is_some() {
            toml.push_str("[device]\n");
            let _ = self.spiffe_id.map(|id| writeln!(toml, "spiffe_id = {}", quoted(id)));
            let _ = self.trust.map(|trust| writeln!(toml, "trust = {}", quoted(trust)));
        }
        Some(toml)
    }

    fn grouped_headers(&self, wrong: &impl Fn(String)) -> Option<Vec<(&str, Vec<&str>)>> {
        let mut grouped: Vec<(&str, Vec<&str>)> = Vec::new();
        for header in self.headers {
            let Some((name, value)) = header.split_once(':') else {
                wrong(format!("`{header}` is no header field: write \"NAME: VALUE\""));
                return None;
            };
            match grouped.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((_, values)) => values.push(value.trim()),
                None => grouped.push((name, vec![value.trim()])),
            }
        }
        Some(grouped)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    texts.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A JSON value in TOML, which has no null.
fn toml_value(value: &serde_json::Value) -> Option<String> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(toml_value).collect::<Option<Vec<_>>>()?.join(", "))
        }
        serde_json::Value::Object(members) => {
            let member = |(name, value): (&String, &serde_json::Value)| {
                Some(format!("{} = {}", quoted(name), toml_value(value)?))
            };
            format!("{{ {} }}", members.iter().map(member).collect::<Option<Vec<_>>>()?.join(", "))
        }
        serde_json::Value::String(text) => quoted(text),
        plain => plain.to_string(),
    })
}
