//! The policy files of a configuration as one version: found, read, checked and tested.
//!
//! In: the `[policy]` table and the names that `portcullis.toml` defines. Out: routes and rules, which their own tests
//! agree with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{At, Fault, Faults, Located, Source};
use super::load::{Wanted, read_source};
use super::policy::{self, PolicyFiles, Vocabulary};
use super::reader::{Document, Table, Value};
use super::{History, route, upstream};
use crate::authn::{IntrospectionSettings, IssuerSettings, TokenSources};
use crate::identity::{Issuer, Name};
use crate::policy::PolicyVersion;
use crate::policy::alarm::AlarmSettings;
use crate::policy::rules::RuleSet;
use crate::policy::trial::{Difference, Trial};
use crate::route::{Route, Routes};
use crate::state::StateDirectory;

/// The names that rules and routes may use. A name whose table has faults is known all the same, so that one mistake is
/// reported once.
#[derive(Clone, Debug)]
pub struct Defined {
    pub(super) upstreams: Vec<Name>,
    pub(super) exchanging: Vec<Name>,
    /// Pairs of upstreams that have an endpoint in common.
    pub(super) alike: Vec<(Name, Name)>,
    pub(super) token_sources: Vec<Name>,
    /// Every token source with the `iss` of its tokens.
    pub issuers: BTreeMap<Name, Issuer>,
    /// The trust bundles.
    pub trusts: Vec<Name>,
}

/// What `[policy]` says.
pub(super) struct PolicyTable {
    /// The files on disk, in the order of their names.
    pub(super) files: Vec<Arc<Source>>,
    /// Those of the candidate, when there is one.
    pub(super) candidate: Option<Vec<Arc<Source>>>,
    pub(super) alarm: Option<AlarmSettings>,
}

impl Defined {
    pub(super) fn new(
        issuers: &[(Located<Name>, Option<IssuerSettings>)],
        servers: &[(Located<Name>, Option<IntrospectionSettings>)],
        upstreams: &[(Located<Name>, Option<crate::upstream::settings::Settings>)],
        trusts: Vec<Name>,
    ) -> Self {
        let mut stated = BTreeMap::new();
        for (name, settings) in issuers {
            let issuer = settings.as_ref().map(|settings| settings.issuer.clone());
            stated.insert(name.value.clone(), issuer.unwrap_or_else(|| Issuer::new(name.value.as_str())));
        }
        for (name, settings) in servers {
            let issuer = settings.as_ref().map(|settings| settings.issuer.clone());
            stated.insert(name.value.clone(), issuer.unwrap_or_else(|| Issuer::new(name.value.as_str())));
        }
        let exchanges = |settings: &crate::upstream::settings::Settings| settings.token_exchange.is_some();
        let exchanging = upstreams.iter().filter(|(_, settings)| settings.as_ref().is_some_and(exchanges));
        let settings = upstreams.iter().filter_map(|(name, settings)| Some((name, settings.as_ref()?)));
        let places = settings.map(|(name, settings)| {
            (name.value.clone(), settings.endpoints.iter().map(|endpoint| endpoint.address.clone()).collect())
        });
        Self {
            exchanging: exchanging.map(|(name, _)| name.value.clone()).collect(),
            alike: upstream::alike(&places.collect::<Vec<_>>()),
            upstreams: upstreams.iter().map(|(name, _)| name.value.clone()).collect(),
            token_sources: stated.keys().cloned().collect(),
            issuers: stated,
            trusts,
        }
    }
}

/// Reads `[policy]`, and the files that it names.
pub(super) fn read_table(root: &Table<'_>, directory: &Path, faults: &Faults) -> PolicyTable {
    let table = root.table("policy");
    let stated = table.as_ref().and_then(|table| table.get("directory"));
    let candidate = table.as_ref().and_then(|table| table.get("candidate"));
    let alarm = table.as_ref().and_then(|table| table.table("alarm")).and_then(|table| read_alarm(&table));
    let read = |stated: Option<Value<'_>>, place: PathBuf| {
        faults.names_file(&place);
        files_in(&place, stated.map(|value| value.at()).as_ref(), faults)
    };
    let place = stated.and_then(|value| value.path(directory)).unwrap_or_else(|| directory.join("policies"));
    let candidate = candidate.and_then(|value| Some(read(Some(value), value.path(directory)?)));
    PolicyTable { files: read(stated, place), candidate, alarm }
}

