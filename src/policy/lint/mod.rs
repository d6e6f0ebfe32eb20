//! What is allowed to be written and hardly meant: findings about a policy, each with a code that can be silenced.
//!
//! In: routes, rules and the moment. Out: [`Finding`]s. Nothing here changes a decision.

mod pairs;
mod reach;
mod single;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::rules::{Rule, RuleSet};
use crate::identity::Name;
use crate::route::{Route, Routes};

/// A policy as lint looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'p> {
    /// The routes.
    pub routes: &'p Routes,
    /// Where each route stands.
    pub origins: &'p BTreeMap<Name, String>,
    /// The rules.
    pub rules: &'p RuleSet,
    /// The moment, for rules that have ended.
    pub now: Timestamp,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind it is of.
    pub code: Code,
    /// The rule, route, set or condition that it is about.
    pub about: String,
    /// Where that stands.
    pub origin: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Why it is meant to be so, when the policy says that.
    pub silenced: Option<String>,
}

macro_rules! codes {
    ($($variant:ident $code:literal $name:literal $summary:literal),* $(,)?) => {
        /// The kind of a finding. `docs/lint.md` has a section for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// `P004`
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// `shadowed`
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// One sentence.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary),* }
            }
        }
    };
}

codes! {
    UnusedName "P001" "unused-name" "A set or condition is defined and nothing uses it.",
    NeverMatches "P002" "never-matches" "A rule can never hold on a route that it speaks of.",
    Contradiction "P003" "contradiction" "A rule asks for things that can never be together.",
    Shadowed "P004" "shadowed" "A rule changes nothing, because another one covers it.",
    Unreachable "P005" "unreachable" "An allow admits nobody, because a deny or a requirement stands in its way.",
    OpenToAnonymous "P006" "open-to-anonymous" "A route is open to everybody, unidentified.",
    Anyone "P007" "anyone" "An allow admits whoever has any token or any certificate.",
    BroadWildcard "P008" "broad-wildcard" "A pattern takes nearly everything.",
    OptionalClaim "P009" "optional-claim" "A deny asks about something that a token may leave out, and does not say what that means.",
    Ended "P010" "ended" "A rule's time is over.",
    ClosedRoute "P011" "closed-route" "No rule allows anything on a route.",
    SilencesNothing "P012" "silences-nothing" "A silence finds nothing to silence.",
}

impl Code {
    /// The code of this text, whether it is the number or the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.code() == text || code.name() == text)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Everything that lint has to say about routes and rules, in the order of places.
pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in subject.rules.rules() {
        let routes = subject.routes_of(rule);
        single::look(rule, &routes, subject.now, &mut found);
        reach::look(rule, &routes, subject, &mut found);
    }
    pairs::look(subject, &mut found);
    for route in subject.routes.iter() {
        single::look_at_route(route, subject, &mut found);
    }
    sort(&mut found);
    found
}

/// The order in which findings are told: by file, line and code.
pub fn sort(found: &mut [Finding]) {
    let place = |finding: &Finding| {
        let (file, line) = finding.origin.rsplit_once(':').unwrap_or((&finding.origin, ""));
        (file.to_owned(), line.parse::<usize>().unwrap_or(0), finding.code, finding.message.clone())
    };
    found.sort_by_key(place);
}

impl<'p> Subject<'p> {
    fn routes_of(&self, rule: &Rule) -> Vec<&'p Route> {
        self.routes.iter().map(AsRef::as_ref).filter(|route| rule.routes.covers(&route.name)).collect()
    }

    fn origin(&self, route: &Name) -> String {
        self.origins.get(route).cloned().unwrap_or_default()
    }
}

impl Finding {
    /// A finding about a rule.
    fn of(code: Code, rule: &Rule, message: String, hint: &str) -> Self {
        let (about, origin) = (rule.name.to_string(), rule.origin.to_string());
        Self { code, about, origin, message, hint: hint.to_owned(), silenced: None }
    }
}

/// "`a`, `b` and 3 more"
fn listed<'n>(names: impl Iterator<Item = &'n Name>) -> String {
    const MOST: usize = 3;
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(MOST) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ")),
    }
}
