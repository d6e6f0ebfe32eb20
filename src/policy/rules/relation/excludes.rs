//! That two criteria never hold at once.

use ipnet::IpNet;

use super::Side;
use crate::policy::rules::Criterion;
use crate::policy::rules::criterion::{
    ClaimTest, ListMatch, PeerCriterion, RequestCriterion, SourceCriterion, StringSet, SubjectCriterion, TextMatch,
    TextTest, TimeCriterion,
};

/// Whether no request meets both criteria. Of a criterion and itself: whether no request meets it.
pub fn excludes(one: &Criterion, two: &Criterion, side: Side) -> bool {
    match (one, two) {
        (Criterion::Subject(one), Criterion::Subject(two)) => subjects(one, two),
        (Criterion::Claim(one), Criterion::Claim(two)) => {
            one.path == two.path && (claims(&one.test, &two.test, side) || claims(&two.test, &one.test, side))
        }
        (Criterion::Peer(one), Criterion::Peer(two)) => peers(one, two) || peers(two, one),
        (Criterion::Request(one), Criterion::Request(two)) => requests(one, two, side) || requests(two, one, side),
        (Criterion::Source(one), Criterion::Source(two)) => sources(one, two) || sources(two, one),
        (Criterion::Time(one), Criterion::Time(two)) => times(one, two),
        _ => false,
    }
}

fn disjoint(one: &StringSet, two: &StringSet) -> bool {
    one.iter().all(|text| !two.contains(text))
}

fn subjects(one: &SubjectCriterion, two: &SubjectCriterion) -> bool {
    use SubjectCriterion::{Acr, Amr, ClientId, Groups, Issuer, Scopes, Sub};
    match (one, two) {
        (Issuer(one), Issuer(two)) => one.iter().all(|name| !two.contains(name)),
        (Sub(one), Sub(two)) | (ClientId(one), ClientId(two)) => texts(one, two),
        (Groups(one), Groups(two)) | (Scopes(one), Scopes(two)) | (Amr(one), Amr(two)) => lists(one, two),
        (Acr(one), Acr(two)) => disjoint(one, two),
        _ => false,
    }
}

/// Texts exclude each other when one names all that it takes, and none of that passes both; or when they begin differently.
fn texts(one: &TextMatch, two: &TextMatch) -> bool {
    for (named, other) in [(one, two), (two, one)] {
        if let Some(set) = named.named() {
            return set.iter().all(|text| !(named.matches(text) && other.matches(text)));
        }
    }
    let starts = |text: &TextMatch| -> Vec<String> {
        let tests = text.tests.iter().filter(|_| !text.ignore_case);
        tests
            .filter_map(|test| if let TextTest::Prefix(start) = test { Some(start.to_string()) } else { None })
            .collect()
    };
    let (one, two) = (starts(one), starts(two));
    one.iter().any(|one| two.iter().any(|two| !one.starts_with(two.as_str()) && !two.starts_with(one.as_str())))
}

fn lists(one: &ListMatch, two: &ListMatch) -> bool {
    let has = |list: &Option<StringSet>, text: &str| list.as_ref().is_some_and(|set| set.contains(text));
    let refused = |text: &str| has(&one.none, text) || has(&two.none, text);
    let all = [&one.all, &two.all].into_iter().flatten().any(|set| set.iter().any(refused));
    let any = [&one.any, &two.any].into_iter().flatten().any(|set| set.iter().all(refused));
    all || any
}

fn claims(one: &ClaimTest, two: &ClaimTest, side: Side) -> bool {
    match (one, two) {
        (ClaimTest::Present(false), other) => !matches!(other, ClaimTest::Present(false)),
        (ClaimTest::OneOf(values), ClaimTest::List(_)) => side == Side::Permission && !values.is_empty(),
        (ClaimTest::OneOf(values), other) => values.iter().all(|value| !other.takes(value)),
        (ClaimTest::Text(one), ClaimTest::Text(two)) => texts(one, two),
        (ClaimTest::List(one), ClaimTest::List(two)) => lists(one, two),
        (ClaimTest::Within { least: Some(least), .. }, ClaimTest::Within { most: Some(most), .. }) => {
            ClaimTest::is_above(least, most)
        }
        _ => false,
    }
}

fn peers(one: &PeerCriterion, two: &PeerCriterion) -> bool {
    use PeerCriterion::{Fingerprint, Issuer, KeyAlgorithm, None, Serial, SpiffeId, Subject, Trust};
    match (one, two) {
        (None, other) => !matches!(other, None),
        (Trust(one), Trust(two)) => one.iter().all(|name| !two.contains(name)),
        (SpiffeId(one), SpiffeId(two)) => one.iter().all(|one| two.iter().all(|two| !one.overlaps(two))),
        (Serial(one), Serial(two)) | (KeyAlgorithm(one), KeyAlgorithm(two)) => disjoint(one, two),
        (Fingerprint(one), Fingerprint(two)) => one.iter().all(|print| !two.contains(print)),
        (Subject(one), Subject(two)) | (Issuer(one), Issuer(two)) => texts(one, two),
        _ => false,
    }
}

/// What may occur repeatedly excludes only where every occurrence counts.
fn requests(one: &RequestCriterion, two: &RequestCriterion, side: Side) -> bool {
    use RequestCriterion::{Header, HeaderPresent, Method, PathParam, Query, QueryPresent};
    let every = side == Side::Permission;
    match (one, two) {
        (Method(one), Method(two)) => disjoint(one, two),
        (PathParam(name, one), PathParam(other, two)) => name == other && texts(one, two),
        (Query(name, one), Query(other, two)) => every && name == other && texts(one, two),
        (Header(name, one), Header(other, two)) => every && name == other && texts(one, two),
        (QueryPresent(name, false), Query(other, _) | QueryPresent(other, true)) => name == other,
        (HeaderPresent(name, false), Header(other, _) | HeaderPresent(other, true)) => name == other,
        _ => false,
    }
}

fn sources(one: &SourceCriterion, two: &SourceCriterion) -> bool {
    if one.networks.is_empty() {
        return false;
    }
    let outside = |network: &IpNet| {
        let apart = |other: &IpNet| !network.contains(other) && !other.contains(network);
        let refused = one.except.iter().chain(&two.except).any(|except| except.contains(network));
        refused || (!two.networks.is_empty() && two.networks.iter().all(apart))
    };
    one.networks.iter().all(outside)
}

fn times(one: &TimeCriterion, two: &TimeCriterion) -> bool {
    let ends = |one: &TimeCriterion, two: &TimeCriterion| {
        one.before.zip(two.after).is_some_and(|(before, after)| before <= after)
    };
    if ends(one, two) || ends(two, one) {
        return true;
    }
    // Days and times of day compare within one zone, and simply only while no window passes midnight.
    let within_days = |time: &TimeCriterion| time.window.is_none_or(|(from, until)| from < until);
    if one.zone != two.zone || !within_days(one) || !within_days(two) {
        return false;
    }
    let windows = one.window.zip(two.window).is_some_and(|(one, two)| one.1 <= two.0 || two.1 <= one.0);
    windows || !one.days.overlaps(two.days)
}