fn read_alarm(table: &Table<'_>) -> Option<AlarmSettings> {
    let refused_above = table.require("refused_above").and_then(|value| value.integer(1, 99));
    let subjects = table.get("subjects").map(|value| value.integer(1, 100_000));
    let window = table.get("window").map(|value| (value.duration(), value));
    if let Some((Some(window), value)) = &window
        && !(Duration::from_secs(10)..=Duration::from_secs(86_400)).contains(window)
    {
        value.fault("`window` must lie between 10 seconds and a day", None);
    }
    let defaults = AlarmSettings::default();
    Some(AlarmSettings {
        refused_above: u8::try_from(refused_above?).ok()?,
        subjects: subjects.map_or(Some(defaults.subjects), |stated| u32::try_from(stated?).ok())?,
        window: window.map_or(Some(defaults.window), |(stated, _)| stated)?,
    })
}

fn files_in(place: &Path, stated: Option<&At>, faults: &Faults) -> Vec<Arc<Source>> {
    let entries = match std::fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) => {
            faults.unreadable(stated, place, &error);
            return Vec::new();
        }
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths.iter().filter_map(|path| read_source(path, faults)).collect()
}

/// The policy files that count: those on disk, unless a rollback set exactly these aside. Then the version that it put in
/// force stays so until they change.
pub(super) fn in_force(
    on_disk: Vec<Arc<Source>>,
    wanted: Wanted,
    state: Option<&StateDirectory>,
    directory: &Path,
    faults: &Faults,
) -> Vec<Arc<Source>> {
    let (Some(state), Wanted::InForce) = (state, wanted) else { return on_disk };
    let history = History::of(state, directory);
    let kept = history.index().and_then(|index| {
        let set_aside = index.set_aside.filter(|set_aside| *set_aside == version(&on_disk).to_string());
        let in_force = index.kept.last().filter(|_| set_aside.is_some());
        in_force.map(|kept| history.files(&kept.version)).transpose()
    });
    match kept {
        Ok(kept) => kept.unwrap_or(on_disk),
        Err(error) => {
            let message = format!("the version of the policy that a rollback put in force cannot be read: {error}");
            let hint = "change the policy files to what shall be in force; then they count again";
            faults.push(Fault { at: None, message, hint: Some(hint.into()), warning: false });
            on_disk
        }
    }
}

/// Reads policy files and runs their tests.
pub(super) fn read_files(
    files: &[Arc<Source>],
    names: &Defined,
    sources: Option<&TokenSources>,
    faults: &Faults,
) -> Option<(Routes, PolicyFiles)> {
    let documents = Document::parse_all(files, faults);
    let roots: Vec<_> = documents.iter().map(|document| document.root(faults)).collect();
    let known = route::Known {
        upstreams: &names.upstreams,
        exchanging: &names.exchanging,
        alike: &names.alike,
        token_sources: &names.token_sources,
    };
    let (routes, faulty) = route::read_all(&roots, &known);
    for Located { value: route, at } in &routes {
        for ambiguity in sources.map(|sources| sources.ambiguities(&route.tokens)).unwrap_or_default() {
            faults.error(at, format!("route `{}`: {ambiguity}", route.name), None);
        }
    }
    let arranged = route::arrange(&routes, &known, faults);
    let plain: Vec<Route> = routes.into_iter().map(|route| route.value).collect();
    let vocabulary =
        Vocabulary { routes: &plain, faulty_routes: &faulty, token_sources: &names.issuers, trusts: &names.trusts };
    let read = policy::read(&roots, vocabulary, faults);
    let (routes, read) = (arranged?, read?);
    run_trials(&read.trials, &routes, &read.rules, faults);
    Some((routes, read))
}

/// A policy whose own tests fail is not served.
fn run_trials(trials: &[Trial], routes: &Routes, rules: &RuleSet, faults: &Faults) {
    for report in trials.iter().map(|trial| trial.run(routes, rules)).filter(|report| !report.passed()) {
        let differ = |difference: &Difference| {
            format!("{}: expected {}, found {}", difference.what, difference.expected, difference.found)
        };
        let differences: Vec<_> = report.differences.iter().map(differ).collect();
        let message = format!("the test \"{}\" at {} fails: {}", report.name, report.origin, differences.join("; "));
        faults.push(Fault { at: None, message, hint: report.nearest, warning: false });
    }
}

/// Twelve hexadecimal digits over the names and texts of policy files.
pub(super) fn version(files: &[Arc<Source>]) -> PolicyVersion {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for source in files {
        let name = source.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        for part in [name.as_bytes(), source.text.as_bytes()] {
            // Lengths first: two sets of files that differ only in where one ends are two versions.
            hash.update(&part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let digits: String = hash.finish().as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    PolicyVersion::new(digits)
}
