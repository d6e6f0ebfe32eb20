//! Nothing is dropped: under a steady load everything that can be reloaded is, and the program is replaced; every
//! request is answered, and every answer has its record.
//!
//! The full load, against a build that is fit for it:
//!
//! ```sh
//! cargo build --profile dist --no-default-features
//! PORTCULLIS_PROGRAM=target/dist/portcullis cargo nextest run --run-ignored only -E 'test(dropped::two_thousand)' --no-capture
//! ```

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Authority, Caller, Gate, Load, Nginx, Plan, Tools, until};

const POLICY: &str = r#"
[[route]]
name     = "service"
host     = "localhost"
path     = "/api/{rest...}"
methods  = ["GET"]
upstream = "service"

[[allow]]
name   = "the load"
routes = ["service"]
device = { spiffe_id = "spiffe://demo.portcullis.example/load" }
"#;

/// What the configuration names, one after the other, is replaced.
#[derive(Clone, Copy)]
enum Part {
    Policy,
    Certificate,
    Trust,
    Upstream,
}

struct House {
    folder: TempDir,
    services: [Nginx; 2],
    edge: Authority,
    clients: Authority,
    gate: Gate,
    /// The process that serves.
    serving: Serving,
}

/// Ends the last of the processes, which the test did not start itself.
struct Serving(i32);

impl Serving {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0).unwrap(), signal).unwrap();
    }

    fn is_gone(process: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Whoever has ended waits for its parent, the process before it, to be collected.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !Self::is_gone(self.0) {
            self.signal(Signal::KILL);
        }
    }
}

impl House {
    fn new() -> Option<Self> {
        let tools = Tools::find()?;
        let folder = tempfile::tempdir().unwrap();
        let services = ["one", "other"].map(|name| {
            fs::create_dir(folder.path().join(name)).unwrap();
            Nginx::start(&tools, &folder.path().join(name))
        });
        let [edge, clients] = ["edge", "clients"].map(|name| Authority::new(folder.path(), name));
        let plan = Plan { policy: POLICY.into(), ..Plan::open(&services[0].address) };
        let mut gate = Gate::prepare(folder.path(), &plan);
        let file = gate.file("portcullis.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("mode = \"optional\"", "mode = \"required\"")).unwrap();
        for (round, part) in [Part::Certificate, Part::Trust].into_iter().enumerate() {
            replace(&gate, &edge, &clients, &services, part, round);
        }
        gate.run();
        let serving = Serving(gate.running().id().try_into().unwrap());
        Some(Self { folder, services, edge, clients, gate, serving })
    }

    fn load(&self, per_second: u32) -> Load {
        Load::begin(Caller {
            port: self.gate.port,
            authority: self.edge.file.clone(),
            identity: self.clients.client("load", "spiffe://demo.portcullis.example/load"),
            path: "/api/orders",
            per_second,
        })
    }

    /// Replaces a part, and has it reloaded.
    fn reload(&self, part: Part, round: usize) {
        replace(&self.gate, &self.edge, &self.clients, &self.services, part, round);
        let told = self.gate.order("reload", &[]);
        assert!(told.status.success(), "{told:?}");
    }

    /// Replaces the program by itself, and waits until the process before has drained.
    fn upgrade(&mut self, by_signal: bool) {
        let before = self.serving.0;
        if by_signal {
            self.serving.signal(Signal::USR2);
        } else {
            let told = self.gate.order("upgrade", &[]);
            assert!(told.status.success(), "{told:?}");
        }
        self.serving.0 = until("another process serves", || {
            let process = i32::try_from(self.gate.probe("/status").json()["process"].as_i64()?).unwrap();
            (process != before).then_some(process)
        });
        until("the one before has drained", || Serving::is_gone(before).then_some(()));
    }

    /// Ends it in order.
    fn end(self) -> (Vec<serde_json::Value>, TempDir) {
        self.serving.signal(Signal::TERM);
        until("the last has drained", || Serving::is_gone(self.serving.0).then_some(()));
        (self.gate.records(), self.folder)
    }
}

