//! How many different subjects asked, and how many of them were refused, without remembering a single one.
//!
//! Linear counting (Whang, Vander-Zanden and Taylor, 1990): a subject sets one bit of a bitmap, chosen by its hash, and the
//! bits that are still clear tell how many there were. A subject that asks a million times counts once, and memory is the
//! same whoever comes.

use std::hash::{BuildHasher, Hash};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

/// 64 Ki bits: an error of about one percent up to some hundred thousand subjects.
const WORDS: usize = 1024;
const BITS: u32 = 65_536;
/// With fewer clear bits than this, nothing can be told.
const FEWEST_CLEAR: u32 = 64;

/// One seed for all workers, so that a subject is the same bit in each; drawn anew by each process, so that nobody can
/// choose it.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The subjects of one worker, since they were last forgotten.
#[derive(Debug, Default)]
pub struct Subjects {
    asked: Bitmap,
    refused: Bitmap,
}

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SubjectCount {
    /// Different subjects that asked.
    pub asked: f64,
    /// Of these, those that were refused at least once.
    pub refused: f64,
}

#[derive(Debug)]
struct Bitmap(Box<[AtomicU64]>);

impl Subjects {
    /// An authenticated subject asked, and the policy decided.
    pub fn note(&self, who: impl Hash, refused: bool) {
        let hash = SEED.hash_one(who);
        self.asked.set(hash);
        if refused {
            self.refused.set(hash);
        }
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        for word in self.asked.0.iter().chain(&self.refused.0) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl SubjectCount {
    /// Counts over all workers: whoever asked two of them is one subject. `None`: there were too many to tell.
    pub fn of<'s>(workers: impl Iterator<Item = &'s Subjects> + Clone) -> Option<Self> {
        let asked = clear(workers.clone().map(|worker| &worker.asked));
        let refused = clear(workers.map(|worker| &worker.refused));
        let count = |clear: u32| f64::from(BITS) * (f64::from(BITS) / f64::from(clear)).ln();
        (asked >= FEWEST_CLEAR).then(|| Self { asked: count(asked), refused: count(refused) })
    }

    /// Both as whole numbers, for people.
    pub fn rounded(self) -> (u64, u64) {
        let whole = |count: f64| format!("{count:.0}").parse().unwrap_or_default();
        (whole(self.asked), whole(self.refused))
    }
}

impl Default for Bitmap {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Bitmap {
    fn set(&self, hash: u64) {
        let place = usize::try_from(hash >> 6).unwrap_or_default() % WORDS;
        let bit = 1 << (hash & 63);
        if let Some(word) = self.0.get(place)
            && word.load(Ordering::Relaxed) & bit == 0
        {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }
}

/// The bits that no worker has set.
fn clear<'b>(maps: impl Iterator<Item = &'b Bitmap> + Clone) -> u32 {
    let word = |at: usize| {
        maps.clone().filter_map(|map| map.0.get(at)).fold(0, |all, word| all | word.load(Ordering::Relaxed))
    };
    (0..WORDS).map(|at| word(at).count_zeros()).sum()
}

#[cfg(test)]
mod tests {
    use super::{SubjectCount, Subjects};

    fn count(workers: &[&Subjects]) -> (f64, f64) {
        let count = SubjectCount::of(workers.iter().copied()).unwrap();
        (count.asked.round(), count.refused.round())
    }

    #[test]
    fn a_subject_counts_once_however_often_and_wherever_it_asks() {
        let (one, two) = (Subjects::default(), Subjects::default());
        assert_eq!(count(&[&one, &two]), (0.0, 0.0));
        for _ in 0..10_000 {
            one.note("u-1", true);
            two.note("u-1", false);
        }
        two.note("u-2", false);
        assert_eq!(count(&[&one, &two]), (2.0, 1.0));
        one.forget();
        assert_eq!(count(&[&one, &two]), (2.0, 0.0));
    }

    #[test]
    fn the_count_is_right_within_some_percent_and_too_many_are_not_guessed() {
        let subjects = Subjects::default();
        for (number, wanted) in [(1_000, 20.0), (100_000, 3_000.0)] {
            (0..number).for_each(|subject| subjects.note(subject, subject % 10 == 0));
            let count = SubjectCount::of([&subjects].into_iter()).unwrap();
            assert!((count.asked - f64::from(number)).abs() < wanted, "{count:?}");
            assert!((count.refused - f64::from(number) / 10.0).abs() < wanted, "{count:?}");
        }
        (0..2_000_000).for_each(|subject| subjects.note(subject, false));
        assert_eq!(SubjectCount::of([&subjects].into_iter()), None);
    }
}
