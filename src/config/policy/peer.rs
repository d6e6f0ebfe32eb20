//! `device = { .. }` and `workload = { .. }`: what the client certificate must say.

use super::super::fault::Located;
use super::super::reader::{Table, Value};
use super::matching::{plain_text, texts, with_absent};
use super::names::Names;
use super::subject::says;
use crate::identity::Name;
use crate::policy::rules::criterion::{DnsPattern, PatternError, PeerCriterion, SpiffePattern, StringSet};
use crate::policy::rules::{Condition, Criterion};

const KEY_ALGORITHMS: [&str; 3] = ["ec", "ed25519", "rsa"];

/// Reads the table; an empty one was reported already.
pub(super) fn read(table: &Table<'_>, names: &Names<'_>) -> Vec<Condition> {
    let mut found = Vec::new();
    if says(table.get("any")) {
        found.push(PeerCriterion::Any);
    }
    let none = says(table.get("none"));
    found.extend(table.get("trust").map(|value| {
        let bundles: Vec<Name> = texts(&value, names).iter().filter_map(|name| names.trust(name, &value)).collect();
        PeerCriterion::Trust(bundles.into())
    }));
    if let Some(value) = table.get("spiffe_id") {
        let hint = "write \"spiffe://corp.example/device/*\": `*` is one segment, a final `**` the rest";
        found.push(PeerCriterion::SpiffeId(patterns(&value, names, SpiffePattern::parse, hint)));
    }
    if let Some(value) = table.get("dns") {
        let hint = "write \"*.corp.example\": `*` is one label, a first `**` several";
        found.push(PeerCriterion::Dns(patterns(&value, names, DnsPattern::parse, hint)));
    }
    found.extend(table.get("serial").map(|value| PeerCriterion::Serial(serials(&value, names))));
    found.extend(table.get("fingerprint").map(|value| PeerCriterion::Fingerprint(fingerprints(&value, names))));
    found.extend(table.get("key_algorithm").map(|value| PeerCriterion::KeyAlgorithm(key_algorithms(&value, names))));
    let mut conditions: Vec<_> = found.into_iter().map(|criterion| Condition::Is(Criterion::Peer(criterion))).collect();
    for (value, make) in [
        (table.get("uri"), PeerCriterion::Uri as fn(_) -> _),
        (table.get("email"), PeerCriterion::Email),
        (table.get("subject"), PeerCriterion::Subject),
        (table.get("issuer"), PeerCriterion::Issuer),
    ] {
        let read = value.and_then(|value| plain_text(&value, names));
        conditions.extend(read.map(|(text, absent)| with_absent(Criterion::Peer(make(text)), absent)));
    }
    if none {
        if !conditions.is_empty() {
            table.faults().error(
                &table.at(),
                "`none = true` stands beside something that a certificate must say",
                None,
            );
        }
        return vec![Condition::Is(Criterion::Peer(PeerCriterion::None))];
    }
    conditions
}

/// Reads patterns, with a fault for each that is none.
pub(super) fn patterns<P>(
    value: &Value<'_>,
    names: &Names<'_>,
    parse: fn(&str) -> Result<P, PatternError>,
    hint: &str,
) -> Box<[P]> {
    let parsed = texts(value, names).into_iter().filter_map(|Located { value: text, at }| match parse(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            value.faults().error(&at, format!("`{text}` is no pattern: {error}"), String::from(hint));
            None
        }
    });
    parsed.collect()
}

fn serials(value: &Value<'_>, names: &Names<'_>) -> StringSet {
    let read = texts(value, names).into_iter().filter_map(|Located { value: text, at }| {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let digits = digits.trim_start_matches('0').to_ascii_lowercase();
        let valid = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_hexdigit());
        if !valid {
            value.faults().error(&at, format!("`{text}` is no serial number in hexadecimal"), None);
        }
        valid.then_some(digits)
    });
    StringSet::new(read)
}

fn fingerprints(value: &Value<'_>, names: &Names<'_>) -> Box<[[u8; 32]]> {
    let read = texts(value, names).into_iter().filter_map(|Located { value: text, at }| {
        let print = fingerprint(&text);
        if print.is_none() {
            let hint =
                String::from("write the SHA-256 of the certificate's DER, 64 hexadecimal digits, with or without `:`");
            value.faults().error(&at, format!("`{text}` is no fingerprint"), hint);
        }
        print
    });
    read.collect()
}

/// SHA-256 in hexadecimal, with or without colons.
pub(super) fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut print = [0; 32];
    for (index, byte) in print.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(print)
}

fn key_algorithms(value: &Value<'_>, names: &Names<'_>) -> StringSet {
    let read = texts(value, names).into_iter().filter_map(|Located { value: text, at }| {
        let known = KEY_ALGORITHMS.contains(&text.as_str());
        if !known {
            let hint = String::from("it can be \"ec\", \"ed25519\" or \"rsa\"");
            value.faults().error(&at, format!("`{text}` is no key algorithm"), hint);
        }
        known.then_some(text)
    });
    StringSet::new(read)
}
