//! `subject = { .. }`: what the token must say.

use super::super::reader::{Table, Value};
use super::matching::{claims, list, plain_text, texts, with_absent};
use super::names::Names;
use crate::identity::Name;
use crate::policy::rules::criterion::{StringSet, SubjectCriterion};
use crate::policy::rules::{Condition, Criterion};

/// Reads the table; an empty one was reported already.
pub(super) fn read(table: &Table<'_>, names: &Names<'_>) -> Vec<Condition> {
    let mut found = Vec::new();
    let is = |criterion| Condition::Is(Criterion::Subject(criterion));
    let issuer = table.get("issuer");
    let sub = table.get("sub");
    if let (None, Some(sub)) = (&issuer, &sub) {
        let hint =
            String::from("add `issuer = \"..\"`: subjects of two issuers are never the same, whatever their `sub`");
        sub.fault("`sub` means nothing without the issuer who says so", hint);
    }
    if says(table.get("any")) {
        found.push(is(SubjectCriterion::Any));
    }
    if let Some(value) = issuer {
        let sources: Vec<Name> =
            texts(&value, names).iter().filter_map(|name| names.token_source(name, &value)).collect();
        found.push(is(SubjectCriterion::Issuer(sources.into())));
    }
    for (value, make) in
        [(sub, SubjectCriterion::Sub as fn(_) -> _), (table.get("client_id"), SubjectCriterion::ClientId)]
    {
        let read = value.and_then(|value| plain_text(&value, names));
        found.extend(read.map(|(text, absent)| with_absent(Criterion::Subject(make(text)), absent)));
    }
    for (value, make) in [
        (table.get("groups"), SubjectCriterion::Groups as fn(_) -> _),
        (table.get("scopes"), SubjectCriterion::Scopes),
        (table.get("amr"), SubjectCriterion::Amr),
    ] {
        let read = value.and_then(|value| list(&value, names));
        found.extend(read.map(|(wanted, absent)| with_absent(Criterion::Subject(make(wanted)), absent)));
    }
    if let Some(value) = table.get("acr") {
        let values = texts(&value, names).into_iter().map(|text| text.value);
        found.push(is(SubjectCriterion::Acr(StringSet::new(values))));
    }
    for (value, make) in [
        (table.get("signed_in_within"), SubjectCriterion::SignedInWithin as fn(_) -> _),
        (table.get("token_age_within"), SubjectCriterion::TokenAge),
        (table.get("token_lifetime_within"), SubjectCriterion::TokenLifetime),
    ] {
        found.extend(value.and_then(|value| value.duration()).map(|most| is(make(most))));
    }
    if let Some(table) = table.table("claims") {
        if table.is_empty() {
            table.faults().error(&table.at(), "`claims` is empty", None);
        }
        found.extend(claims(&table, names));
    }
    found
}

/// Reads a word that can only be said, not denied: `any = true`.
pub(super) fn says(value: Option<Value<'_>>) -> bool {
    match value.map(|value| (value.bool(), value)) {
        Some((Some(false), value)) => {
            value.fault("it can only be true; leave it out", None);
            false
        }
        Some((Some(true), _)) => true,
        Some((None, _)) | None => false,
    }
}
