use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::{AuditHandle, AuditSettings, ConnectionRecord, OnFailure, Recorder, Sink, SinkSettings, Trail, start};
use crate::identity::{Name, PeerCertificate, PeerRefusal, Reason};
use crate::request::{Arrival, Connection, ConnectionId, Derived, HttpVersion};
use crate::telemetry::Meters;

fn audit_to(path: &Path, on_failure: OnFailure, capacity: u64) -> AuditHandle {
    start(AuditSettings { sink: SinkSettings::File(path.into()), on_failure, capacity }).unwrap()
}

fn connection() -> Arc<Connection> {
    let address = SocketAddr::from(([127, 0, 0, 1], 4000));
    Arc::new(Connection {
        id: ConnectionId(7),
        listener: Name::new("edge"),
        client: address,
        local: address,
        tls: None,
        peer: PeerCertificate::Absent,
        http: HttpVersion::Http1,
        derived: Derived::default(),
    })
}

fn trail(recorder: &Rc<Recorder>, target: &str) -> Trail {
    let request = Request::get(target).header("host", "a.example").body(()).unwrap();
    Trail::begin(recorder, Arrival::of(&request, Timestamp::UNIX_EPOCH), connection())
}

fn records(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_way_to_end_leaves_exactly_one_record_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(&path, OnFailure::Deny, 1000);
    let draining = Rc::new(Cell::new(false));
    let told = draining.clone();
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, move || told.get());

    let mut allowed = trail(&recorder, "/allowed?access_token=canary");
    assert!(allowed.reserve());
    allowed.status(StatusCode::OK);
    allowed.complete();

    let mut refused = trail(&recorder, "/refused");
    refused.ended(Reason::NoRuleAllows, Some("nearest".into()));
    refused.complete();

    let mut cut = trail(&recorder, "/cut");
    assert!(cut.reserve());
    drop(cut);

    let panicking = trail(&recorder, "/panic");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = panicking;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(caught.is_err());

    draining.set(true);
    drop(trail(&recorder, "/drained"));

    audit.finish();
    let seen: Vec<_> = records(&path)
        .iter()
        .map(|record| (record["path"].as_str().unwrap().to_owned(), record["reason"].as_str().map(str::to_owned)))
        .collect();
    let expected = [
        ("/allowed", None),
        ("/refused", Some("no-rule-allows")),
        ("/cut", Some("client-gone")),
        ("/panic", Some("internal-error")),
        ("/drained", Some("drained")),
    ];
    assert_eq!(seen, expected.map(|(path, reason)| (path.to_owned(), reason.map(str::to_owned))));
    assert!(!fs::read_to_string(&path).unwrap().contains("canary"), "the query is not recorded");
    assert_eq!(recorder.meters().in_flight.value(), 0);
}

#[test]
fn the_first_reason_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(&path, OnFailure::Deny, 10);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    let mut refused = trail(&recorder, "/");
    refused.ended(Reason::NoRuleAllows, Some("nearest".into()));
    refused.ended(Reason::InternalError, Some("later".into()));
    // It is cut as well, which is a reason, too.
    drop(refused);
    audit.finish();
    let record = &records(&path)[0];
    assert_eq!((&record["reason"], &record["detail"]), (&json!("no-rule-allows"), &json!("nearest")));
    assert_eq!(recorder.meters().refused(Reason::NoRuleAllows).value(), 1);
}

/// Whoever opens connections and asks nothing fills no disk.
#[test]
fn beyond_a_hundred_in_a_second_connections_are_only_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(&path, OnFailure::Deny, 10_000);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    let (listener, client) = (Name::new("edge"), SocketAddr::from(([127, 0, 0, 1], 4000)));
    for second in [0, 1] {
        for _ in 0..250 {
            recorder.connection(&ConnectionRecord {
                kind: "connection",
                time: Timestamp::from_second(second).unwrap(),
                connection: "c-1",
                listener: &listener,
                client,
                failure: "handshake",
                detail: None,
            });
        }
    }
    audit.finish();
    assert_eq!(recorder.meters().connections.failed.value(), 500);
    let of = |start: &str| records(&path).iter().filter(|it| it["time"].as_str().unwrap().starts_with(start)).count();
    assert_eq!((of("1970-01-01T00:00:00"), of("1970-01-01T00:00:01")), (100, 100));
}

#[test]
fn a_sink_that_fails_refuses_admitted_requests_or_counts_them() {
    for (on_failure, admitted) in [(OnFailure::Deny, false), (OnFailure::Count, true)] {
        let audit = audit_to(Path::new("/dev/full"), on_failure, 1000);
        let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
        let mut first = trail(&recorder, "/first");
        assert!(first.reserve());
        first.complete();
        audit.finish();
        assert!(audit.failed(), "the device has no room");
        let mut second = trail(&recorder, "/second");
        assert_eq!(second.reserve(), admitted);
        second.complete();
        assert_eq!(audit.health().lost, u64::from(admitted));
    }
}

#[test]
fn a_flood_of_refusals_takes_no_place_from_admitted_requests() {
    // The writer cannot write, so nothing is ever settled.
    let audit = audit_to(Path::new("/dev/full"), OnFailure::Count, 10);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    for _ in 0..100 {
        let mut refused = trail(&recorder, "/flood");
        refused.ended(Reason::RouteUnknown, None);
        refused.complete();
    }
    assert_eq!(audit.health().lost, 90, "the share of refusals is full");
    assert_eq!(recorder.meters().refused(Reason::RouteUnknown).value(), 100, "each is counted by its reason");
}

