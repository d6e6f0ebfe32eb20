//! That wherever one criterion holds, another does. Both are read for a permission.

use super::Side;
use super::excludes::excludes;
use crate::policy::rules::Criterion;
use crate::policy::rules::criterion::{
    ClaimTest, ListMatch, PeerCriterion, RequestCriterion, SourceCriterion, StringSet, SubjectCriterion, TextMatch,
};

/// Whether every request that meets the first criterion meets the second.
pub fn implies(known: &Criterion, wanted: &Criterion) -> bool {
    match (known, wanted) {
        (Criterion::Subject(_) | Criterion::Claim(_), Criterion::Subject(SubjectCriterion::Any)) => true,
        (Criterion::Subject(known), Criterion::Subject(wanted)) => subject(known, wanted),
        (Criterion::Claim(known), Criterion::Claim(wanted)) => {
            known.path == wanted.path && claim(&known.test, &wanted.test)
        }
        (Criterion::Peer(known), Criterion::Peer(wanted)) => peer(known, wanted),
        (Criterion::Request(known), Criterion::Request(wanted)) => request(known, wanted),
        (Criterion::Source(known), Criterion::Source(wanted)) => source(known, wanted),
        (Criterion::Time(_), Criterion::Time(_)) => format!("{known:?}") == format!("{wanted:?}"),
        (Criterion::When(known), Criterion::When(wanted)) => known.source() == wanted.source(),
        _ => false,
    }
}

fn subset(known: &StringSet, wanted: &StringSet) -> bool {
    known.iter().all(|text| wanted.contains(text))
}

fn subject(known: &SubjectCriterion, wanted: &SubjectCriterion) -> bool {
    use SubjectCriterion::{Acr, Amr, ClientId, Groups, Issuer, Scopes, SignedInWithin, Sub, TokenAge, TokenLifetime};
    match (known, wanted) {
        (Issuer(known), Issuer(wanted)) => known.iter().all(|name| wanted.contains(name)),
        (Sub(known), Sub(wanted)) | (ClientId(known), ClientId(wanted)) => text(known, wanted),
        (Groups(known), Groups(wanted)) | (Scopes(known), Scopes(wanted)) | (Amr(known), Amr(wanted)) => {
            list(known, wanted)
        }
        (Acr(known), Acr(wanted)) => subset(known, wanted),
        (SignedInWithin(known), SignedInWithin(wanted))
        | (TokenAge(known), TokenAge(wanted))
        | (TokenLifetime(known), TokenLifetime(wanted)) => known <= wanted,
        _ => false,
    }
}

fn text(known: &TextMatch, wanted: &TextMatch) -> bool {
    if let Some(set) = known.named() {
        return set.iter().filter(|text| known.matches(text)).all(|text| wanted.matches(text));
    }
    let tests: Vec<_> = known.tests.iter().map(|test| format!("{test:?}")).collect();
    known.ignore_case == wanted.ignore_case && wanted.tests.iter().all(|test| tests.contains(&format!("{test:?}")))
}

fn list(known: &ListMatch, wanted: &ListMatch) -> bool {
    let has = |set: &Option<StringSet>, text: &str| set.as_ref().is_some_and(|set| set.contains(text));
    let any = |wanted: &StringSet| {
        let by_all = known.all.as_ref().is_some_and(|all| all.iter().any(|text| wanted.contains(text)));
        by_all || known.any.as_ref().is_some_and(|any| subset(any, wanted))
    };
    let only = known.any.as_ref().filter(|any| any.len() == 1).and_then(|any| any.iter().next());
    wanted.any.as_ref().is_none_or(any)
        && wanted.all.as_ref().is_none_or(|all| all.iter().all(|text| has(&known.all, text) || only == Some(text)))
        && wanted.none.as_ref().is_none_or(|none| none.iter().all(|text| has(&known.none, text)))
}

fn claim(known: &ClaimTest, wanted: &ClaimTest) -> bool {
    match (known, wanted) {
        (ClaimTest::Present(known), ClaimTest::Present(wanted)) => known == wanted,
        (_, ClaimTest::Present(wanted)) => *wanted,
        (ClaimTest::OneOf(values), wanted) => values.iter().all(|value| wanted.takes(value)),
        (ClaimTest::Text(known), ClaimTest::Text(wanted)) => text(known, wanted),
        (ClaimTest::List(known), ClaimTest::List(wanted)) => list(known, wanted),
        (known, wanted) => format!("{known:?}") == format!("{wanted:?}"),
    }
}

fn peer(known: &PeerCriterion, wanted: &PeerCriterion) -> bool {
    use PeerCriterion::{Any, Fingerprint, KeyAlgorithm, None, Serial, SpiffeId, Trust};
    match (known, wanted) {
        (known, Any) => !matches!(known, None),
        (None, None) => true,
        (Trust(known), Trust(wanted)) => known.iter().all(|name| wanted.contains(name)),
        (SpiffeId(known), SpiffeId(wanted)) => {
            known.iter().all(|known| wanted.iter().any(|wanted| wanted.covers(known)))
        }
        (Serial(known), Serial(wanted)) | (KeyAlgorithm(known), KeyAlgorithm(wanted)) => subset(known, wanted),
        (Fingerprint(known), Fingerprint(wanted)) => known.iter().all(|print| wanted.contains(print)),
        (PeerCriterion::Subject(known), PeerCriterion::Subject(wanted))
        | (PeerCriterion::Issuer(known), PeerCriterion::Issuer(wanted)) => text(known, wanted),
        (known, wanted) => format!("{known:?}") == format!("{wanted:?}"),
    }
}

fn request(known: &RequestCriterion, wanted: &RequestCriterion) -> bool {
    use RequestCriterion::{Header, HeaderPresent, Method, PathParam, Query, QueryPresent};
    match (known, wanted) {
        (Method(known), Method(wanted)) => subset(known, wanted),
        (PathParam(name, known), PathParam(other, wanted)) | (Query(name, known), Query(other, wanted)) => {
            name == other && text(known, wanted)
        }
        (Header(name, known), Header(other, wanted)) => name == other && text(known, wanted),
        (Query(name, _), QueryPresent(other, true)) => name == other,
        (Header(name, _), HeaderPresent(other, true)) => name == other,
        (known, wanted) => format!("{known:?}") == format!("{wanted:?}"),
    }
}

fn source(known: &SourceCriterion, wanted: &SourceCriterion) -> bool {
    let inside = known.networks.iter().all(|known| wanted.networks.iter().any(|wanted| wanted.contains(known)));
    let in_networks = wanted.networks.is_empty() || (!known.networks.is_empty() && inside);
    let spared = |except: &ipnet::IpNet| {
        let refused = known.except.iter().any(|known| known.contains(except));
        let only = SourceCriterion { networks: Box::new([*except]), except: Box::default() };
        refused || excludes(&Criterion::Source(known.clone()), &Criterion::Source(only), Side::Permission)
    };
    in_networks && wanted.except.iter().all(spared)
}
