//! One connection from its accept to its end.

use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::census::Present;
use super::crowd::Place;
use super::entrance::OpenDoor;
use super::event::EventKind;
use super::greeting::{Failed, Greeted, greet};
use super::hall::{Arrived, Hall};
use super::pace::Pace;
use super::proxy_header;
use super::resident::{Arrival, Resident, peer_check};
use super::serve::{Visit, serve};
use super::service::Service;
use super::settings::ClientPolicy;
use super::stream::Transport;
use super::workers::Phase;
use crate::identity::PeerCertificate;
use crate::request::{Connection, Derived, HttpVersion};
use crate::upstream::Socket;

/// Attends to one connection. What goes wrong outside of a request is reported, once.
pub(super) async fn attend<S: Service>(
    socket: TcpStream,
    arrived: Arrived,
    place: Place,
    present: Present,
    hall: Rc<Hall<S>>,
) {
    let mut watch = Watch { hall: &hall, arrived: &arrived, told: false };
    let deadline = Instant::now() + hall.limits().handshake;
    // Boxed, so that what the handshake needs is given back when it is over.
    let welcomed = Box::pin(welcome(socket, &arrived, &place, &hall));
    let welcomed = match tokio::time::timeout_at(deadline, welcomed).await {
        Ok(welcomed) => welcomed,
        Err(_) => Err(Some((EventKind::HandshakeTimeout, None))),
    };
    place.has_shaken_hands();
    let ended = match welcomed {
        Ok((transport, arrival)) => {
            let (http, redirect) = (arrival.connection.http, arrival.redirect);
            let pace = Arc::new(Pace::new(http, arrival.longest(&hall.clock)));
            let resident = Resident::new(arrived.entrance.clone(), hall.clock.clone(), arrival, pace.clone());
            serve(Visit { transport, present, place, resident, pace, http, redirect }, &hall).await.map_err(Some)
        }
        Err(failed) => Err(failed),
    };
    watch.tell(ended.err().flatten());
}

/// Reports how a connection ended, also when its task is dropped in the middle.
struct Watch<'a, S> {
    hall: &'a Hall<S>,
    arrived: &'a Arrived,
    told: bool,
}

impl<S> Watch<'_, S> {
    fn tell(&mut self, ended: Option<(EventKind, Option<Box<str>>)>) {
        self.told = true;
        if let Some((kind, detail)) = ended {
            self.hall.report(self.arrived, kind, detail);
        }
    }
}

impl<S> Drop for Watch<'_, S> {
    fn drop(&mut self) {
        if !self.told {
            let cut = *self.hall.phase.borrow() == Phase::Cut;
            self.hall.report(self.arrived, if cut { EventKind::Cut } else { EventKind::Shed }, None);
        }
    }
}

async fn welcome<S>(
    mut socket: TcpStream,
    arrived: &Arrived,
    place: &Place,
    hall: &Hall<S>,
) -> Result<(Transport, Arrival), Failed> {
    // Answers are small and complete: waiting for more of them only adds latency.
    let _ = socket.set_nodelay(true);
    let opening = Arc::clone(&arrived.entrance.opening());
    if opening.expects_proxy_header(arrived.client.get().ip()) {
        let stated = proxy_header::read(&mut socket)
            .await
            .map_err(|error| Some((EventKind::ProxyHeader, Some(error.to_string().into()))))?;
        if let Some((client, local)) = stated {
            arrived.client.set(client);
            arrived.local.set(local);
        }
        place.shakes_hands(arrived.client.get().ip());
        hall.crowd.evict_excess(arrived.client.get().ip(), hall.handshakes());
    }
    let (id, listener, derived) = (arrived.id, arrived.entrance.name.clone(), Derived::default());
    let (client, local, generation) = (arrived.client.get(), arrived.local.get(), opening.generation);
    let port = match &opening.door {
        OpenDoor::Tls(tls) => {
            let greeted = greet(Socket::new(socket), tls).await?;
            let Greeted { stream, tls, peer, http, client: policy, standing } = greeted;
            hall.meters.connections.handshakes.add(1);
            hall.meters.connections.resumed.add(u64::from(tls.resumed));
            let peer = match (peer, &standing) {
                (PeerCertificate::Verified(identity), Some(standing)) => {
                    let check = peer_check(&arrived.entrance, tls.server_name.as_deref(), standing);
                    PeerCertificate::Verified(identity.checked_by(check))
                }
                (other, _) => other,
            };
            let connection = Connection { id, listener, client, local, tls: Some(tls), peer, http, derived };
            let arrival = Arrival { connection, client: policy, standing, generation, redirect: None };
            return Ok((Transport::Tls(Box::new(stream)), arrival));
        }
        OpenDoor::Plain => None,
        OpenDoor::Redirect { port } => Some(*port),
    };
    let (peer, http) = (PeerCertificate::Absent, HttpVersion::Http1);
    let connection = Connection { id, listener, client, local, tls: None, peer, http, derived };
    let arrival = Arrival { connection, client: ClientPolicy::Off, standing: None, generation, redirect: port };
    Ok((Transport::Plain(Socket::new(socket)), arrival))
}
