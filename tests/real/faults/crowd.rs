//! Strangers who open connections and say nothing.

use std::net::TcpStream;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Gate, Nginx, Plan, Tools, Wire, until};

/// As many connections as 10,000 and the limits of this machine allow, and a gate that begins with few open files.
fn besieged(limits: &str, files: &str) -> Option<(Gate, Vec<TcpStream>, impl Sized)> {
    let tools = Tools::find()?;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let most = maximum.map_or(10_000, |files| usize::try_from(files / 4 * 3).unwrap() - 500).min(10_000);
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&tools, folder.path());
    let plan = Plan { more: limits.into(), ..Plan::open(&nginx.address) };
    let mut gate = Gate::prepare(folder.path(), &plan);
    let mut command = Command::new("sh");
    let program = gate.command();
    command
        .args(["-c", &format!("ulimit {files}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args());
    gate.run_by(command);
    let silent = (0..most).map(|_| TcpStream::connect(("127.0.0.1", gate.port)).unwrap()).collect();
    Some((gate, silent, (folder, nginx)))
}

pub(super) fn open_connections(gate: &Gate) -> usize {
    let metrics = gate.probe("/metrics");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("portcullis_connections_open ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn thousands_who_say_nothing_are_borne_and_others_are_served() {
    let limits = "[limits]\nhandshakes_per_address = 20000\n[timeouts]\nhandshake = \"60s\"\n";
    let Some((gate, silent, _kept)) = besieged(limits, "-S -n 256") else { return };
    until("all are accepted", || (open_connections(&gate) >= silent.len()).then_some(()));
    for _ in 0..3 {
        assert_eq!(gate.get("/api/orders").status, 200);
    }
    assert_eq!(open_connections(&gate), silent.len(), "none of the silent ones had to go");
}

#[test]
fn of_one_stranger_only_so_many_are_kept() {
    let Some((gate, silent, _kept)) = besieged("[limits]\nhandshakes_per_address = 50\n", "-S -n 256") else { return };
    assert_eq!(gate.get("/api/orders").status, 200);
    until("the oldest made room", || (open_connections(&gate) <= 100).then_some(()));
    drop(silent);
}

#[test]
fn with_few_open_files_the_oldest_silent_ones_make_room() {
    let limits = "[limits]\nhandshakes_per_address = 20000\n[timeouts]\nhandshake = \"60s\"\n";
    let Some((gate, silent, _kept)) = besieged(limits, "-n 400") else { return };
    for _ in 0..3 {
        assert_eq!(gate.get("/api/orders").status, 200, "a file is left for the way to the service");
    }
    let mut kept = Wire::open(&gate);
    assert_eq!(kept.get("/api/orders").status, 200);
    drop(silent);
    until("the crowd is gone", || (open_connections(&gate) <= 1).then_some(()));
    for _ in 0..10 {
        assert_eq!(
            (kept.get("/api/orders").status, gate.get("/api/orders").status),
            (200, 200),
            "as if nothing had been"
        );
    }
}
