//! Machines that vanish in the middle of something: the cable is pulled, packets are lost, nobody is told. What they had
//! open ends by its deadline, the blame is theirs, and everybody else is served.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::crowd::open_connections;
use crate::support::{Caller, Elsewhere, Gate, Load, Plan, Scripted, Wire, network_of_our_own, reply, until};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long an answer is that takes its time.
const LONG: usize = 1 << 20;

/// Answers at once, or piece by piece until it may finish, or with more than anybody takes.
fn service(at: IpAddr, finish: Arc<AtomicBool>) -> Scripted {
    Scripted::at(at, move |target, socket| match target {
        "/long" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
            let mut sent = 0;
            let mut went = socket.write_all(head.as_bytes()).is_ok();
            while went && !finish.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(50));
                went = socket.write_all(b"piece").is_ok();
                sent += 5;
            }
            went && socket.write_all(&vec![b'.'; LONG - sent]).is_ok()
        }
        "/endless" => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let mut went = socket.write_all(head).is_ok();
            let chunk = [b"10000\r\n".to_vec(), vec![b'.'; 65_536], b"\r\n".to_vec()].concat();
            while went {
                went = socket.write_all(&chunk).is_ok();
            }
            false
        }
        // All of the body first.
        "/body" => {
            while socket.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            false
        }
        _ => reply(socket, "200 OK", "", b"well"),
    })
}

fn load(gate: &Gate) -> Load {
    Load::begin(Caller {
        port: gate.port,
        authority: gate.file("certs/ca.pem"),
        identity: gate.identity("device"),
        path: "/orders",
        per_second: 100,
    })
}

fn endpoint<'s>(status: &'s Value, address: &str) -> &'s Value {
    let endpoints = status["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["endpoint"].as_str().unwrap().contains(address)).unwrap()
}

#[test]
fn a_service_that_vanishes_in_the_middle_of_answers_is_left_out_and_comes_back() {
    if !network_of_our_own() {
        return;
    }
    let (there, finish, folder) = (Elsewhere::reach(), Arc::new(AtomicBool::new(false)), tempfile::tempdir().unwrap());
    let near = service(HOME, finish.clone());
    let far = there.be(|| service(Elsewhere::address(), Arc::default()));
    let mut plan = Plan::open("unused");
    plan.upstreams = format!(
        "[upstream.service]\nendpoints = [\"http://{}\", \"http://{}\"]\n\
         timeouts = {{ connect = \"300ms\", header = \"500ms\", idle = \"700ms\" }}\n\
         outlier = {{ failures = 3, eject = \"5s\", most_percent = 50 }}\n",
        near.address, far.address
    );
    let gate = Gate::start(folder.path(), &plan);
    let load = load(&gate);
    load.go_on_for(50);
    // In turn: half of them are with the service that will vanish.
    let mut answers: Vec<_> = (0..8).map(|_| Wire::open(&gate)).collect();
    answers.iter_mut().for_each(|wire| wire.send("/long"));
    until("all eight have begun", || {
        let active = |address: &str| endpoint(&gate.probe("/status").json(), address)["active"].as_u64().unwrap();
        (active(Elsewhere::THERE) >= 3 && active("127.0.0.1") >= 3).then_some(())
    });
    there.vanish();
    until("it is left out", || {
        endpoint(&gate.probe("/status").json(), Elsewhere::THERE)["ejected"].as_bool().filter(|ejected| *ejected)
    });
    let failed = || load.tally.failed.lock().unwrap().len();
    // What was with it has ended by its deadline.
    until("its answers are cut", || {
        let cut = |record: &&Value| record["path"] == "/long" && record["reason"] == "upstream-timeout";
        (gate.records().iter().filter(cut).count() >= 3).then_some(())
    });
    until("what was sent to it before is over", || {
        (endpoint(&gate.probe("/status").json(), Elsewhere::THERE)["active"] == 0).then_some(())
    });
    // The client learns of it a moment after the gate.
    load.go_on_for(20);
    let so_far = failed();
    load.go_on_for(150);
    assert_eq!(failed(), so_far, "nobody else pays for it");
    finish.store(true, Ordering::Release);
    let whole =
        answers.into_iter().filter_map(|mut wire| wire.receive().ok()).filter(|it| it.body.len() == LONG).count();
    assert!((3..=5).contains(&whole), "{whole} of eight were with the other");

    there.come_back();
    until("it serves again", || {
        endpoint(&gate.probe("/status").json(), Elsewhere::THERE)["in_service"].as_bool().filter(|it| *it)
    });
    load.go_on_for(50);
    let (tally, asked, _) = load.end();
    let failed = tally.failed.lock().unwrap();
    assert!(
        failed.iter().all(|how| how.starts_with("status 50")) && failed.len() < 60,
        "{} of {asked}: {failed:?}",
        failed.len()
    );
}

#[test]
fn clients_that_vanish_are_ended_by_deadline_whatever_they_were_at() {
    if !network_of_our_own() {
        return;
    }
    let (there, folder) = (Elsewhere::reach(), tempfile::tempdir().unwrap());
    let near = service(HOME, Arc::default());
    let mut plan = Plan::open(&near.address.to_string());
    plan.upstreams += "timeouts = { idle = \"1s\" }\n";
    plan.more = format!(
        "[[listener]]\nname = \"outside\"\naddress = \"{}:8080\"\ntls = \"off\"\n\
         [timeouts]\nhead = \"1s\"\nidle = \"1s\"\nstall = \"1s\"\n",
        Elsewhere::HERE
    );
    let gate = Gate::start(folder.path(), &plan);
    let load = load(&gate);
    load.go_on_for(50);
    let begin = |words: &str| {
        let mut client = there.be(|| TcpStream::connect((Elsewhere::HERE, 8080)).unwrap());
        client.write_all(words.as_bytes()).unwrap();
        client
    };
    let before = open_connections(&gate);
    let silent = begin("");
    let head = begin("GET /half HTTP/1.1\r\nHost: local");
    let body = begin("PUT /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nonly this");
    let mut answer = begin("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n");
    answer.read_exact(&mut [0; 4096]).unwrap();
    there.vanish();

    for (listener, failure) in [("outside", "head-timeout"), ("outside", "stalled")] {
        gate.record(failure, |record| record["listener"] == listener && record["failure"] == failure);
    }
    let record = gate.record("of the half body", |record| record["path"] == "/body");
    assert_eq!(record["reason"], "body-timeout", "{record}");
    let record = gate.record("of the answer", |record| record["path"] == "/endless");
    assert_eq!(record["reason"], "client-gone", "{record}");
    // Those of the load come and go.
    until("nothing of them is kept", || (open_connections(&gate) <= before + 1).then_some(()));
    load.go_on_for(50);
    let (tally, _, _) = load.end();
    assert_eq!(*tally.failed.lock().unwrap(), [""; 0], "everybody else was served");
    drop((silent, head, body, answer));
}
