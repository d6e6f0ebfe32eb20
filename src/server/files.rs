//! Open files: each connection takes one, and an exchange takes another to the service behind.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::listener::Limits;

/// Files that are no connections: sockets that listen, logs, operators, calls to identity providers.
const OTHERS: u64 = 128;

/// Has the process open as many files as its administrator allows it to; shells and service managers begin with few.
pub fn allow_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The limits with no more client connections than there are files for. At this limit silent connections make room;
/// without files there would be no way to the service behind for anybody.
pub(super) fn affordable(limits: &Limits) -> Limits {
    let wanted = limits.connections;
    let most = getrlimit(Resource::Nofile).current.map_or(wanted, clients);
    if most < wanted {
        tracing::warn!(wanted, affordable = most, "limits.connections is more than the limit of open files allows");
    }
    Limits { connections: wanted.min(most), ..limits.clone() }
}

/// A quarter is left for connections to the services behind.
fn clients(files: u64) -> usize {
    usize::try_from(files.saturating_sub(OTHERS) / 4 * 3).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::clients;

    #[test]
    fn files_are_left_for_what_is_no_client() {
        assert_eq!([0, 128, 132, 1_128, 1_048_576].map(clients), [1, 1, 3, 750, 786_336]);
    }
}
