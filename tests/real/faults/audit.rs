//! The audit log that cannot be written, is moved, or whose process is killed.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use super::house;
use crate::support::{Wire, records_in, until};

#[test]
fn a_kill_loses_at_most_a_second_of_records() {
    let Some(mut house) = house(|_| ()) else { return };
    let mut wire = Wire::open(&house.gate);
    let mut answered = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        let answer = wire.get("/api/orders");
        answered.push((Instant::now(), answer.header("x-request-id").unwrap().to_owned()));
        std::thread::sleep(Duration::from_millis(2));
    }
    house.gate.kill();
    let killed = Instant::now();
    let records = house.gate.records();
    let recorded: HashSet<&str> = records.iter().map(|record| record["id"].as_str().unwrap()).collect();
    let (old, young): (Vec<_>, Vec<_>) =
        answered.iter().partition(|(at, _)| killed.duration_since(*at) > Duration::from_secs(1));
    assert!(old.len() > 100, "too few requests to tell: {}", old.len());
    let lost = old.iter().filter(|(_, id)| !recorded.contains(id.as_str())).count();
    assert_eq!(lost, 0, "of {} older than a second; {} are younger", old.len(), young.len());
}

#[test]
fn what_cannot_be_recorded_is_not_forwarded() {
    let Some(house) = house(|plan| plan.audit = "[audit]\nfile = { path = \"/dev/full\" }\n".into()) else { return };
    let refused = until("the log fails", || Some(house.gate.get("/api/orders")).filter(|answer| answer.status != 200));
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &"audit-unavailable".into()));
    let forwarded = house.nginx.log().len();
    for _ in 0..5 {
        assert_eq!(house.gate.get("/api/orders").status, 503);
    }
    assert_eq!(house.nginx.log().len(), forwarded);
    let unready = house.gate.probe("/readyz");
    assert!(unready.status == 503 && unready.text().contains("the audit log cannot be written"));
    assert!(house.gate.probe("/metrics").text().contains("\nportcullis_audit_writable 0\n"));
}

#[test]
fn with_count_it_is_forwarded_and_counted() {
    let audit = "[audit]\nfile = { path = \"/dev/full\" }\non_failure = \"count\"\n";
    let Some(house) = house(|plan| plan.audit = audit.into()) else { return };
    until("records are lost", || {
        assert_eq!(house.gate.get("/api/orders").status, 200);
        let metrics = house.gate.probe("/metrics");
        let lost = metrics.text().lines().find_map(|line| line.strip_prefix("portcullis_audit_records_lost_total "));
        (lost.unwrap().parse::<u64>().unwrap() > 0).then_some(())
    });
}

#[test]
fn a_renamed_log_goes_on_under_its_own_name_and_no_record_is_missing() {
    let Some(mut house) = house(|_| ()) else { return };
    let mut ids = vec![house.gate.get("/api/orders")];
    for (round, told) in [("1", false), ("2", true)] {
        let (file, old) = (house.gate.file("decisions.jsonl"), house.gate.file(&format!("decisions.{round}")));
        fs::rename(&file, &old).unwrap();
        if told {
            house.gate.running().signal(rustix::process::Signal::USR1);
        }
        until("a new file", || file.exists().then_some(()));
        ids.push(house.gate.get("/api/orders"));
        house.gate.record_of(ids.last().unwrap());
    }
    let files = ["decisions.1", "decisions.2", "decisions.jsonl"].map(|name| records_in(&house.gate.file(name)));
    assert_eq!(files.each_ref().map(Vec::len), [1, 1, 1]);
    let recorded: Vec<_> = files.iter().flatten().map(|record| record["id"].as_str().unwrap()).collect();
    let sent: Vec<_> = ids.iter().map(|answer| answer.header("x-request-id").unwrap()).collect();
    assert_eq!(recorded, sent);
}
