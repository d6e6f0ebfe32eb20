//! Services that die, freeze or speak nonsense while requests come in at a steady rate: each costs its own requests, and
//! no other.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Caller, Gate, Load, Nginx, Plan, Scripted, Tools, Wire, reply, until};

/// An open gate in front of two services of the same kind.
struct House {
    _folder: TempDir,
    services: [Nginx; 2],
    gate: Gate,
}

fn house(upstream: &str) -> Option<House> {
    let tools = Tools::find()?;
    let folder = tempfile::tempdir().unwrap();
    let services = ["one", "other"].map(|name| {
        fs::create_dir(folder.path().join(name)).unwrap();
        Nginx::start(&tools, &folder.path().join(name))
    });
    let mut plan = Plan::open("unused");
    let [one, other] = services.each_ref().map(|service| &service.address);
    plan.upstreams =
        format!("[upstream.service]\nendpoints = [\"http://{one}\", \"http://{other}\"]\nretries = 2\n{upstream}\n");
    let gate = Gate::start(folder.path(), &plan);
    Some(House { _folder: folder, services, gate })
}

impl House {
    fn load(&self) -> Load {
        Load::begin(Caller {
            port: self.gate.port,
            authority: self.gate.file("certs/ca.pem"),
            identity: self.gate.identity("device"),
            path: "/api/orders",
            per_second: 200,
        })
    }

    /// Ends a load: every request has one answer and one record. The statuses that were not 200, and how many there were.
    fn settle(&self, load: Load) -> (HashSet<u64>, usize) {
        let (tally, asked, _) = load.end();
        let failed = tally.failed.lock().unwrap();
        assert!(failed.iter().all(|how| how.starts_with("status 50")), "an answer for each: {failed:?}");
        assert_eq!(tally.answered.lock().unwrap().len() + failed.len(), asked);
        let records = until("all records", || Some(self.gate.records()).filter(|records| records.len() >= asked));
        let ids: HashSet<_> = records.iter().map(|record| record["id"].to_string()).collect();
        assert_eq!((records.len(), ids.len()), (asked, asked), "one record for each");
        let statuses = records.iter().map(|record| record["status"].as_u64().unwrap());
        let bad: Vec<u64> = statuses.filter(|status| *status != 200).collect();
        assert_eq!(bad.len(), failed.len(), "what the records say is what the clients saw");
        (bad.iter().copied().collect(), bad.len())
    }
}

#[test]
fn a_service_that_is_killed_costs_what_it_was_at_and_is_asked_again_when_it_is_back() {
    let outlier = "outlier = { failures = 3, eject = \"200ms\", most_percent = 50 }";
    let Some(mut house) = house(outlier) else { return };
    let load = house.load();
    load.go_on_for(100);
    house.services[0].kill();
    load.go_on_for(200);
    house.services[0].start_again();
    let before = house.services[0].log().len();
    until("it is asked again", || (house.services[0].log().len() > before + 20).then_some(()));
    let (statuses, count) = house.settle(load);
    assert!(statuses.is_subset(&HashSet::from([502])) && count <= 16, "at most what was open: {count} of {statuses:?}");
}

#[test]
fn with_every_service_gone_each_request_is_told_so_and_all_is_well_when_they_are_back() {
    let Some(mut house) = house("outlier = { failures = 3, eject = \"200ms\", most_percent = 50 }") else { return };
    let load = house.load();
    load.go_on_for(100);
    house.services.iter_mut().for_each(Nginx::kill);
    load.go_on_for(100);
    house.services.iter_mut().for_each(Nginx::start_again);
    let before: usize = house.services.iter().map(|service| service.log().len()).sum();
    until("they are asked again", || {
        (house.services.iter().map(|service| service.log().len()).sum::<usize>() > before + 50).then_some(())
    });
    let (statuses, count) = house.settle(load);
    assert!(statuses.is_subset(&HashSet::from([502, 503])) && count >= 50, "{count} of {statuses:?}");
}

/// A machine that stands still: its connections are open, new ones are taken by its kernel, and nothing is said.
#[test]
fn a_service_that_stands_still_is_left_out_and_comes_back() {
    let more = "timeouts = { connect = \"300ms\", header = \"300ms\" }\noutlier = { failures = 3, eject = \"500ms\", most_percent = 50 }";
    let Some(house) = house(more) else { return };
    let load = house.load();
    load.go_on_for(100);
    house.services[0].signal(Signal::STOP);
    load.go_on_for(400);
    house.services[0].signal(Signal::CONT);
    let before = house.services[0].log().len();
    until("it is asked again", || (house.services[0].log().len() > before + 50).then_some(()));
    let (statuses, count) = house.settle(load);
    assert_eq!(statuses, HashSet::from([504]), "what it was asked was not asked twice");
    assert!(count < 200, "{count} of some 500: the other took over");
}

