//! Runs every fuzz target over its corpus and a fixed number of mutations, the same ones each time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: a broken assumption should stop it")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[expect(unreachable_pub, reason = "a library of its own under cargo-fuzz")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Mutations of one target's corpus; fewer of what takes a millisecond.
const MUTATIONS: usize = 6_000;
const MUTATIONS_OF_SLOW: usize = 1_500;
const SLOW: [&str; 6] = ["cel", "dpop", "policy", "signed_introspection", "token", "toml"];
/// Longer inputs are cut.
const LONGEST: usize = 8_192;

/// Bytes that mean something to one parser or another.
const TOKENS: [&[u8]; 34] = [
    b"%2F",
    b"%2e",
    b"%00",
    b"%25",
    b"..",
    b"//",
    b"/",
    b"\\",
    b";",
    b"#",
    b"?",
    b"\0",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"=",
    b".",
    b"-",
    b"\xff",
    b"\xc3\xa9",
    b"1e300",
    b"-1",
    b"9999999999999999999",
    b"null",
    b"true",
    b"spiffe://",
];

macro_rules! smoke {
    ($($target:ident)*) => {
        /// The targets that run here.
        const RUN: &[&str] = &[$(stringify!($target)),*];

        $(#[test]
        fn $target() {
            holds_over_its_corpus_and_mutations(stringify!($target));
        })*
    };
}

smoke! {
    authorization cel certificate claim_path claims dpop forwarded_for head header_rule host introspection jwks path policy
    proxy_header signed_introspection spiffe_id token token_exchange toml traceparent when
}

fn holds_over_its_corpus_and_mutations(name: &str) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
    let well_formed = corpus.iter().filter(|entry| hold(name, entry)).count();
    assert!((1..corpus.len()).contains(&well_formed), "{well_formed} of {} inputs are well-formed", corpus.len());
    let mut dice = Dice::seeded(name);
    for _ in 0..if SLOW.contains(&name) { MUTATIONS_OF_SLOW } else { MUTATIONS } {
        hold(name, &mutated(&corpus, &mut dice));
    }
}

#[test]
fn every_target_has_an_entry_for_libfuzzer_and_no_corpus_is_left_over() {
    let names = |folder: &str| {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, RUN);
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("corpus"), known);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "fuzz/Cargo.toml lacks {name}");
    }
}

#[test]
#[should_panic(expected = "no target")]
fn an_unknown_target_is_no_silent_pass() {
    targets::run("nothing", b"");
}

fn hold(name: &str, input: &[u8]) -> bool {
    let held = catch_unwind(AssertUnwindSafe(|| targets::run(name, input)));
    assert!(held.is_ok(), "{name} fails on \"{}\"", input.escape_ascii());
    held.unwrap_or_default()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + 1 + dice.below(16)).min(input.len());
        match dice.below(8) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < input.len() => input[at] = dice.byte(),
            2 => input.insert(at, dice.byte()),
            3 => drop(input.drain(at.min(end)..end)),
            4 => input.truncate(at),
            5 => {
                let piece = input[at.min(end)..end].to_vec();
                input.splice(at..at, piece.repeat(1 + dice.below(64)));
            }
            6 => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let token = TOKENS[dice.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
        }
        input.truncate(LONGEST);
    }
    input
}

/// A xorshift generator: the same throws for the same name.
struct Dice(u64);

impl Dice {
    fn seeded(name: &str) -> Self {
        Self(
            name.bytes().fold(0x9e37_79b9_7f4a_7c15, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
                | 1,
        )
    }

    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.throw() >> 8).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.throw().to_le_bytes()[3]
    }
}
