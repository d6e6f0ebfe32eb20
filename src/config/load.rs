//! Reads a configuration directory: `portcullis.toml`, and the policy files beside it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::fault::{Fault, Faults, Located, Source};
use super::policies::{self, Defined, version};
use super::policy::{PolicyFiles, Silenced, UnusedName};
use super::reader::{Document, Table};
use super::trust::Bundles;
use super::{Settings, assertion, audit, introspection, issuer, listener, trust, upstream};
use crate::authn::{IntrospectionSettings, IssuerSettings, TokenSources};
use crate::identity::Name;
use crate::listener::Limits;
use crate::policy::trial::Trial;
use crate::policy::{Policy, PolicyVersion};
use crate::request::IntakeSettings;
use crate::route::Routes;
use crate::state::StateDirectory;

/// The file that everything else is named in.
pub const MAIN_FILE: &str = "portcullis.toml";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// The most worker threads.
const MAX_WORKERS: u64 = 1024;
/// How long a drain may take, unless the configuration says otherwise.
const DRAIN: Duration = Duration::from_secs(30);
/// Bytes a second: what the slowest modem of 1985 brings.
const BODY_RATE: u64 = 240;

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
    /// The names that policy files may use.
    pub names: Defined,
    /// The policy files that it is made of, until they are kept.
    pub policies: Vec<Arc<Source>>,
    /// The version of the policy files on disk: another one than that in force after a rollback.
    pub on_disk: PolicyVersion,
}

/// Which policy files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those on disk: for a look at what is written there.
    OnDisk,
    /// Those on disk, unless a rollback set them aside: for serving.
    InForce,
}

/// Reads a configuration directory as of `now`. `before` is what runs at the moment, if anything does.
///
/// # Errors
/// Every fault that was found, warnings included.
pub fn load(directory: &Path, now: Timestamp, before: Option<&Bundles>, wanted: Wanted) -> Result<Loaded, Vec<Fault>> {
    let faults = Faults::default();
    let loaded = read_directory(directory, now, before, wanted, &faults);
    let (found, sound) = settled(faults);
    loaded.filter(|_| sound).map(|loaded| Loaded { warnings: found.clone(), ..loaded }).ok_or(found)
}

impl Loaded {
    /// The routes and the policy that other policy files make of this configuration. Nothing but these files is read:
    /// trust, token sources, upstreams and all else are those in force.
    ///
    /// # Errors
    /// Every fault that was found, when there is one that matters.
    pub fn with_policies(&self, files: &[Arc<Source>]) -> Result<(Routes, Policy), Vec<Fault>> {
        let faults = Faults::default();
        let read = policies::read_files(files, &self.names, Some(&self.settings.sources), &faults);
        let (found, sound) = settled(faults);
        let (routes, read) = read.filter(|_| sound).ok_or(found)?;
        let candidate = self.settings.policy.candidate().cloned();
        let publisher = self.settings.assertion.as_ref().map(|assertion| assertion.listener.clone());
        let policy = Policy::new(read.rules, version(files)).watching(candidate);
        Ok((routes.publishing_keys_on(publisher), policy))
    }
}

fn settled(faults: Faults) -> (Vec<Fault>, bool) {
    let sound = faults.errors() == 0;
    (faults.into_sorted(), sound)
}

fn read_directory(
    directory: &Path,
    now: Timestamp,
    before: Option<&Bundles>,
    wanted: Wanted,
    faults: &Faults,
) -> Option<Loaded> {
    let main = read_source(&directory.join(MAIN_FILE), faults)?;
    let document = Document::parse(&main, faults);
    let root = document.root(faults);
    let (bundles, trusts) = (trust::read(&root, directory, now, before), trust::names(&root));
    let listeners = listener::read(&root, directory, &bundles, now);
    let (limits, drain, body_rate) = read_limits(&root);
    let issuers = issuer::read(&root, directory);
    let servers = introspection::read(&root, directory, &issuers);
    let upstreams = upstream::read(&root, directory, body_rate);
    let state = root.get("state").and_then(|value| value.output_path(directory)).map(StateDirectory::new);
    let assertion = assertion::read(&root, state.as_ref(), &listeners, &upstreams);
    let audit = audit::read_audit(&root, directory);
    let admin = audit::read_admin(&root, directory);
    let log = audit::read_log(&root);
    let workers = root.get("workers").and_then(|value| value.integer(1, MAX_WORKERS));
    refuse_login(&root);
    let table = policies::read_table(&root, directory, faults);
    if listeners.is_empty() && faults.errors() == 0 {
        let hint = String::from("write a [[listener]] with a name, an address and tls");
        faults.error(&root.at(), "there is no [[listener]]: nothing would be served", hint);
    }
    drop(root);

    let names = Defined::new(&issuers, &servers, &upstreams, trusts);
    let sources = sources(issuers, servers, faults);
    let on_disk = version(&table.files);
    let policies = policies::in_force(table.files, wanted, state.as_ref(), directory, faults);
    let (routes, files) = policies::read_files(&policies, &names, sources.as_ref(), faults)?;
    let candidate = match table.candidate {
        Some(files) => Some(Arc::new(policies::read_files(&files, &names, sources.as_ref(), faults)?.1.rules)),
        None => None,
    };
    let PolicyFiles { rules, trials, unused, silenced } = files;
    let policy = Arc::new(Policy::new(rules, version(&policies)).watching(candidate));
    let intake = listeners.iter().map(|listener| (listener.name.clone(), intake(listener, &limits))).collect();
    let (files, digest) = faults.files();
    let settings = Settings {
        listeners,
        limits,
        intake,
        routes: Arc::new(routes.publishing_keys_on(assertion.as_ref().map(|assertion| assertion.listener.clone()))),
        sources: sources?,
        policy,
        alarm: table.alarm,
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
        names,
        policies,
        on_disk,
    })
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

pub(super) fn read_source(path: &Path, faults: &Faults) -> Option<Arc<Source>> {
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

/// What connections may cost, how long a drain may take, and how slowly the body of a request may come.
fn read_limits(root: &Table<'_>) -> (Limits, Duration, u64) {
    let (limits, timeouts) = (root.table("limits"), root.table("timeouts"));
    let drain = timeouts.as_ref().and_then(|table| table.get("drain")?.duration()).unwrap_or(DRAIN);
    let body_rate = limits.as_ref().and_then(|table| table.get("body_rate")?.bytes()).unwrap_or(BODY_RATE);
    (listener::read_limits(limits.as_ref(), timeouts.as_ref()), drain, body_rate)
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
