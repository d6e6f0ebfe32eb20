//! `[[lint]]` tables, and the findings about a policy with what the files silence.

use jiff::Timestamp;

use super::super::reader::{Table, closest};
use super::project::Project;
use crate::identity::Name;
use crate::policy::lint::{Code, Finding, Subject, findings, sort};

/// One `[[lint]]` table: a finding that is meant to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silenced {
    /// The kind of the finding.
    pub code: Code,
    /// The rule, route, set or condition that it is about; `None` is all.
    pub about: Option<Name>,
    /// Why it is well.
    pub reason: String,
    /// Where this is said.
    pub origin: String,
}

/// Reads the `[[lint]]` tables of one file.
pub(super) fn read_all(root: &Table<'_>) -> Vec<Silenced> {
    let tables = root.tables("lint");
    let read = tables.iter().filter_map(|table| {
        let code = table.require("silence").and_then(|value| {
            let text = value.string()?;
            let code = Code::parse(&text);
            if code.is_none() {
                let known = Code::ALL.iter().flat_map(|code| [code.code(), code.name()]);
                value.fault(format!("there is no finding `{text}`"), closest(&text, known));
            }
            code
        });
        let about = table.get("about").and_then(|value| value.string()).map(Name::new);
        let reason = table.require("reason").and_then(|value| value.string());
        if reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            table.faults().error(&table.at(), "a finding is silenced without a reason", None);
        }
        let at = table.at();
        let origin = format!("{}:{}", at.source.path.display(), at.line_column().0);
        Some(Silenced { code: code?, about, reason: reason?, origin })
    });
    read.collect()
}

impl Project {
    /// Everything that lint has to say, in the order of places; what is silenced carries the reason.
    pub fn lint(&self, now: Timestamp) -> Vec<Finding> {
        let policy = &self.policy;
        let subject = Subject { routes: &self.routes, origins: &self.origins, rules: &policy.rules, now };
        let mut found = findings(&subject);
        found.extend(policy.unused.iter().map(|unused| Finding {
            code: Code::UnusedName,
            about: unused.name.clone(),
            origin: line_of(&unused.origin),
            message: format!("{} `{}` is not used", unused.kind, unused.name),
            hint: String::from("take it out, or use it"),
            silenced: None,
        }));
        for silence in &policy.silenced {
            let about = |finding: &&mut Finding| {
                finding.code == silence.code && silence.about.as_ref().is_none_or(|name| name.as_str() == finding.about)
            };
            let mut hit = false;
            for finding in found.iter_mut().filter(about) {
                finding.silenced.get_or_insert_with(|| silence.reason.clone());
                hit = true;
            }
            if !hit {
                let about = silence.about.as_ref().map_or("anything", Name::as_str).to_owned();
                found.push(Finding {
                    code: Code::SilencesNothing,
                    message: format!("there is no {} about `{about}` to silence", silence.code.code()),
                    about,
                    origin: silence.origin.clone(),
                    hint: String::from("take the [[lint]] out"),
                    silenced: None,
                });
            }
        }
        sort(&mut found);
        found
    }
}

/// `file:line:column` without the column.
fn line_of(origin: &str) -> String {
    origin.rsplit_once(':').map_or(origin, |(line, _)| line).to_owned()
}
