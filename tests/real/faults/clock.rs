//! The wall clock steps, by libfaketime: what rests on the hour follows it at once, and what rests on durations does not
//! notice.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{Gate, Ground, Nginx, Plan, Wire, until};

const POLICY: &str = r#"
[[route]]
name     = "orders"
host     = "localhost"
path     = "/api/{rest...}"
methods  = ["GET"]
upstream = "service"
tokens   = ["corp"]

[[allow]]
name    = "sre"
routes  = ["orders"]
subject = { groups = { any = ["sre"] } }
"#;

const ASKED: usize = 8;

struct House {
    _folder: TempDir,
    _nginx: Nginx,
    gate: Gate,
    offset: PathBuf,
    token: String,
}

fn house() -> Option<House> {
    let ground = Ground::lay()?;
    let (token, nginx) = (ground.provider.token("sre", "es256"), ground.nginx());
    let mut gate = Gate::prepare(ground.folder.path(), &Plan::between(&nginx, &ground.provider, POLICY));
    let offset = ground.folder.path().join("offset");
    fs::write(&offset, "+0").unwrap();
    let library = library(&ground.tools.home("faketime")).unwrap();
    let mut command = gate.command();
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &offset).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    gate.run_by(command);
    gate.ready();
    // The identity provider may end: its keys are known.
    Some(House { _folder: ground.folder, _nginx: nginx, gate, offset, token })
}

fn library(folder: &std::path::Path) -> Option<PathBuf> {
    folder.read_dir().ok()?.map(|entry| entry.unwrap().path()).find_map(|place| {
        if place.is_dir() { library(&place) } else { place.ends_with("libfaketimeMT.so.1").then_some(place) }
    })
}

impl House {
    fn step(&self, offset: &str) {
        fs::write(&self.offset, offset).unwrap();
    }

    /// The status and reason of some requests with the token, each over a connection of its own: one worker may know the
    /// token, another may not.
    fn ask(&self) -> (u16, String) {
        let one = || {
            let answer = self.gate.get_with("/api/orders", &self.token);
            let reason = if answer.status == 200 { String::new() } else { answer.json()["reason"].to_string() };
            (answer.status, reason)
        };
        let first = one();
        (1..ASKED).for_each(|_| assert_eq!(one(), first));
        first
    }
}

#[test]
fn a_token_counts_by_the_clock_of_now_and_not_by_that_of_its_first_use() {
    let Some(house) = house() else { return };
    let mut kept = Wire::open(&house.gate);
    kept.send("/elsewhere");
    assert_eq!(kept.receive().unwrap().status, 404);
    assert_eq!(house.ask(), (200, String::new()));

    house.step("+2h");
    assert_eq!(house.ask(), (401, "\"token-expired\"".into()), "though it is known and was good a moment ago");
    house.step("-2h");
    assert_eq!(house.ask(), (401, "\"token-not-yet-valid\"".into()));
    house.step("+0");
    assert_eq!(house.ask(), (200, String::new()), "the clock is right again, and so is the token");

    kept.send("/elsewhere");
    assert_eq!(kept.receive().unwrap().status, 404, "no connection is older for it");
    let records = until("all records", || Some(house.gate.records()).filter(|records| records.len() == 4 * ASKED + 2));
    assert!(records.iter().all(|record| record["durations_us"]["total"].as_u64().unwrap() < 60_000_000), "{records:?}");
}
