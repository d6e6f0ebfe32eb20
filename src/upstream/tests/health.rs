//! Active health checks: who is asked what, who is out of service for which answers, and who comes back.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::harness::{Gate, Seen, Who, endpoint, service, settings};
use crate::upstream::settings::{AllUnwell, HealthCheck, Protocol, Settings};
use crate::upstream::{Caretaker, EndpointStatus, Upstreams};

fn check() -> HealthCheck {
    HealthCheck {
        path: "/healthz?deep=1".into(),
        host: None,
        interval: Duration::from_millis(10),
        timeout: Duration::from_secs(3_600),
        rise: 2,
        fall: 2,
        statuses: (200, 299),
        when_all_unwell: AllUnwell::Refuse,
    }
}

fn checked(address: SocketAddr) -> Settings {
    Settings { health: Some(check()), ..settings(address) }
}

/// Answers its health check with `health`, and everything else with its name.
async fn named(name: &'static str, health: Rc<Cell<u16>>) -> SocketAddr {
    service(move |_, mut peer| {
        let health = health.clone();
        async move {
            loop {
                let head = peer.head().await;
                if head.is_empty() {
                    return;
                }
                if head.starts_with("GET /healthz") {
                    peer.send(format!("HTTP/1.1 {} X\r\nContent-Length: 0\r\n\r\n", health.get())).await;
                } else {
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())).await;
                }
            }
        }
    })
    .await
}

/// Waits until an endpoint is as it should be.
async fn until(upstreams: &Upstreams, index: usize, fits: impl Fn(&EndpointStatus) -> bool) -> EndpointStatus {
    for _ in 0..1_000 {
        let status = upstreams.status().swap_remove(index);
        if fits(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it stays {:?}", upstreams.status());
}

async fn outcome_at(settings: Settings) -> &'static str {
    let upstreams = Upstreams::new(vec![settings], None);
    let mut caretaker = Caretaker::default();
    caretaker.follow(&upstreams);
    until(&upstreams, 0, |status| status.last_check.is_some()).await.last_check.unwrap()
}

#[tokio::test(flavor = "local")]
async fn an_endpoint_that_fails_its_checks_is_not_chosen_until_it_passes_them_again() {
    let health = Rc::new(Cell::new(200));
    let mut settings = checked(named("shaky", health.clone()).await);
    settings.endpoints.push(endpoint(named("steady", Rc::new(Cell::new(204))).await));
    let gate = Gate::open(vec![settings], Who::default()).await;
    let upstreams = gate.upstreams.borrow().clone();
    let mut caretaker = Caretaker::default();
    caretaker.follow(&upstreams);
    until(&upstreams, 0, |status| status.checks.0 > 2 && status.well).await;

    health.set(503);
    let status = until(&upstreams, 0, |status| !status.well).await;
    assert!(status.checks.1 >= 2 && status.last_check == Some("status"), "{status:?}");
    for _ in 0..4 {
        assert!(gate.get("").await.ends_with("steady"));
    }

    health.set(200);
    until(&upstreams, 0, |status| status.well).await;
    let answers = [gate.get("").await, gate.get("").await];
    assert!(answers.iter().any(|answer| answer.ends_with("shaky")), "{answers:?}");
}

#[tokio::test(flavor = "local")]
async fn when_none_is_well_requests_are_refused_or_tried_as_stated() {
    for (stated, outcome) in [(AllUnwell::Refuse, "NoneInService"), (AllUnwell::Try, "Answered(200)")] {
        for endpoints in [1, 2] {
            let health = Rc::new(Cell::new(500));
            let mut settings = checked(named("one", health.clone()).await);
            settings.endpoints.push(endpoint(named("two", health).await));
            settings.endpoints.truncate(endpoints);
            settings.health = Some(HealthCheck { when_all_unwell: stated, ..check() });
            let mut gate = Gate::open(vec![settings], Who::default()).await;
            let upstreams = gate.upstreams.borrow().clone();
            let mut caretaker = Caretaker::default();
            caretaker.follow(&upstreams);
            for index in 0..endpoints {
                until(&upstreams, index, |status| !status.well).await;
            }
            gate.get("").await;
            let seen = gate.seen().await;
            assert!(format!("{seen:?}").contains(outcome), "{stated:?} {endpoints}: {seen:?}");
        }
    }
}

#[tokio::test(flavor = "local")]
async fn the_question_names_the_gateway_and_nobody_else() {
    for (host, expected) in [(None, None), (Some("app.example"), Some("app.example"))] {
        let (told, mut heads) = mpsc::unbounded_channel();
        let address = service(move |_, mut peer| {
            let told = told.clone();
            async move {
                let _ = told.send(peer.head().await);
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                // A question has a connection of its own.
                assert!(peer.head().await.is_empty());
            }
        })
        .await;
        let mut settings = checked(address);
        settings.health = Some(HealthCheck { host: host.map(Into::into), ..check() });
        let upstreams = Upstreams::new(vec![settings], None);
        let mut caretaker = Caretaker::default();
        caretaker.follow(&upstreams);
        let host = expected.map_or_else(|| address.to_string(), str::to_owned);
        let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"), " (health check)");
        let whole = format!("GET /healthz?deep=1 HTTP/1.1\r\nuser-agent: {agent}\r\nhost: {host}\r\n\r\n");
        assert_eq!(heads.recv().await.unwrap(), whole);
    }
}

#[tokio::test(flavor = "local")]
async fn every_way_to_fail_has_its_word() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(outcome_at(checked(nobody)).await, "unreachable");

    let answers = |answer: &'static str| {
        service(move |_, mut peer| async move {
            peer.head().await;
            peer.send(answer).await;
        })
    };
    for (answer, expected) in [
        ("HTTP/1.1 299 OK\r\nContent-Length: 9\r\n\r\n", "passed"),
        ("HTTP/1.1 300 Multiple Choices\r\n\r\n", "status"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "status"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "broken"),
        ("", "broken"),
    ] {
        assert_eq!(outcome_at(checked(answers(answer).await)).await, expected, "{answer}");
    }

    let silent = service(|_, mut peer| async move { while peer.more().await {} }).await;
    let mut impatient = checked(silent);
    impatient.health = Some(HealthCheck { timeout: Duration::from_millis(20), ..check() });
    assert_eq!(outcome_at(impatient).await, "timeout");

    let no_tls = service(|_, mut peer| async move { peer.send("220 mail.example ESMTP\r\n").await }).await;
    let mut encrypted = checked(no_tls);
    encrypted.endpoints[0].encrypted = true;
    encrypted.tls = super::tls::trusting(&super::tls::authority(), None);
    assert_eq!(outcome_at(encrypted).await, "tls");
}

