//! Reads a configuration directory: `portcullis.toml`, and the policy files beside it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::fault::{At, Fault, Faults, Located, Source};
use super::policy::{PolicyFiles, Silenced, UnusedName, Vocabulary};
use super::reader::{Document, Table, Value};
use super::trust::Bundles;
use super::{Settings, assertion, audit, introspection, issuer, listener, policy, route, trust, upstream};
use crate::authn::{IntrospectionSettings, IssuerSettings, TokenSources};
use crate::identity::{Issuer, Name};
use crate::listener::Limits;
use crate::policy::rules::RuleSet;
use crate::policy::trial::{Difference, Trial};
use crate::policy::{Policy, PolicyVersion};
use crate::request::IntakeSettings;
use crate::route::{Route, Routes};
use crate::state::StateDirectory;

/// The file that everything else is named in.
pub const MAIN_FILE: &str = "portcullis.toml";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// The most worker threads.
const MAX_WORKERS: u64 = 1024;
/// How long a drain may take, unless the configuration says otherwise.
const DRAIN: Duration = Duration::from_secs(30);

/// A configuration without errors.
#[derive(Debug)]
pub struct Loaded {
    /// Where it was read from.
    pub directory: PathBuf,
    /// What it says.
    pub settings: Settings,
    /// The tests beside the rules; all of them pass.
    pub trials: Vec<Trial>,
    /// Sets and conditions that nothing uses.
    pub unused: Vec<UnusedName>,
    /// Lint findings that are meant to be so.
    pub silenced: Vec<Silenced>,
    /// What is wrong with it without being an error.
    pub warnings: Vec<Fault>,
    /// Every file and directory that it was read from, to notice changes.
    pub files: Vec<PathBuf>,
    /// A hash of all of their contents: equal content is an equal configuration.
    pub digest: [u8; 32],
    /// The trust bundles, by name: the next load must not bring back older revocation lists.
    pub bundles: Bundles,
}

/// Reads a configuration directory as of `now`. `before` is what runs at the moment, if anything does.
///
/// # Errors
/// Every fault that was found, warnings included.
pub fn load(directory: &Path, now: Timestamp, before: Option<&Bundles>) -> Result<Loaded, Vec<Fault>> {
    let faults = Faults::default();
    let loaded = read_directory(directory, now, before, &faults);
    let errors = faults.errors();
    let found = faults.into_sorted();
    match loaded {
        Some(loaded) if errors == 0 => Ok(Loaded { warnings: found, ..loaded }),
        _ => Err(found),
    }
}

fn read_directory(directory: &Path, now: Timestamp, before: Option<&Bundles>, faults: &Faults) -> Option<Loaded> {
    let main = read_source(&directory.join(MAIN_FILE), faults)?;
    let document = Document::parse(&main, faults);
    let root = document.root(faults);
    let bundles = trust::read(&root, directory, now, before);
    let listeners = listener::read(&root, directory, &bundles);
    let (limits, drain) = read_limits(&root);
    let issuers = issuer::read(&root, directory);
    let servers = introspection::read(&root, directory, &issuers);
    let upstreams = upstream::read(&root, directory);
    let state = root.get("state").and_then(|value| value.output_path(directory)).map(StateDirectory::new);
    let assertion = assertion::read(&root, state.as_ref(), &listeners, &upstreams);
    let audit = audit::read_audit(&root, directory);
    let admin = audit::read_admin(&root, directory);
    let log = audit::read_log(&root);
    let workers = root.get("workers").and_then(|value| value.integer(1, MAX_WORKERS));
    refuse_login(&root);
    let (policies, candidate) = read_policies(&root, directory, faults);
    if listeners.is_empty() && faults.errors() == 0 {
        let hint = String::from("write a [[listener]] with a name, an address and tls");
        faults.error(&root.at(), "there is no [[listener]]: nothing would be served", hint);
    }
    drop(root);

    let names = Defined::new(&issuers, &servers, &upstreams, &bundles);
    let sources = sources(issuers, servers, faults);
    let (routes, files) = read_policy_files(&policies, &names, sources.as_ref(), faults)?;
    let PolicyFiles { rules, trials, unused, silenced } = files;
    run_trials(&trials, &routes, &rules, faults);
    let mut policy = Policy::new(rules, version(&policies));
    if let Some(candidate) = candidate {
        let (routes, files) = read_policy_files(&candidate, &names, sources.as_ref(), faults)?;
        run_trials(&files.trials, &routes, &files.rules, faults);
        policy = policy.watching(files.rules);
    }
    let policy = Arc::new(policy);
    let intake = listeners.iter().map(|listener| (listener.name.clone(), intake(listener, &limits))).collect();
    let (files, digest) = faults.files();
    let settings = Settings {
        listeners,
        limits,
        intake,
        routes: Arc::new(routes.publishing_keys_on(assertion.as_ref().map(|assertion| assertion.listener.clone()))),
        sources: sources?,
        policy,
        upstreams: upstreams.into_iter().filter_map(|(_, settings)| settings).collect(),
        state,
        assertion,
        audit,
        admin,
        log,
        workers: workers.and_then(|count| usize::try_from(count).ok()).unwrap_or_else(default_workers),
        drain,
    };
    Some(Loaded {
        directory: directory.to_path_buf(),
        settings,
        trials,
        unused,
        silenced,
        warnings: Vec::new(),
        digest,
        files,
        bundles,
    })
}

/// The names that other tables may use. A name whose table has faults is known all the same, so that one mistake is
/// reported once.
struct Defined {
    upstreams: Vec<Name>,
    exchanging: Vec<Name>,
    token_sources: Vec<Name>,
    issuers: BTreeMap<Name, Issuer>,
    trusts: Vec<Name>,
}

