//! Long answers and large bodies: server-sent events by Node, uploads and downloads by curl.

use std::io::Write as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use tempfile::TempDir;

use crate::support::{Gate, Plan, Service, Tools, ask};

const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

struct House {
    tools: Tools,
    folder: TempDir,
    service: Service,
    gate: Gate,
}

fn house() -> Option<House> {
    let tools = Tools::find()?;
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&tools, "service.mjs", None);
    let mut plan = Plan::open(&service.address);
    plan.upstreams += "max_request_body = \"2GiB\"\n";
    let gate = Gate::start(folder.path(), &plan);
    Some(House { tools, folder, service, gate })
}

impl House {
    /// Sends a body; what arrived is what was sent.
    fn up(&self, version: &str, size: usize) {
        let upload = self.folder.path().join("upload");
        let sent = file(&upload, size);
        let curl = self.gate.curl().with(&[version, "--max-time", "600", "--upload-file", upload.to_str().unwrap()]);
        let told = curl.get(&format!("{}/sink", self.gate.url)).unwrap().json();
        assert_eq!((&told["length"], &told["digest"]), (&size.into(), &sent.as_str().into()), "{version}");
    }

    /// Gets a body, whole.
    fn down(&self, version: &str, size: usize) {
        let mut command = std::process::Command::new("curl");
        command.args(["--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", "600", version]);
        command.args(["--write-out", "%{http_code} %{size_download}", "--cacert"]).arg(self.gate.file("certs/ca.pem"));
        command.arg("--output").arg(self.folder.path().join("download"));
        let told = command.arg(format!("{}/source/{size}", self.gate.url)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout), format!("200 {size}"), "{version}: {told:?}");
    }
}

/// The client says over a request of its own that it has the first event; only then the service sends the second.
#[test]
fn each_event_arrives_when_it_is_sent_and_a_client_that_comes_back_goes_on() {
    let Some(mut house) = house() else { return };
    let url = format!("{}/events", house.gate.url);
    let told = ask(&house.tools, "ask.mjs", &["events", &url], &house.gate.file("certs/ca.pem"), None);
    assert_eq!(told["ids"], serde_json::json!(["1", "2", "3", "4"]));
    for last in ["0", "2"] {
        house.service.says(&format!("\"events\":{last}"));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file of so many bytes that repeat after a prime number of them, and its digest.
fn file(place: &Path, size: usize) -> String {
    let pattern: Vec<u8> = (0..65_521_u32).map(|number| ((number * number) >> 3).to_le_bytes()[0]).collect();
    let mut context = Context::new(&SHA256);
    let mut file = std::io::BufWriter::new(std::fs::File::create(place).unwrap());
    let mut left = size;
    while left > 0 {
        let part = &pattern[..left.min(pattern.len())];
        file.write_all(part).unwrap();
        context.update(part);
        left -= part.len();
    }
    file.flush().unwrap();
    hex(context.finish().as_ref())
}

/// Resident bytes, and the most that they ever were.
fn memory(process: u32) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Forgets the most that a process ever held, and gives what it holds now.
fn begin_anew(process: u32) -> usize {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
    memory(process).0
}

/// Up and down over both versions. What passes is what was sent, and the gate holds little of it: gives how much more
/// memory it took at most for one of them, once each of its workers has seen large bodies so many times.
fn bodies_of(size: usize, seen: usize) -> Option<usize> {
    let mut house = house()?;
    for version in VERSIONS.into_iter().cycle().take(2 * seen) {
        house.up(version, 20 << 20);
        house.down(version, 20 << 20);
    }
    let process = house.gate.running().id();
    let mut most = 0;
    for pass in [House::up, House::down] {
        for version in VERSIONS {
            let before = begin_anew(process);
            pass(&house, version, size);
            most = most.max(memory(process).1.saturating_sub(before));
        }
    }
    Some(most)
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    bodies_of(20 << 20, 0);
}

#[test]
#[ignore = "minutes: four times 1 GiB. Run it against a build that is fit for it, as tests/real/dropped.rs says"]
fn a_gibibyte_passes_in_both_directions_through_little_memory() {
    let Some(more) = bodies_of(1 << 30, 8) else { return };
    eprintln!("{} KiB more at most", more / 1024);
    assert!(more < 4 << 20, "{more} bytes more");
}