#[tokio::test(flavor = "local")]
async fn a_service_that_speaks_http2_is_asked_in_http2() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = checked(address.local_addr().unwrap());
    settings.protocol = Protocol::Http2;
    let (told, mut asked) = mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = address.accept().await {
            let told = told.clone();
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let _ = told.send(request.uri().to_string());
                async {
                    Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
                }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::task::spawn_local(async move {
                let _ =
                    hyper::server::conn::http2::Builder::new(super::harness::Local).serve_connection(io, service).await;
            });
        }
    });
    let uri = format!("{}/healthz?deep=1", settings.endpoints[0].url);
    assert_eq!(outcome_at(settings).await, "passed");
    assert_eq!(asked.recv().await.unwrap(), uri);
}

#[tokio::test(flavor = "local")]
async fn a_reload_remembers_who_is_unwell_and_forgets_whoever_is_no_longer_asked() {
    let settings = checked(named("bad", Rc::new(Cell::new(500))).await);
    let upstreams = Upstreams::new(vec![settings.clone()], None);
    let mut caretaker = Caretaker::default();
    caretaker.follow(&upstreams);
    until(&upstreams, 0, |status| !status.well).await;

    let changed = Settings { retries: 0, ..settings.clone() };
    assert!(!Upstreams::new(vec![changed], Some(&upstreams)).status()[0].well);
    let unchecked = Settings { health: None, ..settings };
    assert!(Upstreams::new(vec![unchecked], Some(&upstreams)).status()[0].well);
}

#[tokio::test(flavor = "local")]
async fn nobody_is_asked_any_more_who_has_left_the_configuration() {
    let upstreams = Upstreams::new(vec![checked(named("app", Rc::new(Cell::new(200))).await)], None);
    let mut caretaker = Caretaker::default();
    caretaker.follow(&upstreams);
    until(&upstreams, 0, |status| status.last_check.is_some()).await;
    let endpoint = Arc::downgrade(&upstreams.all().next().unwrap().endpoints[0]);
    drop(upstreams);
    assert!(endpoint.upgrade().is_some(), "its task holds it");
    caretaker.follow(&Upstreams::new(Vec::new(), None));
    for _ in 0..1_000 {
        if endpoint.upgrade().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it is still looked after");
}

#[tokio::test(flavor = "local")]
async fn without_a_check_an_endpoint_is_well() {
    let mut gate = Gate::open(vec![settings(named("app", Rc::default()).await)], Who::default()).await;
    let mut caretaker = Caretaker::default();
    caretaker.follow(&gate.upstreams.borrow());
    gate.get("").await;
    assert!(matches!(gate.seen().await, Seen::Answered(200)));
    let status = gate.upstreams.borrow().status().swap_remove(0);
    assert_eq!((status.well, status.last_check, status.checks), (true, None, (0, 0)));
}
