use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Revocation, Revocations, RevokeError};
use crate::identity::{ClaimForm, Claims, Issuer, Name, Principal, Rendered, TokenFacts};
use crate::state::StateDirectory;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

fn each_kind() -> [Revocation; 3] {
    let issuer = Issuer::new("https://login.example");
    [
        Revocation::Token([7; 32]),
        Revocation::Id { issuer: issuer.clone(), id: "4f1c".into() },
        Revocation::Principal(Principal { issuer, subject: "u-\"17\"\n".into() }),
    ]
}

fn has(revocations: &Revocations, what: &Revocation) -> bool {
    revocations.entries.read().unwrap().contains_key(what)
}

#[test]
fn they_outlive_the_process_until_their_time_is_up() {
    let place = tempfile::tempdir().unwrap();
    let state = StateDirectory::new(place.path().join("state"));
    let first = Revocations::kept_in(state.clone(), at(0)).unwrap();
    for (index, what) in each_kind().into_iter().enumerate() {
        first.revoke(what, at(0), at(100 + 100 * i64::try_from(index).unwrap())).unwrap();
    }
    let second = Revocations::kept_in(state.clone(), at(1)).unwrap();
    assert!(second.generation() > 0, "a worker looks them up");
    assert!(each_kind().iter().all(|what| has(&second, what)));

    let third = Revocations::kept_in(state.clone(), at(150)).unwrap();
    assert_eq!(third.len(), 2);
    let lines = fs::read_to_string(state.path().join("revocations.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2, "what is over is not kept");
    assert!(Revocations::kept_in(state, at(1_000)).unwrap().is_empty());
}

#[test]
fn processes_that_share_the_directory_learn_of_them() {
    let place = tempfile::tempdir().unwrap();
    let state = StateDirectory::new(place.path().join("state"));
    let old = Revocations::kept_in(state.clone(), at(0)).unwrap();
    let new = Revocations::kept_in(state.clone(), at(0)).unwrap();
    let [token, id, principal] = each_kind();
    new.revoke(token.clone(), at(1), at(50)).unwrap();
    assert!(!has(&old, &token));
    old.follow(at(1)).unwrap();
    assert!(has(&old, &token));
    old.revoke(id.clone(), at(2), at(500)).unwrap();
    new.follow(at(2)).unwrap();
    assert!(has(&new, &id));

    // A third one starts later and leaves out what is over: the file is another one now.
    let third = Revocations::kept_in(state, at(60)).unwrap();
    third.revoke(principal.clone(), at(60), at(500)).unwrap();
    old.follow(at(61)).unwrap();
    assert!(has(&old, &principal));
}

#[test]
fn a_damaged_journal_is_refused_and_half_a_line_is_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let state = StateDirectory::new(place.path().join("state"));
    let [token, id, _] = each_kind();
    Revocations::kept_in(state.clone(), at(0)).unwrap().revoke(token.clone(), at(0), at(100)).unwrap();
    let watching = Revocations::kept_in(state.clone(), at(0)).unwrap();
    let other = Revocations::kept_in(state.clone(), at(0)).unwrap();
    let file = state.path().join("revocations.jsonl");
    let before = fs::read(&file).unwrap();
    other.revoke(id.clone(), at(0), at(100)).unwrap();
    let whole = fs::read(&file).unwrap();

    state.hold().unwrap().replace("revocations.jsonl", whole.get(..whole.len() - 5).unwrap()).unwrap();
    watching.follow(at(1)).unwrap();
    assert!(!has(&watching, &id));
    state.hold().unwrap().append("revocations.jsonl", whole.get(whole.len() - 5..).unwrap()).unwrap();
    watching.follow(at(1)).unwrap();
    assert!(has(&watching, &id));

    fs::write(&file, [before.as_slice(), b"{}\n"].concat()).unwrap();
    assert!(Revocations::kept_in(state, at(0)).unwrap_err().to_string().contains("damaged"));
}

#[test]
fn what_cannot_be_kept_counts_all_the_same_and_is_said() {
    let place = tempfile::tempdir().unwrap();
    let state = StateDirectory::new(place.path().join("state"));
    let revocations = Revocations::kept_in(state.clone(), at(0)).unwrap();
    fs::remove_dir_all(state.path()).unwrap();
    fs::write(state.path(), "in the way").unwrap();
    let [token, ..] = each_kind();
    let told = revocations.revoke(token.clone(), at(0), at(100));
    assert!(matches!(told, Err(RevokeError::NotKept(_))), "{told:?}");
    assert!(has(&revocations, &token));
}

#[test]
fn somebody_whose_issuer_is_ahead_of_our_clock_is_revoked_too() {
    let revocations = Revocations::default();
    let [_, _, principal] = each_kind();
    let Revocation::Principal(who) = principal.clone() else { panic!("the third is somebody") };
    revocations.revoke(principal, at(0), at(1_000)).unwrap();
    let issued = |seconds| {
        let facts = TokenFacts { principal: who.clone(), issued_at: Some(at(seconds)), ..facts() };
        revocations.contains(&[0; 32], &facts, Duration::from_secs(30))
    };
    assert!(issued(-1) && issued(0) && issued(20) && issued(30));
    assert!(!issued(31), "a new sign-in counts again");
}

fn facts() -> TokenFacts {
    TokenFacts {
        source: Name::new("corp"),
        principal: Principal { issuer: Issuer::new("https://login.example"), subject: "u".into() },
        client_id: None,
        audiences: Vec::new(),
        scopes: Vec::new(),
        groups: Vec::new(),
        groups_claim: ClaimForm::Stated,
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        issued_at: None,
        expires_at: Timestamp::MAX,
        id: None,
        confirmation: None,
        claims: Claims::parse(b"{}").unwrap(),
        recorded: Rendered::default(),
    }
}
