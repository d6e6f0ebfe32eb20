//! Another machine, as far as the network can tell: a namespace of its own at the end of a cable that can be pulled.
//! What is on its way then is lost, and neither side is told.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Running;

/// Says that the test runs within a network of its own.
const MARK: &str = "PORTCULLIS_TEST_NETWORK";

/// Runs the test that calls it once more within a network of its own, where it may lay cables. `true` there; `false` when
/// that is done, or cannot be done here and nobody insists.
pub(crate) fn network_of_our_own() -> bool {
    if std::env::var_os(MARK).is_some() {
        run("ip", "link set lo up");
        return true;
    }
    let possible = Command::new("unshare").args(["-rn", "ip", "link", "add", "type", "veth"]).output();
    let told = possible.map_err(|error| error.to_string()).and_then(|tried| {
        if tried.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&tried.stderr).into_owned()) }
    });
    if let Err(error) = told {
        assert!(
            std::env::var_os("PORTCULLIS_REAL").is_none(),
            "NOT RUN: no network of our own can be had (unshare -rn, ip): {error}"
        );
        eprintln!("SKIPPED: no network of our own can be had (unshare -rn, ip): {error}");
        return false;
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let mut again = Command::new("unshare");
    again.arg("-rn").arg(std::env::current_exe().unwrap()).args(["--exact", &name, "--nocapture"]).env(MARK, "1");
    let told = again.output().unwrap();
    let text = String::from_utf8_lossy(&told.stdout);
    eprintln!("{text}{}", String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success() && text.contains("1 passed"), "within the network of its own");
    false
}

/// The other machine. It is gone when this is dropped.
pub(crate) struct Elsewhere {
    _holder: Running,
    network: File,
}

impl Elsewhere {
    /// The address of this side of the cable, and of the other.
    pub(crate) const HERE: &str = "10.99.0.1";
    pub(crate) const THERE: &str = "10.99.0.2";

    /// Lays the cable.
    pub(crate) fn reach() -> Self {
        // It ends with this test, however that ends.
        let wait = format!("echo here; exec tail --pid={} -f /dev/null", std::process::id());
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", &wait]);
        let (holder, _) = Running::start("elsewhere", &mut command, "here").unwrap();
        let network = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
        run("ip", &format!("link add near type veth peer name far netns {}", holder.id()));
        run("ip", &format!("address add {}/24 dev near", Self::HERE));
        run("ip", "link set near up");
        let there = Self { _holder: holder, network };
        there.be(|| {
            run("ip", &format!("address add {}/24 dev far", Self::THERE));
            run("ip", "link set far up");
        });
        there
    }

    /// Does something on the other machine; sockets that are made there stay there.
    pub(crate) fn be<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = self.network.as_fd();
        let there = move || {
            move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    /// Its address, to listen on.
    pub(crate) fn address() -> IpAddr {
        Self::THERE.parse().unwrap()
    }

    /// Pulls the cable.
    pub(crate) fn vanish(&self) {
        self.be(|| run("ip", "link set far down"));
    }

    /// Plugs it in again.
    pub(crate) fn come_back(&self) {
        self.be(|| run("ip", "link set far up"));
    }
}

fn run(program: &str, arguments: &str) {
    let told = Command::new(program).args(arguments.split(' ')).output().unwrap();
    assert!(told.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&told.stderr));
}
