//! A connection that lives on while certificates expire and the configuration changes under it.
//!
//! What the handshake proved is asked again: at each request whether it has run out, after a reload whether the
//! authority is still trusted and the certificate not revoked. A connection never gains by that, it can only lose.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::entrance::{Entrance, OpenDoor};
use super::pace::Pace;
use super::settings::ClientPolicy;
use super::tls::ListenerTls;
use super::trust::{Standing, TrustBundle};
use crate::identity::{Name, PeerCertificate, PeerCheck, PeerRefusal};
use crate::request::{Connection, ConnectionId, HostProfiles, TlsFacts};
use crate::telemetry::Clock;

/// The longest time before the end of a client's certificate at which its connection is closed, so that the client
/// comes back with the next one before a request is refused.
const HEAD_START: Duration = Duration::from_secs(30);

/// One connection and what it rests on.
pub(super) struct Resident {
    entrance: Arc<Entrance>,
    clock: Clock,
    current: RefCell<Arc<Connection>>,
    generation: Cell<u64>,
    /// The policy under which the client was let in.
    client: RefCell<ClientPolicy>,
    standing: Option<Arc<Standing>>,
    /// Until when the standing cannot run out; seconds since 1970.
    good_until: Cell<i64>,
    pace: Arc<Pace>,
}

/// A connection as the handshake left it.
pub(super) struct Arrival {
    pub(super) connection: Connection,
    pub(super) client: ClientPolicy,
    /// What a verified client certificate rests on.
    pub(super) standing: Option<Arc<Standing>>,
    /// The configuration under which it came.
    pub(super) generation: u64,
    /// The port that every request is redirected to.
    pub(super) redirect: Option<u16>,
}

impl Arrival {
    /// Until when its certificate counts; seconds since 1970.
    fn good_until(&self) -> i64 {
        let standing = self.standing.as_ref();
        standing.map_or(i64::MAX, |standing| {
            bundle(&self.client, &standing.bundle).map_or(0, |it| it.holds_until(standing))
        })
    }

    /// How old the connection may become, whatever the limits: until shortly before its client's certificate ends.
    pub(super) fn longest(&self, clock: &Clock) -> Duration {
        let left = self.good_until().saturating_sub(clock.now().as_second());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        left.saturating_sub(HEAD_START.min(left / 20))
    }
}

impl Resident {
    pub(super) fn new(entrance: Arc<Entrance>, clock: Clock, arrival: Arrival, pace: Arc<Pace>) -> Self {
        let good_until = Cell::new(arrival.good_until());
        Self {
            entrance,
            clock,
            current: RefCell::new(Arc::new(arrival.connection)),
            generation: Cell::new(arrival.generation),
            client: RefCell::new(arrival.client),
            standing: arrival.standing,
            good_until,
            pace,
        }
    }

    /// Its number. Unlike [`Self::connection`] this judges nothing: who has asked nothing yet is not told to go.
    pub(super) fn id(&self) -> ConnectionId {
        self.current.borrow().id
    }

    /// The connection as it stands for the next request.
    pub(super) fn connection(&self) -> Arc<Connection> {
        if self.generation.get() != self.entrance.opening().generation {
            self.review();
        }
        if self.entrance.is_closed() {
            self.pace.is_spent();
        }
        if self.good_until.get() != i64::MAX && self.clock.now().as_second() >= self.good_until.get() {
            self.ask_again();
        }
        self.current.borrow().clone()
    }

    /// What its answers say in `Strict-Transport-Security`.
    pub(super) fn hsts(&self) -> Option<HeaderValue> {
        self.entrance.opening().hsts.clone()
    }

    /// After a reload: does the client still belong to a profile, and does its certificate still count there?
    fn review(&self) {
        let opening = self.entrance.opening();
        self.generation.set(opening.generation);
        let mut connection = Connection::clone(&self.current.borrow());
        let Connection { tls: Some(tls), peer, .. } = &mut connection else { return };
        match &opening.door {
            OpenDoor::Tls(door) => self.move_in(door, tls, peer),
            OpenDoor::Plain | OpenDoor::Redirect { .. } => self.strand(tls),
        }
        self.current.replace(Arc::new(connection));
        self.ask_again();
    }

    fn move_in(&self, door: &ListenerTls, tls: &mut TlsFacts, peer: &mut PeerCertificate) {
        let profile = door.profile(tls.server_name.as_deref());
        let was_asked = strictness(&profile.client) <= strictness(&self.client.borrow());
        if matches!(peer, PeerCertificate::Absent) && !was_asked {
            return self.strand(tls);
        }
        if matches!((&profile.client, &peer), (ClientPolicy::Off, PeerCertificate::Verified(_))) {
            *peer = PeerCertificate::Absent;
        }
        (tls.profile, tls.hosts) = (profile.name.clone(), door.hosts().clone());
        self.client.replace(profile.client.clone());
    }

    /// The client would have to show more than it was asked for: from here on every host is misdirected, 421, and the
    /// client opens a new connection.
    fn strand(&self, tls: &mut TlsFacts) {
        tls.hosts = Arc::new(HostProfiles::new(Name::new(""), []));
        self.pace.is_spent();
    }

    /// Asks whether the client's certificate still counts, and refuses it from here on if not.
    fn ask_again(&self) {
        let Some(standing) = &self.standing else { return };
        if !matches!(self.current.borrow().peer, PeerCertificate::Verified(_)) {
            return self.good_until.set(i64::MAX);
        }
        let now = self.clock.now().as_second();
        let client = self.client.borrow();
        let held = match bundle(&client, &standing.bundle) {
            None => Err(PeerRefusal::UnknownIssuer),
            Some(bundle) => bundle.holds(standing, now).map(|()| bundle.holds_until(standing)),
        };
        match held {
            Ok(until) => self.good_until.set(until),
            Err(refusal) => {
                let mut connection = Connection::clone(&self.current.borrow());
                connection.peer = PeerCertificate::Refused(refusal);
                self.current.replace(Arc::new(connection));
                self.good_until.set(i64::MAX);
                self.pace.is_spent();
            }
        }
    }
}

/// Asks whether the certificate of a client that asked for `server_name` would be accepted under the configuration in
/// force: for exchanges that stay open between two requests.
pub(super) fn peer_check(entrance: &Arc<Entrance>, server_name: Option<&str>, standing: &Arc<Standing>) -> PeerCheck {
    let (entrance, standing) = (entrance.clone(), standing.clone());
    let server_name: Option<Box<str>> = server_name.map(Into::into);
    PeerCheck::new(move |now| {
        let opening = entrance.opening();
        let OpenDoor::Tls(door) = &opening.door else { return Err(PeerRefusal::UnknownIssuer) };
        let client = &door.profile(server_name.as_deref()).client;
        let bundle = bundle(client, &standing.bundle).ok_or(PeerRefusal::UnknownIssuer)?;
        bundle.holds(&standing, now.as_second())
    })
}

fn bundle<'a>(client: &'a ClientPolicy, name: &Name) -> Option<&'a Arc<TrustBundle>> {
    client.trust().iter().find(|bundle| bundle.name() == name)
}

const fn strictness(client: &ClientPolicy) -> u8 {
    match client {
        ClientPolicy::Off => 0,
        ClientPolicy::Optional(_) => 1,
        ClientPolicy::Required(_) => 2,
    }
}
