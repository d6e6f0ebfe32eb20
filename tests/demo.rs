//! The demo as a person and as a script start it: every request of its tour, and nothing left behind.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Makes its private directory below `place`.
fn demo(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("demo").args(arguments).env("TMPDIR", place).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn once(place: &Path, arguments: &[&str]) -> Output {
    demo(place, arguments).output().unwrap()
}

fn is_empty(place: &Path) -> bool {
    place.read_dir().unwrap().next().is_none()
}

#[test]
fn the_tour_goes_as_it_must_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let output = once(place.path(), &["--once"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("\n  200 allowed  alice, of staff, reads a payment\n"), "{text}");
    assert!(text.contains("\n  403 refused  bob, a contractor, reads a payment\n"), "{text}");
    assert!(text.contains("would be allowed by `staff may read payments` with group `staff`"), "{text}");
    assert!(text.contains("the service saw x-auth-user: alice"), "{text}");
    assert!(!text.contains("WRONG") && !text.contains('\u{1b}'), "{text}");
    assert!(!text.contains("eyJ"), "no token is shown");
    assert!(is_empty(place.path()));
}

#[test]
fn a_script_gets_every_outcome_in_one_line() {
    let place = tempfile::tempdir().unwrap();
    let output = once(place.path(), &["--once", "--json"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let described: Value = serde_json::from_str(&text).unwrap();
    let parts = described.pointer("/tour").and_then(Value::as_array).unwrap();
    let outcomes = parts.iter().flat_map(|part| part.get("outcomes").and_then(Value::as_array).unwrap());
    assert!(outcomes.clone().count() >= 10);
    assert!(outcomes.clone().all(|outcome| outcome.get("surprise") == Some(&Value::Null)));
    assert!(is_empty(place.path()));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = tempfile::tempdir().unwrap();
    let output = once(place.path(), &["--once", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&address), "{text}");
    assert!(is_empty(place.path()));
}

#[test]
fn it_serves_until_it_is_told_to_stop_whichever_way() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = tempfile::tempdir().unwrap();
        let mut running = Running::start(place.path());
        let described = running.first_line();
        let directory = text(&described, "/configuration");
        assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        for file in ["/ca", "/certificates/device/certificate", "/certificates/device/key", "/certificates/rogue/key"] {
            assert!(Path::new(&text(&described, file)).is_file(), "{file}");
        }
        let key = std::fs::metadata(text(&described, "/certificates/device/key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert!(std::net::TcpStream::connect(text(&described, "/address")).is_ok());
        running.tell(signal);
        assert!(running.wait(), "it ends well");
        assert!(is_empty(place.path()), "{signal:?}");
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}")).to_owned()
}

/// A demo that serves; killed when the test ends before it.
struct Running(Child);

impl Running {
    fn start(place: &Path) -> Self {
        Self(demo(place, &["--json"]).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn first_line(&mut self) -> Value {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap().by_ref()).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn tell(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn wait(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
