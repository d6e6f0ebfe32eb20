//! What the tests start, and how they ask: processes that end with their guard, certificates, curl.

mod canaille;
mod certificates;
mod curl;
mod elsewhere;
mod gate;
mod ground;
mod h2load;
mod identity_provider;
mod ledger;
mod load;
mod nginx;
mod node;
mod running;
mod scripted;
mod wire;

pub(crate) use canaille::Canaille;
pub(crate) use certificates::{Authority, Identity};
pub(crate) use curl::{Answer, Curl};
pub(crate) use elsewhere::{Elsewhere, network_of_our_own};
pub(crate) use gate::{Gate, OPEN, Plan, records_in};
pub(crate) use ground::{Ground, House};
pub(crate) use h2load::H2load;
pub(crate) use identity_provider::IdentityProvider;
pub(crate) use ledger::{Entry, Ledger};
pub(crate) use load::{Caller, Load};
pub(crate) use nginx::Nginx;
pub(crate) use node::{Service, ask, python};
pub(crate) use running::{Running, free_port};
pub(crate) use scripted::{Scripted, reply};
pub(crate) use wire::Wire;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The commands that `tools/install real` installs.
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The tools, or `None` where they were not installed and nobody insists.
    pub(crate) fn find() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
        let needed = ["bin/node", "bin/nginx", "bin/promtool", "bin/h2load", "peers/bin/python", "sslyze/bin/sslyze"];
        let packages = ["oidc-provider/node_modules", "node-peers/node_modules", "canaille/bin/python"];
        let missing = needed.into_iter().chain(packages).find(|name| !folder.join(name).exists());
        let Some(missing) = missing else {
            return Some(Self { folder });
        };
        assert!(std::env::var_os("PORTCULLIS_REAL").is_none(), "target/tools/{missing} is missing: tools/install real");
        eprintln!("SKIPPED: target/tools/{missing} is missing; tools/install real installs it");
        None
    }

    /// The path of a command.
    pub(crate) fn command(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The folder of an installed tool.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Asks again until there is an answer. Panics with `what` after half a minute.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
