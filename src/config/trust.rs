//! Reads `[trust.NAME]` into [`TrustBundle`]s: every file is read and checked here, so that a start or a reload fails
//! as a whole and no listener ever runs with an authority missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::fault::At;
use super::reader::{Table, Value};
use crate::identity::{Name, TrustDomain};
use crate::listener::{Sources, TrustBundle, TrustError, WhenExpired};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The bundles by name.
pub type Bundles = BTreeMap<Name, Arc<TrustBundle>>;

/// Reads every `[trust.NAME]` below the root table. `before` is what runs now: a revocation list that is older than the
/// one in force is a fault, since it would bring revoked certificates back.
pub fn read(root: &Table<'_>, base: &Path, now: Timestamp, before: Option<&Bundles>) -> Bundles {
    let Some(table) = root.table("trust") else { return Bundles::new() };
    let mut bundles = Bundles::new();
    for (name, value) in table.named_entries() {
        let Some(table) = value.table(format!("[trust.{}]", name.value)) else { continue };
        let name = Name::new(name.value);
        let Some(mut bundle) = read_bundle(&name, &table, base, now) else { continue };
        if let Some(before) = before.and_then(|before| before.get(&name)) {
            bundle = bundle.inheriting(before, now);
        }
        if let Some(signer) = before.and_then(|before| before.get(&name)).and_then(|before| bundle.went_back(before)) {
            let message = format!("the revocation list of `{signer}` is older than the one in force");
            table.faults().error(&table.at(), message, String::from("give the latest list"));
            continue;
        }
        // What is fetched comes later, and status tells what is still missing.
        let without = if bundle.revocation_urls().is_empty() { bundle.without_list() } else { Vec::new() };
        for authority in without {
            let message =
                format!("`{authority}` has no revocation list: clients whose certificate it signed are refused");
            table.faults().warning(&table.at(), message, None);
        }
        bundles.insert(name, Arc::new(bundle));
    }
    bundles
}

/// The names of every `[trust.NAME]`, those with faults among them: what names one is not wrong for that.
pub fn names(root: &Table<'_>) -> Vec<Name> {
    let tables = root.get("trust").filter(Value::is_table).and_then(|value| value.table("[trust]".into()));
    let entries = tables.map(|tables| tables.named_entries()).unwrap_or_default();
    entries.into_iter().map(|(name, _)| Name::new(name.value)).collect()
}

/// A file and where the configuration names it.
type Named = (PathBuf, At);

fn read_bundle(name: &Name, table: &Table<'_>, base: &Path, now: Timestamp) -> Option<TrustBundle> {
    let authorities = table.require("ca").map(|value| files(&value, base)).unwrap_or_default();
    let intermediates = table.get("intermediates").map(|value| files(&value, base)).unwrap_or_default();
    let domain = table.get("spiffe_trust_domain").map(|value| read_domain(&value));
    let revocation = table.get("crl").map(|value| read_revocation(&value, base));
    let Lists { files: lists, urls, refresh, when_expired } = revocation.unwrap_or_else(|| Some(Lists::default()))?;
    if authorities.is_empty() || domain == Some(None) {
        return None;
    }
    let paths = |named: &[Named]| named.iter().map(|(path, _)| path.clone()).collect();
    let sources = Sources {
        authorities: paths(&authorities),
        intermediates: paths(&intermediates),
        spiffe_trust_domain: domain.flatten(),
        revocation_lists: paths(&lists),
        revocation_urls: urls,
        refresh,
        when_expired,
    };
    let errors = match TrustBundle::load(name.clone(), &sources, now) {
        Ok(bundle) => return Some(bundle),
        Err(errors) => errors,
    };
    let named = [authorities, intermediates, lists].concat();
    for error in errors {
        let path = path_of(&error);
        let at = named.iter().find(|(known, _)| Some(known.as_path()) == path).map(|(_, at)| at.clone());
        table.faults().error(&at.unwrap_or_else(|| table.at()), error.to_string(), hint(&error));
    }
    None
}

fn read_domain(value: &Value<'_>) -> Option<TrustDomain> {
    let text = value.string()?;
    TrustDomain::parse(&text)
        .map_err(|error| value.fault(format!("`{text}`: {error}"), String::from("write \"corp.example\"")))
        .ok()
}

/// `crl = { ... }`.
#[derive(Default)]
struct Lists {
    files: Vec<Named>,
    urls: Vec<Box<str>>,
    refresh: Duration,
    when_expired: WhenExpired,
}

/// `None` when no list is named, which must never read as "nothing is revoked".
fn read_revocation(value: &Value<'_>, base: &Path) -> Option<Lists> {
    let table = value.table(String::from("`crl`"))?;
    let files = table.get("files").map(|value| files(&value, base)).unwrap_or_default();
    let named = table.get("urls").map(|value| if value.is_string() { vec![value] } else { value.list() });
    let named = named.unwrap_or_default();
    let urls: Vec<Box<str>> = named.iter().filter_map(url).collect();
    let refresh = match table.get("refresh") {
        None => HOUR,
        Some(value) => value.duration().filter(|span| {
            let fits = (MINUTE..=DAY).contains(span);
            if !fits {
                value.fault("`refresh` must be from a minute to a day", None);
            }
            fits
        })?,
    };
    let choices = &[("deny", WhenExpired::Deny), ("warn", WhenExpired::Warn)];
    let when_expired = table.get("when_expired").map(|value| value.choice(choices));
    if files.is_empty() && named.is_empty() {
        let hint = String::from("name `files` or `urls`, or leave out `crl`");
        value.fault("`crl` names no revocation list", hint);
        return None;
    }
    if urls.len() < named.len() {
        return None;
    }
    Some(Lists { files, urls, refresh, when_expired: when_expired.unwrap_or(Some(WhenExpired::Deny))? })
}

/// Plain HTTP is as good as any here: a list proves itself by its signature.
fn url(value: &Value<'_>) -> Option<Box<str>> {
    let text = value.string()?;
    let parsed = text.parse::<http::Uri>().ok();
    let fits = |uri: &http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
    };
    if parsed.as_ref().is_some_and(fits) {
        return Some(text.into());
    }
    value.fault(format!("`{text}` is no address of a list"), String::from("write \"http://ca.corp.example/ca.crl\""));
    None
}

/// One path, or a list of paths.
fn files(value: &Value<'_>, base: &Path) -> Vec<Named> {
    let values = if value.is_string() { vec![*value] } else { value.list() };
    values.iter().filter_map(|value| Some((value.path(base)?, value.at()))).collect()
}

fn path_of(error: &TrustError) -> Option<&Path> {
    match error {
        TrustError::Empty => None,
        TrustError::Unreadable { path, .. }
        | TrustError::NoCertificate { path }
        | TrustError::Authority { path, .. }
        | TrustError::List { path, .. } => Some(path),
    }
}

fn hint(error: &TrustError) -> Option<String> {
    match error {
        TrustError::NoCertificate { .. } => Some("a PEM file starts with -----BEGIN CERTIFICATE-----".into()),
        _ => None,
    }
}
