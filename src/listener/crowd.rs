//! The connections of a worker that have not sent a request yet: the ones that make room when there is none.
//!
//! A stranger who opens connections and says nothing must not keep others out. At a limit the *oldest silent*
//! connection goes, not the newest: a client that means it needs milliseconds, the stranger's connections wait.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::task::AbortHandle;

use crate::request::ConnectionId;

/// The silent connections of one worker.
#[derive(Default)]
pub(super) struct Crowd(RefCell<Silent>);

#[derive(Default)]
struct Silent {
    all: BTreeMap<ConnectionId, Member>,
    handshakes: HashMap<Source, BTreeSet<ConnectionId>>,
}

struct Member {
    task: Option<AbortHandle>,
    /// Where the handshake counts, while it is under way.
    source: Option<Source>,
}

/// One client as the limit counts it: an IPv4 address, or an IPv6 network of 64 bits, which one host can have whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Source(u128);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// A connection's place in the crowd; it leaves when this is dropped, at its first request or at its end.
pub(super) struct Place {
    crowd: Rc<Crowd>,
    id: ConnectionId,
}

impl Crowd {
    /// Takes a new connection in. `None` for a source that is not known yet, such as behind a PROXY header.
    pub(super) fn enter(self: &Rc<Self>, id: ConnectionId, source: Option<IpAddr>) -> Place {
        self.0.borrow_mut().all.insert(id, Member { task: None, source: None });
        let place = Place { crowd: self.clone(), id };
        if let Some(source) = source {
            place.shakes_hands(source);
        }
        place
    }

    /// Names the task that ends when the connection has to go.
    pub(super) fn attach(&self, id: ConnectionId, task: AbortHandle) {
        if let Some(member) = self.0.borrow_mut().all.get_mut(&id) {
            member.task = Some(task);
        }
    }

    /// Ends the oldest silent connection. `None` when there is none.
    pub(super) fn evict_oldest(&self) -> Option<ConnectionId> {
        let oldest = *self.0.borrow().all.keys().next()?;
        self.evict(oldest);
        Some(oldest)
    }

    /// Ends the oldest handshake of `source` when it has more than `most`.
    pub(super) fn evict_excess(&self, source: IpAddr, most: usize) -> Option<ConnectionId> {
        let oldest = {
            let silent = self.0.borrow();
            let handshakes = silent.handshakes.get(&source.into())?;
            if handshakes.len() <= most {
                return None;
            }
            *handshakes.first()?
        };
        self.evict(oldest);
        Some(oldest)
    }

    fn evict(&self, id: ConnectionId) {
        let task = self.0.borrow_mut().remove(id);
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Silent {
    fn remove(&mut self, id: ConnectionId) -> Option<AbortHandle> {
        let member = self.all.remove(&id)?;
        if let Some(source) = member.source {
            self.settle(id, source);
        }
        member.task
    }

    fn settle(&mut self, id: ConnectionId, source: Source) {
        if let Some(handshakes) = self.handshakes.get_mut(&source) {
            handshakes.remove(&id);
            if handshakes.is_empty() {
                self.handshakes.remove(&source);
            }
        }
    }
}

impl Place {
    /// The source is known from here on, and a handshake is under way.
    pub(super) fn shakes_hands(&self, source: IpAddr) {
        let source = Source::from(source);
        let mut silent = self.crowd.0.borrow_mut();
        if let Some(member) = silent.all.get_mut(&self.id) {
            member.source = Some(source);
            silent.handshakes.entry(source).or_default().insert(self.id);
        }
    }

    /// The handshake is over.
    pub(super) fn has_shaken_hands(&self) {
        let mut silent = self.crowd.0.borrow_mut();
        if let Some(source) = silent.all.get_mut(&self.id).and_then(|member| member.source.take()) {
            silent.settle(self.id, source);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The task that holds this place is running or already cancelled: nothing to abort.
        drop(self.crowd.0.borrow_mut().remove(self.id));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Crowd;
    use crate::request::ConnectionId;

    #[test]
    fn the_oldest_of_a_source_goes_first_and_an_ipv6_network_is_one_source() {
        let crowd = Rc::new(Crowd::default());
        let source = |text: &str| text.parse().unwrap();
        let enter = |id, text: &str| crowd.enter(ConnectionId(id), Some(source(text)));
        let _places =
            [enter(1, "2001:db8::1"), enter(2, "2001:db8::2"), enter(3, "2001:db8:0:1::1"), enter(4, "10.0.0.1")];
        assert_eq!(crowd.evict_excess(source("2001:db8::3"), 1), Some(ConnectionId(1)));
        assert_eq!(crowd.evict_excess(source("2001:db8::3"), 1), None);
        assert_eq!(crowd.evict_excess(source("::ffff:10.0.0.1"), 0), Some(ConnectionId(4)));
        assert_eq!(crowd.evict_oldest(), Some(ConnectionId(2)));
    }

    #[test]
    fn who_has_shaken_hands_no_longer_counts_for_its_source_and_who_left_does_not_count_at_all() {
        let crowd = Rc::new(Crowd::default());
        let source = "10.0.0.1".parse().unwrap();
        let first = crowd.enter(ConnectionId(1), Some(source));
        let second = crowd.enter(ConnectionId(2), Some(source));
        first.has_shaken_hands();
        assert_eq!(crowd.evict_excess(source, 0), Some(ConnectionId(2)));
        drop(second);
        assert_eq!(crowd.evict_oldest(), Some(ConnectionId(1)));
        drop(first);
        assert_eq!(crowd.evict_oldest(), None);
    }
}
