use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{MOST_PROOFS, Proof, ProofMemory};
use crate::authn::error::{AuthnError, DpopFault};

const NOW: i64 = 1_800_000_000;
/// How far ahead a proof may be.
const AHEAD: i64 = 60;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn long_alone() -> ProofMemory {
    ProofMemory::since(at(-86_400))
}

fn proof<'p>(key: &'p [u8; 32], identifier: &'p str, issued: i64) -> Proof<'p> {
    Proof { key, identifier, issued: at(issued), life: Duration::from_secs(60), has_nonce: false }
}

fn nonce(memory: &ProofMemory, now: Timestamp) -> String {
    let AuthnError::DpopNonce { nonce } = memory.wants_nonce(now) else { panic!("no nonce") };
    nonce.as_ref().into()
}

fn wants_nonce(outcome: Result<(), AuthnError>) -> bool {
    matches!(outcome, Err(AuthnError::DpopNonce { .. }))
}

#[test]
fn a_proof_counts_once_for_each_key() {
    let memory = long_alone();
    assert_eq!(memory.remember(&proof(&[1; 32], "a", 0), at(0)), Ok(()));
    assert_eq!(memory.remember(&proof(&[1; 32], "a", 0), at(30)), Err(AuthnError::DpopReplayed));
    assert_eq!(memory.remember(&proof(&[2; 32], "a", 0), at(0)), Ok(()));
    assert_eq!(memory.remember(&proof(&[1; 32], "b", 0), at(0)), Ok(()));
}

#[test]
fn what_can_no_longer_count_is_swept() {
    let memory = long_alone();
    for number in 0..10_000_u16 {
        let (second, key) = (i64::from(number / 10), [u8::try_from(number % 7).unwrap(); 32]);
        memory.remember(&proof(&key, &number.to_string(), second), at(second)).unwrap();
    }
    let used = memory.used();
    assert!(used.count < 5_500);
    assert_eq!(used.count, used.by_key.values().map(|proofs| proofs.len()).sum::<usize>());
}

/// Fills a memory with the proofs of so many keys, all counting until `until`.
fn filled(keys: usize, until: i64) -> ProofMemory {
    let memory = long_alone();
    {
        let mut used = memory.used();
        for number in 0..MOST_PROOFS {
            let name = |number: usize| {
                let mut name = [0; 32];
                name.first_chunk_mut().map(|first: &mut [u8; 8]| *first = number.to_le_bytes()).unwrap();
                name
            };
            used.by_key.entry(name(number % keys)).or_default().insert(name(number), at(until));
        }
        used.count = MOST_PROOFS;
    }
    memory
}

#[test]
fn a_full_memory_refuses_until_the_proofs_in_it_no_longer_count() {
    let memory = filled(1000, 60);
    let full = || Err(AuthnError::from(DpopFault::MemoryFull));
    let one = |now: i64| memory.remember(&proof(&[1; 32], "one", 60), at(now));
    assert_eq!(one(0), full());
    assert_eq!(one(90), full(), "it is not swept for each proof");
    memory.used().rests_until = None;
    assert_eq!(one(90), Ok(()));
    assert_eq!(memory.used().count, 1);
    assert_eq!(one(90), Err(AuthnError::DpopReplayed));
}

#[test]
fn no_key_alone_uses_the_memory_up() {
    let memory = long_alone();
    {
        // As if all others held this many.
        let mut used = memory.used();
        (used.count, used.sweep_at) = (MOST_PROOFS - 1000, MOST_PROOFS);
    }
    let mut taken = 0;
    while memory.remember(&proof(&[1; 32], &taken.to_string(), 0), at(0)).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 500);
    assert_eq!(memory.remember(&proof(&[1; 32], "more", 0), at(0)), Err(DpopFault::MemoryFull.into()));
    assert_eq!(memory.remember(&proof(&[2; 32], "another", 0), at(0)), Ok(()));
}

#[test]
fn a_nonce_counts_for_two_periods_and_only_ours_does() {
    let (memory, other) = (long_alone(), long_alone());
    let nonce = nonce(&memory, at(0));
    assert!(memory.gave_out(&nonce, at(0)) && memory.gave_out(&nonce, at(120)));
    assert!(!memory.gave_out(&nonce, at(240)));
    assert!(!other.gave_out(&nonce, at(0)) && !memory.gave_out("", at(0)));
}

/// Whatever a process before took counts here no more: every proof that it could have taken is asked for a nonce that it
/// did not give out.
#[test]
fn after_a_start_a_proof_that_may_have_been_used_needs_a_nonce_of_this_process() {
    let before = long_alone();
    for issued in -90..=AHEAD {
        // The process before takes proofs of clocks that are up to a minute ahead, up to its very end.
        let used = proof(&[1; 32], "used", issued);
        let fresh = ProofMemory::since(at(0));
        for now in [0, 1, 29, 59, 90] {
            assert!(wants_nonce(fresh.remember(&used, at(now))), "issued {issued}, shown again at {now}");
        }
        let with_nonce = Proof { has_nonce: true, ..used };
        assert_eq!(fresh.remember(&with_nonce, at(0)), Ok(()));
        assert_eq!(fresh.remember(&with_nonce, at(0)), Err(AuthnError::DpopReplayed));
        assert!(!fresh.gave_out(&nonce(&before, at(0)), at(0)));
    }
    let fresh = ProofMemory::since(at(0));
    assert_eq!(fresh.remember(&proof(&[1; 32], "new", AHEAD + 1), at(AHEAD + 1)), Ok(()));
}

#[test]
fn while_two_processes_run_a_proof_counts_in_one_of_them() {
    let (old, new) = (long_alone(), ProofMemory::since(Timestamp::MAX));
    // Before it is known when the old one leaves, the new one takes nothing without its nonce.
    assert!(wants_nonce(new.remember(&proof(&[1; 32], "a", 0), at(0))));
    new.is_alone(old.leave(at(20)));
    for (issued, now) in [(0, 1), (19, 19), (20 + AHEAD, 20)] {
        let shown = proof(&[1; 32], "b", issued);
        if now < 20 {
            assert_eq!(old.remember(&shown, at(now)), Ok(()));
            old.used().by_key.clear();
        }
        assert!(wants_nonce(new.remember(&shown, at(now))), "issued {issued}");
    }
    let later = proof(&[1; 32], "c", 21 + AHEAD);
    assert_eq!(old.remember(&later, at(21 + AHEAD)), Err(DpopFault::Leaving.into()));
    assert_eq!(old.remember(&proof(&[1; 32], "d", 20), at(20)), Err(DpopFault::Leaving.into()));
    assert_eq!(new.remember(&later, at(21 + AHEAD)), Ok(()));
}

#[test]
fn the_youngest_of_three_waits_for_the_oldest() {
    let (old, new) = (long_alone(), ProofMemory::since(Timestamp::MAX));
    new.is_alone(old.leave(at(300)));
    let newest = ProofMemory::since(Timestamp::MAX);
    newest.is_alone(new.leave(at(20)));
    assert!(wants_nonce(newest.remember(&proof(&[1; 32], "a", 300 + AHEAD), at(300))));
    assert_eq!(newest.remember(&proof(&[1; 32], "a", 301 + AHEAD), at(301)), Ok(()));
    // One that was never told when its predecessor leaves can promise nothing.
    let [unsure, next] = [Timestamp::MAX; 2].map(ProofMemory::since);
    next.is_alone(unsure.leave(at(20)));
    let much_later = proof(&[1; 32], "b", 86_400);
    assert!(wants_nonce(next.remember(&much_later, at(86_400) + SignedDuration::from_secs(1))));
}
