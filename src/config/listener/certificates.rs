//! Reads a listener's server certificates, and warns of those that clients refuse by their dates, or soon will: a gate
//! must still start for the other names.

use std::path::Path;

use jiff::Timestamp;

use crate::config::fault::At;
use crate::config::reader::Value;
use crate::identity::Name;
use crate::listener::{ServerCertificate, Untimely};

/// The most that are spoken of one by one: ten thousand may be renewed together, and end together.
const MOST: usize = 10;

/// Where the certificates are read for.
pub(super) struct Place<'p> {
    pub(super) base: &'p Path,
    pub(super) listener: Option<&'p Name>,
    pub(super) now: Timestamp,
}

/// `None` when one of them is wrong.
pub(super) fn read(value: &Value<'_>, place: &Place<'_>) -> Option<Vec<ServerCertificate>> {
    let all: Vec<_> = value.list().iter().map(|value| Some((read_one(value, place.base)?, value.at()))).collect();
    let all = all.into_iter().collect::<Option<Vec<_>>>()?;
    warn(value, &all, place);
    Some(all.into_iter().map(|(certificate, _)| certificate).collect())
}

fn read_one(value: &Value<'_>, base: &Path) -> Option<ServerCertificate> {
    let table = value.table(String::from("this certificate"))?;
    let chain = table.require("chain").and_then(|value| value.path(base));
    let key = table.require("key").and_then(|value| value.path(base));
    let loaded = ServerCertificate::load(&chain?, &key?);
    loaded.map_err(|error| value.fault(error.to_string(), None)).ok()
}

/// Speaks of those first that end first.
fn warn(value: &Value<'_>, all: &[(ServerCertificate, At)], place: &Place<'_>) {
    let listener = place.listener.map_or("?", Name::as_str);
    let told = all.iter().filter_map(|(certificate, at)| {
        let what = certificate.validity().untimely(place.now)?;
        Some((certificate, at, what))
    });
    let mut untimely: Vec<_> = told.collect();
    untimely.sort_by_key(|(certificate, ..)| certificate.validity().not_after);
    for (certificate, at, what) in untimely.iter().take(MOST) {
        let (message, hint) = words(certificate, *what);
        value.faults().warning(at, format!("listener `{listener}`: {message}"), String::from(hint));
    }
    if let Some(more) = untimely.len().checked_sub(MOST).filter(|more| *more > 0) {
        let message =
            format!("listener `{listener}`: {more} more of its certificates have ended, end soon or are not valid yet");
        value.faults().warning(
            &value.at(),
            message,
            String::from("the status of a running Portcullis lists them all, under `certificates`"),
        );
    }
}

fn words(certificate: &ServerCertificate, what: Untimely) -> (String, &'static str) {
    const RENEW: &str = "renew it and write the new one to the same files: a running Portcullis takes it by itself";
    let (file, validity) = (certificate.file().display(), certificate.validity());
    match what {
        Untimely::Ended => {
            (format!("the certificate chain in `{file}` ended at {}: clients refuse it", validity.not_after), RENEW)
        }
        Untimely::EndsSoon => {
            (format!("the certificate chain in `{file}` ends soon, at {}", validity.not_after), RENEW)
        }
        Untimely::NotYet => (
            format!(
                "the certificate chain in `{file}` is valid from {} on: clients refuse it until then",
                validity.not_before
            ),
            "see whether the clock of this machine is right; else serve the certificate before it until then",
        ),
    }
}