fn replace(gate: &Gate, edge: &Authority, clients: &Authority, services: &[Nginx; 2], part: Part, round: usize) {
    let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
    match part {
        Part::Policy => {
            let more = format!(
                "\n[[deny]]\nname = \"round {round}\"\nroutes = [\"service\"]\nrequest = {{ path = \"/api/no-{round}\" }}\n"
            );
            fs::write(gate.file("policies/routes.toml"), format!("{POLICY}{more}")).unwrap();
        }
        Part::Certificate => {
            let made = edge.server(&format!("server-{round}"), &["localhost"]);
            fs::copy(made.chain, gate.file("certs/server.pem")).unwrap();
            fs::copy(made.key, gate.file("certs/server.key")).unwrap();
        }
        Part::Trust => {
            // With the authority that comes and goes, or without it.
            let more = if round.is_multiple_of(2) { String::new() } else { text(&edge.file) };
            fs::write(gate.file("certs/ca.pem"), text(&clients.file) + &more).unwrap();
        }
        Part::Upstream => {
            let file = gate.file("portcullis.toml");
            let (old, new) = match text(&file).contains(&services[0].address) {
                true => (&services[0], &services[1]),
                false => (&services[1], &services[0]),
            };
            fs::write(&file, text(&file).replace(&old.address, &new.address)).unwrap();
        }
    }
}

/// Reloads and upgrades in turn under a load; gives the rate that was reached.
fn change_everything(rounds: usize, upgrades: usize, per_second: u32, pause: usize) -> Option<f64> {
    let mut house = House::new()?;
    let load = house.load(per_second);
    load.go_on_for(pause);
    let mut upgraded = 0;
    for round in 0..rounds {
        let parts = [Part::Policy, Part::Certificate, Part::Trust, Part::Upstream];
        house.reload(parts[round % parts.len()], round);
        load.go_on_for(pause);
        while upgraded < upgrades * (round + 1) / rounds {
            house.upgrade(upgraded % 2 == 0);
            upgraded += 1;
            load.go_on_for(pause);
        }
    }
    let (tally, asked, rate) = load.end();
    assert_eq!(*tally.failed.lock().unwrap(), [""; 0]);
    let answered = tally.answered.lock().unwrap();
    assert_eq!(answered.len(), asked, "every request has its answer");
    let ids: HashSet<&str> = answered.iter().map(String::as_str).collect();
    let (records, _folder) = house.end();
    let recorded: HashSet<&str> = records.iter().filter_map(|record| record["id"].as_str()).collect();
    assert_eq!(records.len(), asked, "one record for each, and of nothing else");
    assert_eq!(recorded, ids, "the same ones");
    assert!(records.iter().all(|record| record["kind"] == "request" && record["status"] == 200));

    let seen = |field: &str| records.iter().map(|record| record[field].to_string()).collect::<HashSet<_>>().len();
    let (policies, certificates) = (rounds.div_ceil(4), (rounds + 2) / 4);
    assert!(seen("policy") > policies.min(rounds), "each policy was in force for a while");
    assert_eq!(seen("endpoint"), 2);
    assert!(tally.certificates.lock().unwrap().len() > certificates, "each certificate was shown");
    assert!(tally.told_to_go.load(Ordering::Relaxed) >= upgrades, "HTTP/2 was told of each end");
    Some(rate)
}

#[test]
fn a_load_outlives_the_reload_of_each_part_and_an_upgrade() {
    change_everything(4, 1, 300, 150);
}

#[test]
#[ignore = "a minute, and a build that is fit for the load: see the head of this file"]
fn two_thousand_requests_a_second_outlive_twenty_reloads_and_three_upgrades() {
    const RATE: u32 = 2_000;
    let Some(rate) = change_everything(20, 3, RATE, 2_000) else { return };
    eprintln!("{rate:.0} requests a second, none failed");
    assert!(rate > 0.98 * f64::from(RATE), "the load was {rate:.0} requests a second only");
}
