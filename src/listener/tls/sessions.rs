//! The sessions of one profile (RFC 8446 section 2.2, RFC 5246 section 7.3), kept in this process.
//!
//! rustls resumes without asking the verifier, for as long as a session is found and with a new ticket each time. So
//! this store asks instead, whenever a session is looked for: is the certificate still valid, not revoked, and is the
//! full handshake recent enough? If not there is no session, and the full handshake that follows asks everything. A
//! store belongs to one profile and to the authorities and lists of one configuration; a reload starts with none.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::StoresServerSessions;

use super::verifier::{Resumable, Witness};
use crate::listener::trust::{Standing, TrustBundle};
use crate::telemetry::Clock;

/// Seconds after which a client has to prove again that it has its key, however often it resumed.
const LONGEST: i64 = 12 * 3600;
/// Sessions that one profile remembers; about 2 KiB each.
const MOST: usize = 8192;

/// Remembers sessions, oldest out first.
pub(super) struct Sessions {
    trust: Vec<Arc<TrustBundle>>,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, Session>,
    /// Keys in the order of their coming; some are gone already.
    order: VecDeque<Vec<u8>>,
}

struct Session {
    secret: zeroize::Zeroizing<Vec<u8>>,
    rests_on: Resumable,
}

impl Sessions {
    pub(super) fn new(trust: Vec<Arc<TrustBundle>>, clock: Clock) -> Self {
        Self { trust, clock, kept: Mutex::default() }
    }

    /// What a new session rests on. `None` when it must not be resumed: its certificate was refused.
    fn rests_on(&self, witness: &Witness) -> Option<Resumable> {
        match &*witness.verified.borrow() {
            Some(Err(_)) => return None,
            Some(Ok(standing)) => {
                return Some(Resumable { standing: Some(standing.clone()), begun: self.clock.now().as_second() });
            }
            None => {}
        }
        // Resumed itself: the new session is as old as the full handshake, or it could go on for ever.
        let resumed = witness.resumed.borrow().clone();
        Some(resumed.unwrap_or_else(|| Resumable { standing: None, begun: self.clock.now().as_second() }))
    }

    fn still_counts(&self, rests_on: &Resumable) -> bool {
        let now = self.clock.now().as_second();
        let holds = |standing: &Arc<Standing>| {
            let bundle = self.trust.iter().find(|bundle| *bundle.name() == standing.bundle);
            bundle.is_some_and(|bundle| bundle.holds(standing, now).is_ok())
        };
        // A clock that was set back must not make sessions younger.
        (0..LONGEST).contains(&(now - rests_on.begun)) && rests_on.standing.as_ref().is_none_or(holds)
    }

    /// Leaves with the witness what a session rests on, and gives its secret. `None` when it no longer counts.
    fn resume(&self, session: &Session) -> Option<Vec<u8>> {
        let witness = Witness::current()?;
        if !self.still_counts(&session.rests_on) {
            return None;
        }
        witness.resumed.replace(Some(session.rests_on.clone()));
        Some(session.secret.to_vec())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, secret: Vec<u8>) -> bool {
        let Some(rests_on) = Witness::current().and_then(|witness| self.rests_on(&witness)) else { return false };
        let session = Session { secret: secret.into(), rests_on };
        self.with(|kept| {
            kept.order.push_back(key.clone());
            kept.sessions.insert(key, session);
            while kept.order.len() > MOST {
                let oldest = kept.order.pop_front();
                oldest.and_then(|oldest| kept.sessions.remove(&oldest));
            }
        });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|kept| kept.sessions.get(key).and_then(|session| self.resume(session)))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let session = self.with(|kept| kept.sessions.remove(key))?;
        self.resume(&session)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
