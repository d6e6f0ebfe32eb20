//! Which endpoint gets the next request.

use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::quality::FixedState;

use super::endpoint::Endpoint;
use super::settings::{AllUnwell, Balance};
use super::upstreams::Upstream;

/// The seed of the subject hash: fixed, so that every process of a fleet gives a subject the same endpoint.
const SEED: u64 = 0x706f_7274_6375_6c6c;

impl Upstream {
    /// The endpoint for a request of `subject`, not one of `tried`. `None` when none is in service.
    pub(super) fn pick(&self, subject: impl Hash, tried: &[u64]) -> Option<&Arc<Endpoint>> {
        if let [only] = &*self.endpoints {
            return Some(only).filter(|only| (only.is_well() || self.tries_unwell()) && !tried.contains(&only.id));
        }
        let mut candidates = self.candidates();
        candidates.retain(|endpoint| !tried.contains(&endpoint.id));
        match self.settings.balance {
            Balance::RoundRobin => self.in_turn(&candidates),
            Balance::LeastRequests => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(candidates.len())?;
                candidates.rotate_left(turn);
                candidates.into_iter().min_by(|a, b| load(a).total_cmp(&load(b)))
            }
            Balance::Subject => {
                let key = FixedState::with_seed(SEED).hash_one(&subject);
                candidates.into_iter().max_by(|a, b| score(key, a).total_cmp(&score(key, b)))
            }
        }
    }

    /// Endpoints that are well and not ejected; when there are none, those that are well, for an ejection is a guess from
    /// a few requests; when there are none of these either, all of them or none, as the upstream states.
    fn candidates(&self) -> Vec<&Arc<Endpoint>> {
        let well = |endpoint: &&Arc<Endpoint>| endpoint.is_well();
        let mut found: Vec<_> = self.endpoints.iter().filter(well).filter(|endpoint| !endpoint.is_ejected()).collect();
        if found.is_empty() {
            found = self.endpoints.iter().filter(well).collect();
        }
        if found.is_empty() && self.tries_unwell() {
            found = self.endpoints.iter().collect();
        }
        found
    }

    fn tries_unwell(&self) -> bool {
        self.settings.health.as_ref().is_some_and(|check| check.when_all_unwell == AllUnwell::Try)
    }

    /// The turn counts through the weights, so that an endpoint of weight 3 gets three turns of each round.
    fn in_turn<'a>(&self, candidates: &[&'a Arc<Endpoint>]) -> Option<&'a Arc<Endpoint>> {
        let weight = |endpoint: &Endpoint| usize::try_from(endpoint.settings.weight).unwrap_or(1);
        let round: usize = candidates.iter().map(|endpoint| weight(endpoint)).sum();
        let mut turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(round)?;
        candidates
            .iter()
            .find(|endpoint| match turn.checked_sub(weight(endpoint)) {
                Some(rest) => {
                    turn = rest;
                    false
                }
                None => true,
            })
            .copied()
    }
}

/// Open requests for the weight, this one included.
fn load(endpoint: &Endpoint) -> f64 {
    (f64::from(endpoint.active()) + 1.0) / f64::from(endpoint.settings.weight)
}

/// Weighted rendezvous hashing: the highest score wins. When an endpoint leaves, only its own subjects move, and shares
/// follow the weights.
fn score(key: u64, endpoint: &Endpoint) -> f64 {
    let hash = FixedState::with_seed(key).hash_one(&*endpoint.settings.url);
    // 53 bits give a fraction strictly between 0 and 1, whose logarithm is finite and negative.
    let fraction = (f64::from(u32::try_from(hash >> 32).unwrap_or(0)) + 0.5) / 4_294_967_296.0;
    f64::from(endpoint.settings.weight) / -fraction.ln()
}
