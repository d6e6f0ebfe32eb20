//! Where a request comes from. An IPv4-mapped IPv6 address is the IPv4 address that it contains (POLICY semantics 5).

use ipnet::IpNet;

use crate::policy::rules::{Facts, Truth};

/// A question about the source address.
#[derive(Clone, Debug)]
pub struct SourceCriterion {
    /// One of these networks; empty means any.
    pub networks: Box<[IpNet]>,
    /// And none of these.
    pub except: Box<[IpNet]>,
}

impl SourceCriterion {
    pub(super) fn truth(&self, facts: &Facts<'_>) -> Truth {
        let address = facts.source.to_canonical();
        let inside = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        ((self.networks.is_empty() || inside(&self.networks)) && !inside(&self.except)).into()
    }

    pub(super) fn wanted(&self) -> String {
        let list = |networks: &[IpNet]| networks.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or ");
        match (self.networks.is_empty(), self.except.is_empty()) {
            (false, true) => format!("source {}", list(&self.networks)),
            (true, _) => format!("source not {}", list(&self.except)),
            (false, false) => format!("source {} and not {}", list(&self.networks), list(&self.except)),
        }
    }
}

impl SourceCriterion {
    /// The network as it is compared: a mapped IPv4 network becomes the IPv4 network. `None` for a prefix that cuts through
    /// the mapping, which would mean all of IPv4 and more.
    pub fn canonical(network: IpNet) -> Option<IpNet> {
        let IpNet::V6(v6) = network else { return Some(network.trunc()) };
        let Some(v4) = v6.addr().to_ipv4_mapped() else { return Some(network.trunc()) };
        let prefix = v6.prefix_len().checked_sub(96)?;
        ipnet::Ipv4Net::new(v4, prefix).ok().map(|net| IpNet::V4(net.trunc()))
    }
}