#[test]
fn places_run_out_when_nothing_is_written_and_come_back_when_unused() {
    let directory = tempfile::tempdir().unwrap();
    let audit = audit_to(&directory.path().join("audit.jsonl"), OnFailure::Deny, 2);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    let (first, second) = (recorder.reserve(), recorder.reserve());
    assert!(first.is_some() && second.is_some());
    assert!(recorder.reserve().is_none());
    drop(first);
    assert!(recorder.reserve().is_some());
    drop(second);
    audit.finish();
}

#[test]
fn a_renamed_file_is_opened_anew_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(&path, OnFailure::Deny, 10);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    fs::rename(&path, directory.path().join("audit.1")).unwrap();
    audit.reopen();
    trail(&recorder, "/after").complete();
    audit.finish();
    assert_eq!(records(&path).len(), 1);
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
}

#[test]
fn nobody_makes_a_record_long() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(&path, OnFailure::Deny, 10);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    let long = "x".repeat(60_000);
    let host = http::HeaderValue::from_bytes(&[0xff; 60_000]).unwrap();
    let request = Request::builder().method(long.as_str()).uri(format!("/{long}")).header("host", host);
    let arrival = Arrival::of(&request.body(()).unwrap(), Timestamp::UNIX_EPOCH);
    let mut trail = Trail::begin(&recorder, arrival, connection());
    trail.ended(Reason::HostInvalid, Some(long));
    trail.complete();
    audit.finish();
    assert_eq!(records(&path).len(), 1);
    assert!(fs::metadata(&path).unwrap().len() < 16 * 1024);
}

#[test]
fn records_go_elsewhere_and_each_is_in_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a.jsonl", "b.jsonl"].map(|name| directory.path().join(name));
    let audit = audit_to(&paths[0], OnFailure::Deny, 1_000_000);
    let recording = {
        let audit = audit.clone();
        std::thread::spawn(move || {
            let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
            for number in 0..20_000 {
                let mut allowed = trail(&recorder, &format!("/{number}"));
                assert!(allowed.reserve());
                allowed.status(StatusCode::OK);
                allowed.complete();
            }
        })
    };
    let mut turns = 0;
    while !recording.is_finished() || turns < 2 {
        turns += 1;
        let settings = AuditSettings { sink: SinkSettings::File(paths[turns % 2].clone()), ..AuditSettings::default() };
        audit.follow(&settings, Some(Sink::open(&settings.sink).unwrap()));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    recording.join().unwrap();
    audit.finish();
    let seen: Vec<_> = paths.iter().flat_map(|path| records(path)).collect();
    let mut numbers: Vec<u32> =
        seen.iter().map(|record| record["path"].as_str().unwrap().trim_start_matches('/').parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..20_000));
    assert!(paths.iter().all(|path| !records(path).is_empty()));
}

#[test]
fn what_a_full_disk_did_not_take_is_written_where_records_go_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(Path::new("/dev/full"), OnFailure::Deny, 1_000);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    let allow = |target: &str| {
        let mut allowed = trail(&recorder, target);
        let reserved = allowed.reserve();
        if reserved {
            allowed.status(StatusCode::OK);
            allowed.complete();
        }
        reserved
    };
    assert!(allow("/first"));
    while !audit.failed() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(!allow("/refused"));
    let counts = AuditSettings { on_failure: OnFailure::Count, ..AuditSettings::clone(&audit.settings()) };
    audit.follow(&counts, None);
    assert!(allow("/counted"), "the policy on failure holds at once");
    let settings = AuditSettings { sink: SinkSettings::File(path.clone()), capacity: 1, ..AuditSettings::default() };
    audit.follow(&settings, Some(Sink::open(&settings.sink).unwrap()));
    while audit.failed() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(allow("/last"));
    assert!(!allow("/too-many"), "the capacity, too");
    audit.finish();
    let seen: Vec<_> = records(&path).iter().map(|record| record["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen.iter().filter(|path| *path != "/refused").collect::<Vec<_>>(), ["/first", "/last"]);
}

#[test]
fn a_connection_whose_certificate_counts_no_more_is_recorded_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = audit_to(&path, OnFailure::Deny, 10);
    let recorder = Recorder::join(&audit, Arc::new(Meters::default()), 1, || false);
    let known = connection();
    let arrive = |connection: &Arc<Connection>| {
        let request = Request::get("/").body(()).unwrap();
        Trail::begin(&recorder, Arrival::of(&request, Timestamp::UNIX_EPOCH), connection.clone()).complete();
    };
    arrive(&known);
    arrive(&known);
    // As the listener does when a certificate expires under its connection.
    let mut changed = Connection::clone(&known);
    changed.peer = PeerCertificate::Refused(PeerRefusal::Expired);
    arrive(&Arc::new(changed));
    audit.finish();
    let peers: Vec<_> = records(&path).into_iter().map(|record| record["peer"].clone()).collect();
    assert_eq!(peers, [json!("absent"), json!("absent"), json!({"refused": "expired"})]);
}