impl Defined {
    fn new(
        issuers: &[(Located<Name>, Option<IssuerSettings>)],
        servers: &[(Located<Name>, Option<IntrospectionSettings>)],
        upstreams: &[(Located<Name>, Option<crate::upstream::settings::Settings>)],
        bundles: &Bundles,
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
        Self {
            exchanging: exchanging.map(|(name, _)| name.value.clone()).collect(),
            upstreams: upstreams.iter().map(|(name, _)| name.value.clone()).collect(),
            token_sources: stated.keys().cloned().collect(),
            issuers: stated,
            trusts: bundles.keys().cloned().collect(),
        }
    }
}

fn sources(
    issuers: Vec<(Located<Name>, Option<IssuerSettings>)>,
    servers: Vec<(Located<Name>, Option<IntrospectionSettings>)>,
    faults: &Faults,
) -> Option<TokenSources> {
    let places: HashMap<Name, _> = issuers
        .iter()
        .map(|(name, _)| name)
        .chain(servers.iter().map(|(name, _)| name))
        .map(|name| (name.value.clone(), name.at.clone()))
        .collect();
    let issuers = issuers.into_iter().filter_map(|(_, settings)| settings).collect();
    let servers = servers.into_iter().filter_map(|(_, settings)| settings).collect();
    match TokenSources::new(issuers, servers) {
        Ok(sources) => Some(sources),
        Err(ambiguities) => {
            for ambiguity in ambiguities {
                if let Some(at) = places.get(&ambiguity.second) {
                    faults.error(at, ambiguity.to_string(), None);
                }
            }
            None
        }
    }
}

fn read_policy_files(
    policies: &[Arc<Source>],
    names: &Defined,
    sources: Option<&TokenSources>,
    faults: &Faults,
) -> Option<(Routes, PolicyFiles)> {
    let documents: Vec<_> = policies.iter().map(|source| Document::parse(source, faults)).collect();
    let roots: Vec<_> = documents.iter().map(|document| document.root(faults)).collect();
    let known = route::Known {
        upstreams: &names.upstreams,
        exchanging: &names.exchanging,
        token_sources: &names.token_sources,
    };
    let routes: Vec<_> =
        roots.iter().flat_map(|root| root.tables("route")).filter_map(|table| route::read(&table, &known)).collect();
    for Located { value: route, at } in &routes {
        for ambiguity in sources.map(|sources| sources.ambiguities(&route.tokens)).unwrap_or_default() {
            faults.error(at, format!("route `{}`: {ambiguity}", route.name), None);
        }
    }
    let arranged = route::arrange(&routes, faults);
    let plain: Vec<Route> = routes.into_iter().map(|route| route.value).collect();
    let vocabulary = Vocabulary { routes: &plain, token_sources: &names.issuers, trusts: &names.trusts };
    let files = policy::read(&roots, vocabulary, faults);
    Some((arranged?, files?))
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

/// The policy files: `*.toml` in the directory that `[policy]` names, in the order of their names.
/// And those of the candidate, when there is one.
fn read_policies(root: &Table<'_>, directory: &Path, faults: &Faults) -> (Vec<Arc<Source>>, Option<Vec<Arc<Source>>>) {
    let table = root.table("policy");
    let stated = table.as_ref().and_then(|table| table.get("directory"));
    let candidate = table.as_ref().and_then(|table| table.get("candidate"));
    let read = |stated: Option<Value<'_>>, place: PathBuf| {
        faults.names_file(&place);
        policies_in(&place, stated.map(|value| value.at()).as_ref(), faults)
    };
    let place = stated.and_then(|value| value.path(directory)).unwrap_or_else(|| directory.join("policies"));
    let candidate = candidate.and_then(|value| Some(read(Some(value), value.path(directory)?)));
    (read(stated, place), candidate)
}

fn policies_in(place: &Path, stated: Option<&At>, faults: &Faults) -> Vec<Arc<Source>> {
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

fn read_source(path: &Path, faults: &Faults) -> Option<Arc<Source>> {
    faults.names_file(path);
    let text = std::fs::metadata(path)
        .and_then(|metadata| match metadata.len() {
            length if length > MAX_FILE => Err(std::io::Error::other("larger than 16 MiB")),
            _ => std::fs::read_to_string(path),
        })
        .map_err(|error| faults.unreadable(None, path, &error))
        .ok()?;
    Some(Arc::new(Source::new(path.to_path_buf(), text)))
}

fn read_limits(root: &Table<'_>) -> (Limits, Duration) {
    let (limits, timeouts) = (root.table("limits"), root.table("timeouts"));
    let drain = timeouts.as_ref().and_then(|table| table.get("drain")?.duration()).unwrap_or(DRAIN);
    (listener::read_limits(limits.as_ref(), timeouts.as_ref()), drain)
}

fn intake(listener: &crate::listener::Settings, limits: &Limits) -> IntakeSettings {
    IntakeSettings {
        max_header_fields: limits.header_fields,
        max_head_bytes: limits.head_bytes,
        trusted_proxies: listener.trusted_proxies.clone(),
        ..IntakeSettings::default()
    }
}

/// Browser login is not built; a key that is accepted and ignored would be worse than none.
fn refuse_login(root: &Table<'_>) {
    if let Some(login) = root.get("login") {
        let hint = String::from("browser sessions are not built yet; clients present tokens or certificates");
        login.fault("[login] is not built yet", hint);
    }
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Twelve hexadecimal digits over the names and texts of the policy files.
pub(super) fn version(policies: &[Arc<Source>]) -> PolicyVersion {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for source in policies {
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
