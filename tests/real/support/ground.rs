//! What a gate that judges tokens stands on: the tools, a folder of the test's own, and an identity provider with its
//! authority; and the house that most tests build on it.

use tempfile::TempDir;

use super::{Authority, Gate, IdentityProvider, Nginx, Plan, Tools};

/// The ground.
pub(crate) struct Ground {
    pub(crate) tools: Tools,
    pub(crate) folder: TempDir,
    /// Signs for the provider, and for whatever else a test starts.
    pub(crate) authority: Authority,
    pub(crate) provider: IdentityProvider,
}

/// A gate between the provider and nginx, ready.
pub(crate) struct House {
    pub(crate) ground: Ground,
    pub(crate) nginx: Nginx,
    pub(crate) gate: Gate,
}

impl Ground {
    /// `None` where the tools were not installed and nobody insists.
    pub(crate) fn lay() -> Option<Self> {
        let tools = Tools::find()?;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "provider-authority");
        let provider = IdentityProvider::start(&tools, folder.path(), &authority);
        Some(Self { tools, folder, authority, provider })
    }

    /// nginx as the service behind.
    pub(crate) fn nginx(&self) -> Nginx {
        Nginx::start(&self.tools, self.folder.path())
    }

    /// A gate that is ready.
    pub(crate) fn gate(&self, plan: &Plan) -> Gate {
        let gate = Gate::start(self.folder.path(), plan);
        gate.ready();
        gate
    }
}

impl House {
    /// `None` where the tools were not installed and nobody insists.
    pub(crate) fn open(policy: &str) -> Option<Self> {
        let ground = Ground::lay()?;
        let nginx = ground.nginx();
        let gate = ground.gate(&Plan::between(&nginx, &ground.provider, policy));
        Some(Self { ground, nginx, gate })
    }
}
