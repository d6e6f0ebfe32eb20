//! Who gets the next request: turns, shares, subjects, ejections, and names that move.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::harness::{Gate, Seen, Who, echo, endpoint, service, settings};
use crate::upstream::Upstreams;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::settings::{Address, Balance, Outlier, Settings};
use crate::upstream::upstreams::Upstream;

fn address(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 80).into()
}

/// An upstream of endpoints with these weights.
fn upstream(balance: Balance, weights: &[u32]) -> Arc<Upstream> {
    let endpoints = weights.iter().zip(1..).map(|(weight, number)| {
        let mut endpoint = endpoint(address(number));
        endpoint.weight = *weight;
        endpoint
    });
    let settings = Settings { balance, endpoints: endpoints.collect(), ..settings(address(0)) };
    made(settings)
}

fn made(settings: Settings) -> Arc<Upstream> {
    Upstreams::new(vec![settings], None).all().next().unwrap().clone()
}

/// How many of `subjects` each endpoint gets, by its URL.
fn shares(upstream: &Upstream, subjects: std::ops::Range<u32>) -> HashMap<Arc<str>, usize> {
    let mut shares = HashMap::new();
    for subject in subjects {
        *shares.entry(upstream.pick(subject, &[]).unwrap().url()).or_default() += 1;
    }
    shares
}

fn of(upstream: &Upstream, subject: u32) -> &Arc<Endpoint> {
    upstream.pick(subject, &[]).unwrap()
}

#[test]
fn turns_follow_the_weights_exactly() {
    let upstream = upstream(Balance::RoundRobin, &[1, 3]);
    let shares = shares(&upstream, 0..8);
    assert_eq!((shares["http://10.0.0.1:80"], shares["http://10.0.0.2:80"]), (2, 6));
}

#[test]
fn the_least_busy_for_its_weight_is_next() {
    let upstream = upstream(Balance::LeastRequests, &[1, 1, 4]);
    let [one, two, heavy] = &*upstream.endpoints else { panic!() };
    let _open: Vec<_> = [one, two, heavy, heavy, heavy].map(Endpoint::count).into();
    // 2 of 1, 2 of 1, 4 of 4.
    assert_eq!(of(&upstream, 0).id, heavy.id);
    let _more: Vec<_> = (0..6).map(|_| heavy.count()).collect();
    assert_ne!(of(&upstream, 0).id, heavy.id);
    let _other = one.count();
    assert_eq!(of(&upstream, 0).id, two.id);
}

#[test]
fn a_subject_stays_with_its_endpoint_and_shares_follow_the_weights() {
    let canary = upstream(Balance::Subject, &[95, 5]);
    let shares = shares(&canary, 0..20_000);
    let share = shares["http://10.0.0.2:80"];
    assert!((800..1_200).contains(&share), "5 % of 20,000 are about 1,000, not {share}");
    for subject in 0..100 {
        assert_eq!(of(&canary, subject).id, of(&canary, subject).id);
    }
}

/// A canary grows: nobody who has it loses it, and nobody else is moved about.
#[test]
fn a_share_that_grows_moves_nobody_back_and_forth() {
    let small = upstream(Balance::Subject, &[95, 5]);
    let large = upstream(Balance::Subject, &[80, 20]);
    let mut moved = 0;
    for subject in 0..5_000 {
        let (before, after) = (of(&small, subject).url(), of(&large, subject).url());
        if before != after {
            assert_eq!(&*after, "http://10.0.0.2:80");
            moved += 1;
        }
    }
    assert!((500..1_000).contains(&moved), "15 % of 5,000 are about 750, not {moved}");
}

#[test]
fn an_endpoint_that_leaves_moves_its_own_subjects_alone() {
    let upstream = upstream(Balance::Subject, &[1, 1, 1, 1]);
    let before: Vec<_> = (0..2_000).map(|subject| of(&upstream, subject).id).collect();
    let gone = &upstream.endpoints[2];
    gone.set_well(false);
    let mut orphans = 0;
    for (subject, before) in (0..).zip(&before) {
        let now = of(&upstream, subject).id;
        if *before == gone.id {
            assert_ne!(now, gone.id);
            orphans += 1;
        } else {
            assert_eq!(now, *before);
        }
    }
    assert!(orphans > 0);
    gone.set_well(true);
    assert!((0..).zip(&before).all(|(subject, before)| of(&upstream, subject).id == *before));
}

#[test]
fn the_order_in_the_file_moves_nobody() {
    let forwards = upstream(Balance::Subject, &[1, 1, 1]);
    let mut settings = forwards.settings.clone();
    settings.endpoints.reverse();
    let backwards = made(settings);
    assert!((0..1_000).all(|subject| of(&forwards, subject).url() == of(&backwards, subject).url()));
}

