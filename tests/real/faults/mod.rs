//! Faults around the gate, through the binary: a clear error, nothing lost, nothing open.

mod audit;
mod clock;
mod crowd;
mod life;
mod load;
mod provider;
mod upstream;
mod vanish;

use tempfile::TempDir;

use crate::support::{Gate, Nginx, Plan, Tools};

/// An open gate in front of nginx.
struct House {
    folder: TempDir,
    nginx: Nginx,
    gate: Gate,
}

fn house(change: impl FnOnce(&mut Plan)) -> Option<House> {
    let tools = Tools::find()?;
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&tools, folder.path());
    let mut plan = Plan::open(&nginx.address);
    change(&mut plan);
    let gate = Gate::start(folder.path(), &plan);
    Some(House { folder, nginx, gate })
}
