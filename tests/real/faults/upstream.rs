//! A service behind that is down, slow or breaks off, and a client that goes away.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};

use crate::support::{Gate, Plan, Scripted, Wire, free_port, reply, until};

/// A service that holds every request until it is released.
pub(super) struct Held {
    pub(super) service: Scripted,
    arrived: Receiver<String>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Held {
    pub(super) fn start() -> Self {
        let (sender, arrived) = channel();
        let gate: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let waiting = gate.clone();
        let service = Scripted::start(move |target, socket| {
            drop(sender.send(target.to_owned()));
            drop(waiting.1.wait_while(waiting.0.lock().unwrap(), |released| !*released).unwrap());
            reply(socket, "200 OK", "", b"at last")
        });
        Self { service, arrived, gate }
    }

    /// Waits until a request is here.
    pub(super) fn arrival(&self) -> String {
        self.arrived.recv_timeout(std::time::Duration::from_secs(30)).unwrap()
    }

    pub(super) fn release(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }
}

fn misbehave(target: &str, socket: &mut TcpStream) -> bool {
    match target {
        "/slow" => {
            std::thread::sleep(std::time::Duration::from_secs(5));
            false
        }
        "/garbage" => socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").is_err(),
        "/half" => socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this").is_err(),
        "/chunk" => socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nonly this").is_err(),
        "/stalls" => {
            drop(socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"));
            std::thread::sleep(std::time::Duration::from_secs(5));
            false
        }
        "/closes" => false,
        _ => reply(socket, "200 OK", "", b"well"),
    }
}

#[test]
fn a_service_that_fails_is_told_apart_from_one_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let service = Scripted::start(misbehave);
    let mut plan = Plan::open(&service.address.to_string());
    plan.upstreams += "timeouts = { header = \"500ms\", idle = \"500ms\" }\noutlier = { failures = 0 }\n";
    let gate = Gate::start(folder.path(), &plan);
    for (path, status, reason) in [
        ("/slow", 504, "upstream-timeout"),
        ("/garbage", 502, "upstream-protocol"),
        ("/closes", 502, "upstream-closed"),
    ] {
        let answer = gate.get(path);
        assert_eq!((answer.status, &answer.json()["reason"]), (status, &reason.into()), "{path}");
        let record = gate.record_of(&answer);
        assert_eq!((&record["decision"], &record["status"]), (&"allow".into(), &status.into()), "{record}");
        assert!(!answer.text().contains(&service.address.to_string()), "the client learns no address");
    }
    for (path, reason) in [("/half", "upstream-closed"), ("/chunk", "upstream-closed"), ("/stalls", "upstream-timeout")]
    {
        for version in ["--http1.1", "--http2"] {
            let broken = gate.curl().with(&[version]).get(&format!("{}{path}", gate.url)).unwrap_err();
            let expected = if version == "--http2" { ["92:", "56:"] } else { ["18:", "56:"] };
            assert!(expected.iter().any(|code| broken.starts_with(code)), "{path} {version}: {broken}");
        }
        until(&format!("two records of {path}"), || {
            let whole = |record: &&serde_json::Value| {
                record["path"] == path
                    && record["status"] == 200
                    && record["reason"] == reason
                    && record["bytes_out"] == 9
            };
            (gate.records().iter().filter(whole).count() == 2).then_some(())
        });
    }
    assert_eq!(gate.get("/well").text(), "well");
}

#[test]
fn a_service_that_is_not_there_is_a_502() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::start(folder.path(), &Plan::open(&format!("127.0.0.1:{}", free_port())));
    let answer = gate.get("/it");
    assert_eq!((answer.status, &answer.json()["reason"]), (502, &"upstream-unreachable".into()));
    assert_eq!(gate.record_of(&answer)["reason"], "upstream-unreachable");
}

#[test]
fn a_client_that_goes_away_is_recorded_as_gone() {
    let folder = tempfile::tempdir().unwrap();
    let held = Held::start();
    let gate = Gate::start(folder.path(), &Plan::open(&held.service.address.to_string()));
    let mut wire = Wire::open(&gate);
    wire.send("/waits");
    assert_eq!(held.arrival(), "/waits");
    drop(wire);
    let record = gate.record("of the request that nobody waits for", |record| record["path"] == "/waits");
    assert_eq!((&record["reason"], &record["decision"]), (&"client-gone".into(), &"allow".into()), "{record}");
    assert!(record["status"].is_null(), "nothing was sent: {record}");

    let mut wire = Wire::open(&gate);
    wire.send_raw("PUT /half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nonly this");
    assert_eq!(held.arrival(), "/half");
    drop(wire);
    let record = gate.record("of the half request", |record| record["path"] == "/half");
    assert_eq!((&record["reason"], &record["bytes_in"]), (&"client-gone".into(), &9.into()), "{record}");
    held.release();
    assert_eq!(gate.get("/whole").text(), "at last");
}
