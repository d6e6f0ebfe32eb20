//! The life of the process: a start that cannot be, reloads, the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Signal;

use super::house;
use super::upstream::Held;
use crate::support::{Gate, Plan, Wire, until};

#[test]
fn an_address_that_is_taken_is_named_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let gate = Gate::prepare(folder.path(), &Plan::open("127.0.0.1:9"));
    let text = fs::read_to_string(gate.file("portcullis.toml")).unwrap();
    for (part, named) in [("address = \"127.0.0.1:0\"", "listener `edge`"), ("probes  = \"127.0.0.1:0\"", "probes")] {
        let wanted = part.replace("127.0.0.1:0", &address.to_string());
        fs::write(gate.file("portcullis.toml"), text.replace(part, &wanted)).unwrap();
        let told = gate.fail_to_run();
        let error = String::from_utf8(told.stderr).unwrap();
        assert_eq!(told.status.code(), Some(1), "{error}");
        assert!(error.contains(named) && error.contains(&address.to_string()), "{error}");
        assert!(!gate.file("control.sock").exists() && !error.contains("panicked"), "{error}");
    }
}

#[test]
fn a_term_lets_what_is_open_come_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let held = Held::start();
    let mut gate = Gate::start(folder.path(), &Plan::open(&held.service.address.to_string()));
    let mut wire = Wire::open(&gate);
    wire.send("/waits");
    assert_eq!(held.arrival(), "/waits");
    gate.running().signal(Signal::TERM);
    gate.running().line_with("draining").unwrap();
    assert_eq!(gate.probe("/readyz").status, 503);
    held.release();
    let answer = wire.receive().unwrap();
    assert_eq!((answer.status, answer.text()), (200, "at last"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(gate.wait().code(), Some(0));
    let records = gate.records();
    assert_eq!((records.len(), &records[0]["reason"]), (1, &serde_json::Value::Null), "{records:?}");
    assert!(!gate.file("control.sock").exists());
}

#[test]
fn what_outlasts_the_drain_is_cut_and_recorded_as_drained() {
    let folder = tempfile::tempdir().unwrap();
    let held = Held::start();
    let mut plan = Plan::open(&held.service.address.to_string());
    plan.more = "[timeouts]\ndrain = \"500ms\"\n".into();
    let mut gate = Gate::start(folder.path(), &plan);
    let mut wire = Wire::open(&gate);
    wire.send("/waits");
    assert_eq!(held.arrival(), "/waits");
    gate.running().signal(Signal::TERM);
    assert_eq!(gate.wait().code(), Some(0));
    assert!(wire.receive().is_err());
    let record = gate.record("of the request", |record| record["kind"] == "request");
    assert_eq!((&record["reason"], &record["decision"]), (&"drained".into(), &"allow".into()), "{record}");
    gate.record("of the connection", |record| record["kind"] == "connection" && record["failure"] == "cut");
}

#[test]
fn a_reload_keeps_connections_and_an_invalid_one_keeps_the_configuration() {
    let Some(mut house) = house(|_| ()) else { return };
    let closed = |path: &str| Plan {
        policy: format!(
            "{}\n[[deny]]\nname = \"closed\"\nroutes = [\"open\"]\nrequest = {{ path = \"{path}\" }}\n",
            crate::support::OPEN
        ),
        ..Plan::open(&house.nginx.address)
    };
    let mut wire = Wire::open(&house.gate);
    assert_eq!(wire.get("/api/orders").status, 200);

    house.gate.write(&closed("/api/orders"));
    house.gate.running().signal(Signal::HUP);
    house.gate.running().line_with("\"cause\":\"SIGHUP\"").unwrap();
    assert_eq!((wire.get("/api/orders").status, wire.get("/api/other").status), (403, 200), "the same connection");

    house.gate.write(&closed("/api/other"));
    house.gate.running().line_with("\"cause\":\"changed files\"").unwrap();
    assert_eq!((wire.get("/api/orders").status, wire.get("/api/other").status), (200, 403));

    let file = house.gate.file("policies/routes.toml");
    let valid = fs::read_to_string(&file).unwrap();
    fs::write(&file, valid.replace("anonymous = true", "anonymos = true")).unwrap();
    house.gate.running().signal(Signal::HUP);
    let line = 1 + valid.lines().position(|line| line.contains("anonymous")).unwrap();
    let told = house.gate.running().line_with("\"cause\":\"SIGHUP\"").unwrap();
    for part in [&format!("routes.toml:{line}"), "anonymos", "did you mean `anonymous`", "\"level\":\"ERROR\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!((wire.get("/api/orders").status, wire.get("/api/other").status), (200, 403), "as it was");
    assert_eq!(house.gate.probe("/status").json()["last_reload"]["applied"], false);
    let told = house.gate.order("reload", &[]);
    assert!(!told.status.success() && String::from_utf8_lossy(&told.stderr).contains("anonymos"), "{told:?}");
}

#[test]
fn an_unprivileged_user_is_enough() {
    const NOBODY: u32 = 65_534;
    let Some(mut house) = house(|_| ()) else { return };
    house.gate.running().signal(Signal::TERM);
    house.gate.wait();
    let mut command = house.gate.command();
    if rustix::process::geteuid().is_root() {
        // A program and a directory that this user can reach.
        let program = house.folder.path().join("portcullis");
        fs::copy(env!("CARGO_BIN_EXE_portcullis"), &program).unwrap();
        fs::set_permissions(house.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(house.gate.file("decisions.jsonl")).unwrap();
        give_away(&house.gate.file(""), NOBODY);
        let mut lowered = Command::new(program);
        lowered.args(command.get_args()).uid(NOBODY).gid(NOBODY);
        command = lowered;
    }
    house.gate.run_by(command);
    let status = fs::read_to_string(format!("/proc/{}/status", house.gate.running().id())).unwrap();
    let fields = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace();
    assert!(fields("Uid:").all(|id| id != "0"));
    assert!(fields("CapEff:").all(|set| set.bytes().all(|digit| digit == b'0')));
    let answer = house.gate.get("/api/orders");
    assert_eq!(answer.status, 200);
    house.gate.record_of(&answer);
    for private in ["decisions.jsonl", "control.sock"] {
        let file = fs::metadata(house.gate.file(private)).unwrap();
        assert!(file.mode() & 0o777 == 0o600 && file.uid() != 0, "{private}");
    }
    until("it is ready", || (house.gate.probe("/readyz").status == 200).then_some(()));
}

fn give_away(place: &std::path::Path, user: u32) {
    chown(place, Some(user), Some(user)).unwrap();
    if place.is_dir() {
        place.read_dir().unwrap().for_each(|entry| give_away(&entry.unwrap().path(), user));
    }
}