/// One that accepts nobody, as a service whose queue is full.
fn full_queue() -> (SocketAddr, impl Sized) {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..8)
        .map_while(|_| TcpStream::connect_timeout(&address, std::time::Duration::from_millis(100)).ok())
        .collect();
    assert!(waiting.len() < 8, "the queue is full");
    (address, (listener, waiting))
}

#[test]
fn a_service_that_accepts_nobody_is_passed_over() {
    let (address, _kept) = full_queue();
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::open(&address.to_string());
    plan.upstreams += "timeouts = { connect = \"200ms\" }\n";
    let gate = Gate::start(folder.path(), &plan);
    let told = gate.get("/api/orders");
    assert_eq!((told.status, &told.json()["reason"]), (502, &"upstream-unreachable".into()));

    let Some(house) = house("timeouts = { connect = \"200ms\" }") else { return };
    let file = house.gate.file("portcullis.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&house.services[0].address, &address.to_string())).unwrap();
    assert!(house.gate.order("reload", &[]).status.success());
    for _ in 0..10 {
        assert_eq!(house.gate.get("/api/orders").status, 200, "nothing was sent yet: another may be asked");
    }
}

fn misbehave(target: &str, socket: &mut TcpStream) -> bool {
    let (what, number) = target.trim_start_matches('/').split_once('/').unwrap();
    let said = |text: &str, socket: &mut TcpStream| socket.write_all(text.as_bytes()).is_ok();
    let broke = |text: &str, socket: &mut TcpStream| {
        drop(socket.write_all(text.as_bytes()));
        false
    };
    match what {
        "garbage" => broke("\0\x01\u{fffd} no HTTP at all\r\n\r\n", socket),
        "half" => broke("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", socket),
        "head" => broke("HTTP/1.1 200 OK\r\nX-Half", socket),
        "both" => said("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", socket),
        // A second answer that nobody asked for, for whoever comes next on this connection.
        "more" => {
            let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
            said(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{number}{stray}", number.len()), socket)
        }
        "reset" => {
            said("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", socket);
            rustix::net::sockopt::set_socket_linger(&*socket, Some(std::time::Duration::ZERO)).unwrap();
            false
        }
        _ => reply(socket, "200 OK", "", number.as_bytes()),
    }
}

#[test]
fn nonsense_from_a_service_never_becomes_another_ones_answer() {
    const KINDS: [&str; 7] = ["well", "garbage", "half", "more", "reset", "head", "both"];
    let folder = tempfile::tempdir().unwrap();
    let service = Scripted::start(misbehave);
    let mut plan = Plan::open(&service.address.to_string());
    plan.upstreams += "outlier = { failures = 0 }\nretries = 0\n";
    let gate = Gate::start(folder.path(), &plan);
    let whole = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (gate, whole) = (&gate, &whole);
            scope.spawn(move || {
                let mut wire = Wire::open(gate);
                for round in 0..140 {
                    let (kind, number) = (KINDS[(round * 3 + client) % KINDS.len()], format!("{client}-{round}"));
                    wire.send(&format!("/{kind}/{number}"));
                    let answer = wire.receive();
                    match answer {
                        // What was begun and broke off cannot be taken back: the connection ends.
                        Err(_) => {
                            assert!(["half", "reset", "both"].contains(&kind), "{kind}/{number}");
                            wire = Wire::open(gate);
                        }
                        Ok(answer) if answer.status == 200 => {
                            assert!(["well", "more"].contains(&kind), "{kind}/{number}");
                            assert_eq!(answer.text(), number);
                            whole.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => {
                            assert_eq!(answer.status, 502, "{kind}/{number}");
                            assert!(!["well", "more"].contains(&kind), "{kind}/{number}: {}", answer.text());
                        }
                    }
                }
            });
        }
    });
    assert_eq!(whole.load(Ordering::Relaxed), 4 * 140 / KINDS.len() * 2);
    let requests = || gate.records().iter().filter(|record| record["kind"] == "request").count();
    until("all records", || (requests() == 4 * 140).then_some(()));
}

/// Those who wait to be accepted at a port: the receive queue of a listening socket (proc_net_tcp).
fn queued(port: u16) -> u32 {
    let text = fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = sockets.filter(|fields| fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == "0A");
    listening.map(|fields| u32::from_str_radix(fields[4].split_once(':').unwrap().1, 16).unwrap()).sum()
}

/// The gate itself stands still while clients knock: whoever waited is served.
#[test]
fn whoever_came_while_the_gate_stood_still_is_served() {
    const CLIENTS: u32 = 64;
    let Some(mut house) = house("") else { return };
    let process = Pid::from_raw(house.gate.running().id().try_into().unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    until("it stands still", || {
        let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap();
        let stat = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("stat")).unwrap();
        threads.map(|thread| stat(thread.unwrap())).all(|stat| stat.contains(") T ")).then_some(())
    });
    std::thread::scope(|scope| {
        let ask = || Wire::open(&house.gate).get("/api/orders").status;
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        until("all of them wait", || (queued(house.gate.port) == CLIENTS).then_some(()));
        kill_process(process, Signal::CONT).unwrap();
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
}
