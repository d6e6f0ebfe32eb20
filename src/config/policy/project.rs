//! A policy and what it is about, read without keys, certificates or network: for tests and questions at a desk or in CI.
//!
//! Of `portcullis.toml` only the names are read; `portcullis check` reads the rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::fault::{Faults, Located, Source};
use super::super::policies::version;
use super::super::reader::Document;
use super::super::route;
use super::super::upstream::{addresses, alike};
use super::{PolicyFiles, Vocabulary};
use crate::identity::{Issuer, Name};
use crate::policy::PolicyVersion;
use crate::route::{Route, Routes};

/// The directory of policy files, unless `[policy]` names another.
const DIRECTORY: &str = "policies";

/// Routes, rules and tests.
#[derive(Debug)]
pub struct Project {
    /// The routes.
    pub routes: Routes,
    /// Where each route stands: `policies/payments.toml:12`.
    pub origins: BTreeMap<Name, String>,
    /// A hash of the policy files, as records name it.
    pub version: PolicyVersion,
    /// The rules and their tests.
    pub policy: PolicyFiles,
    /// What may be named.
    pub known: KnownNames,
}

/// What `portcullis.toml` defines.
#[derive(Clone, Debug, Default)]
pub struct KnownNames {
    /// `[issuer.NAME]` and `[introspection.NAME]`, with the `iss` of their tokens.
    pub token_sources: BTreeMap<Name, Issuer>,
    /// `[trust.NAME]`.
    pub trusts: Vec<Name>,
    /// `[upstream.NAME]`.
    pub upstreams: Vec<Name>,
    /// Pairs of upstreams that have an endpoint in common.
    pub alike: Vec<(Name, Name)>,
    directory: String,
}

impl Project {
    /// Reads `portcullis.toml` and the policy files beside it.
    pub fn open(directory: &Path, faults: &Faults) -> Option<Self> {
        let main = read_source(&directory.join("portcullis.toml"), faults)?;
        let known = KnownNames::read(&main, faults);
        let files = policy_files(&directory.join(&known.directory), faults)?;
        Self::read(known, &files, faults)
    }

    /// Reads other policy files over what `portcullis.toml` defines: a candidate.
    pub fn open_candidate(directory: &Path, policies: &Path, faults: &Faults) -> Option<Self> {
        let main = read_source(&directory.join("portcullis.toml"), faults)?;
        let files = policy_files(policies, faults)?;
        Self::read(KnownNames::read(&main, faults), &files, faults)
    }

    /// Reads files that are at hand.
    pub fn read(known: KnownNames, files: &[Arc<Source>], faults: &Faults) -> Option<Self> {
        let documents = Document::parse_all(files, faults);
        let roots: Vec<_> = documents.iter().map(|document| document.root(faults)).collect();
        let token_sources: Vec<_> = known.token_sources.keys().cloned().collect();
        let names = route::Known {
            upstreams: &known.upstreams,
            exchanging: &[],
            alike: &known.alike,
            token_sources: &token_sources,
        };
        let (located, faulty) = route::read_all(&roots, &names);
        let routes = route::arrange(&located, &names, faults);
        let place = |route: &Located<Route>| {
            let at = &route.at;
            (route.value.name.clone(), format!("{}:{}", at.source.path.display(), at.line_column().0))
        };
        let origins = located.iter().map(place).collect();
        let plain: Vec<Route> = located.into_iter().map(|route| route.value).collect();
        let (token_sources, trusts) = (&known.token_sources, &*known.trusts);
        let vocabulary = Vocabulary { routes: &plain, faulty_routes: &faulty, token_sources, trusts };
        let policy = super::read(&roots, vocabulary, faults);
        let project = Self { routes: routes?, origins, version: version(files), policy: policy?, known };
        (faults.errors() == 0).then_some(project)
    }
}

impl KnownNames {
    /// Reads the names that `portcullis.toml` defines, and looks at nothing else in it.
    pub fn read(main: &Arc<Source>, faults: &Faults) -> Self {
        let document = Document::parse(main, faults);
        let root = document.root(faults);
        let mut known = Self { directory: DIRECTORY.into(), ..Self::default() };
        for (name, value) in root.named_entries() {
            let table = value.json();
            let Some(table) = table.as_object() else { continue };
            let names = || table.keys().map(|name| Name::new(name.as_str()));
            match name.value.as_str() {
                "issuer" | "introspection" => known.token_sources.extend(table.iter().map(|(name, source)| {
                    let stated = ["url", "issuer"].iter().find_map(|key| source.get(key)?.as_str());
                    (Name::new(name.as_str()), Issuer::new(stated.unwrap_or(name)))
                })),
                "trust" => known.trusts.extend(names()),
                "upstream" => {
                    known.upstreams.extend(names());
                    let places = |(name, upstream): (&String, &serde_json::Value)| {
                        (Name::new(name.as_str()), upstream.get("endpoints").map(addresses).unwrap_or_default())
                    };
                    known.alike = alike(&table.iter().map(places).collect::<Vec<_>>());
                }
                "policy" => {
                    if let Some(directory) = table.get("directory").and_then(serde_json::Value::as_str) {
                        known.directory = directory.into();
                    }
                }
                _ => {}
            }
        }
        known
    }
}

/// The policy files of a directory in the order of their names, or one file.
pub fn policy_files(place: &Path, faults: &Faults) -> Option<Vec<Arc<Source>>> {
    if place.is_file() {
        return Some(vec![read_source(place, faults)?]);
    }
    let entries = std::fs::read_dir(place).map_err(|error| faults.unreadable(None, place, &error)).ok()?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Some(paths.iter().filter_map(|path| read_source(path, faults)).collect())
}

fn read_source(path: &Path, faults: &Faults) -> Option<Arc<Source>> {
    let text = std::fs::read_to_string(path).map_err(|error| faults.unreadable(None, path, &error)).ok()?;
    Some(Arc::new(Source::new(path.to_path_buf(), text)))
}
