use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, advance};

use super::{LEAST, Lease, Terms};
use crate::identity::{PeerCheck, PeerRefusal, Reason};

fn lease_of(seconds: i64) -> std::rc::Rc<Lease> {
    let now = Timestamp::now();
    Lease::until(now.checked_add(SignedDuration::from_secs(seconds)).ok(), now)
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_lease_ends_at_the_expiry_of_its_grant() {
    let lease = lease_of(60);
    advance(Duration::from_secs(59)).await;
    assert_eq!(lease.ended(Instant::now()), None);
    assert_eq!(lease.over().await, Reason::TokenExpired);
    assert_eq!(lease.ended(Instant::now()), Some(Reason::TokenExpired));
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_ordinary_request_is_answered_whole_at_the_very_end_of_a_grant() {
    for seconds in [-30, 0, 1] {
        let lease = lease_of(seconds);
        advance(LEAST.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(lease.ended(Instant::now()), None);
        advance(Duration::from_millis(2)).await;
        assert!(lease.ended(Instant::now()).is_some());
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_grant_without_expiry_lasts_until_it_is_taken_away() {
    let lease = Lease::until(None, Timestamp::now());
    advance(Duration::from_secs(1_000_000)).await;
    assert_eq!(lease.ended(Instant::now()), None);
    let (reason, ()) = tokio::join!(lease.over(), async { lease.end_for(Reason::TokenRevoked) });
    assert_eq!(reason, Reason::TokenRevoked);
    lease.end_for(Reason::TokenExpired);
    assert_eq!(lease.ended(Instant::now()), Some(Reason::TokenRevoked));
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_lease_ends_when_the_certificate_no_longer_counts_and_not_before() {
    let now = Timestamp::now();
    let gone = now.checked_add(SignedDuration::from_secs(5)).unwrap();
    let check = PeerCheck::new(move |at| if at < gone { Ok(()) } else { Err(PeerRefusal::Revoked) });
    let lease = Lease::new(Terms::Fixed, Some(check), None, (now, Instant::now()));
    lease.review_peer(now);
    assert_eq!(lease.ended(Instant::now()), None);
    lease.review_peer(gone);
    assert_eq!(lease.ended(Instant::now()), Some(Reason::CertificateRefused), "however young it is");
}