#[test]
fn an_ejection_is_overlooked_when_nobody_else_is_left() {
    let mut settings = upstream(Balance::RoundRobin, &[1, 1]).settings.clone();
    settings.outlier = Outlier { failures: 1, eject: Duration::from_secs(3_600), most_percent: 100 };
    let upstream = made(settings);
    let [one, two] = &*upstream.endpoints else { panic!() };
    upstream.failed(one);
    assert!(one.is_ejected());
    assert!((0..4).all(|_| of(&upstream, 0).id == two.id));
    two.set_well(false);
    assert!((0..4).all(|_| of(&upstream, 0).id == one.id), "it may be better than nothing");
    one.set_well(false);
    assert!(upstream.pick(0, &[]).is_none());
}

#[test]
fn no_more_endpoints_are_ejected_than_stated() {
    let mut settings = upstream(Balance::RoundRobin, &[1; 10]).settings.clone();
    settings.outlier = Outlier { failures: 1, eject: Duration::from_secs(3_600), most_percent: 30 };
    let upstream = made(settings);
    for endpoint in &upstream.endpoints {
        upstream.failed(endpoint);
    }
    assert_eq!(upstream.endpoints.iter().filter(|endpoint| endpoint.is_ejected()).count(), 3);
    assert_eq!(upstream.endpoints.iter().map(|endpoint| endpoint.ejections()).sum::<u64>(), 3);
}

#[test]
fn an_answer_in_between_clears_the_count_of_failures() {
    let mut settings = upstream(Balance::RoundRobin, &[1, 1]).settings.clone();
    settings.outlier = Outlier { failures: 2, eject: Duration::from_secs(3_600), most_percent: 100 };
    let upstream = made(settings);
    let one = &upstream.endpoints[0];
    upstream.failed(one);
    one.succeeded();
    upstream.failed(one);
    assert!(!one.is_ejected());
    upstream.failed(one);
    assert!(one.is_ejected());
}

#[tokio::test(flavor = "local")]
async fn answers_that_speak_of_failure_eject_and_others_do_not() {
    for (status, ejects) in [(500, false), (501, false), (502, true), (503, true), (504, true), (404, false)] {
        let address = service(move |_, mut peer| async move {
            while !peer.head().await.is_empty() {
                peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
            }
        })
        .await;
        let mut settings = settings(address);
        settings.endpoints.push(endpoint(echo().await));
        settings.outlier = Outlier { failures: 3, eject: Duration::from_secs(3_600), most_percent: 50 };
        let mut gate = Gate::open(vec![settings], Who::default()).await;
        let mut bad = 0;
        for _ in 0..20 {
            gate.get("").await;
            bad += usize::from(matches!(gate.seen().await, Seen::Answered(seen) if seen == status));
        }
        assert_eq!(bad, if ejects { 3 } else { 10 }, "{status}");
    }
}

#[tokio::test(flavor = "local")]
async fn an_endpoint_is_back_when_its_ejection_is_over() {
    let mut settings = settings(echo().await);
    settings.endpoints.push(endpoint(echo().await));
    settings.outlier = Outlier { failures: 1, eject: Duration::from_millis(20), most_percent: 50 };
    let upstream = made(settings);
    let one = &upstream.endpoints[0];
    upstream.failed(one);
    assert!(one.is_ejected());
    while one.is_ejected() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((0..4).any(|_| of(&upstream, 0).id == one.id));
}

fn named(address: SocketAddr, host: &str) -> Settings {
    let mut settings = settings(address);
    settings.endpoints[0].address = Address::Tcp { host: host.into(), port: address.port() };
    settings
}

#[tokio::test(flavor = "local")]
async fn a_kept_connection_is_left_when_the_name_has_moved() {
    let (before, after) = (
        echo().await,
        service(|_, mut peer| async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmoved").await;
        })
        .await,
    );
    let gate = Gate::open(vec![named(before, "app.example")], Who::default()).await;
    let upstreams = gate.upstreams.borrow().clone();
    let endpoint = upstreams.all().next().unwrap().endpoints[0].clone();
    endpoint.is_at(vec![before]);
    assert!(gate.get("").await.contains("connection 0"));
    assert!(gate.get("").await.contains("connection 0"));
    endpoint.is_at(vec![after]);
    assert!(gate.get("").await.ends_with("moved"));
}

#[tokio::test(flavor = "local")]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let somebody = echo().await;
    let gate = Gate::open(vec![named(somebody, "app.example")], Who::default()).await;
    let endpoint = gate.upstreams.borrow().all().next().unwrap().endpoints[0].clone();
    endpoint.is_at(vec![nobody, somebody]);
    assert!(gate.get("").await.contains("connection 0"));
}

#[tokio::test(flavor = "local")]
async fn a_name_that_cannot_be_looked_up_any_more_keeps_its_addresses() {
    // No resolver has to be asked to know that this is no name.
    let endpoint = made(named(address(1), "no name")).endpoints[0].clone();
    assert!(endpoint.addresses().await.is_err());
    endpoint.is_at(vec![address(1)]);
    assert!(endpoint.resolve().await.is_err());
    assert_eq!(endpoint.addresses().await.unwrap(), [address(1)]);
}
