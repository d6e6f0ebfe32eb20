//! Hands everything that listens over to another process of the same program, which serves from then on while this one
//! drains: no port is ever closed, and nobody is refused.
//!
//! The two speak over a pair of Unix sockets; the new process finds its end in place of its standard input. Descriptors
//! travel as `SCM_RIGHTS` (unix(7)), so nothing depends on numbers or on what a program inherits. Revocations go along,
//! and later ones cross in both directions until the old process has drained: what is revoked is revoked in both. The
//! old process says from when on it takes no DPoP proofs: what it may have taken until then, the new one does not.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::surfaces::Surface;
use crate::authn::{ProofMemory, Revocations, Revoked};
use crate::identity::Name;
use crate::listener::{self, Inherited};

/// Tells a new process that its standard input is its end of the line.
const MARK: &str = "PORTCULLIS_HANDOVER";
/// How long the new process may take until it serves, and the old one until it has said everything.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the old process may need beyond its drain limit.
const REST: Duration = Duration::from_secs(5);
/// The longest packet.
const MOST: usize = 16 * 1024;

/// What one process tells the other. Each is one packet, with at most one descriptor.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Packet {
    /// A listener's socket. One that is bound once for each worker comes as often.
    Listener { name: String, address: SocketAddr },
    /// The probes' socket.
    Probes { address: SocketAddr },
    /// The control socket.
    Control { path: PathBuf },
    /// Something was revoked.
    Revoked(Revoked),
    /// That was everything.
    Whole,
    /// The new process serves.
    Serving,
    /// From then on the old process, and those before it, take no DPoP proofs.
    Leaves { at: Timestamp },
}

/// What two processes that run at once must agree on.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) revocations: Arc<Revocations>,
    pub(super) proofs: Arc<ProofMemory>,
}

/// One end of the line.
struct Line(OwnedFd);

impl Line {
    fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    fn patience(&self, span: Option<Duration>) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, span)?;
        Ok(set_socket_timeout(&self.0, Timeout::Send, span)?)
    }

    fn send(&self, packet: &Packet, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = serde_json::to_vec(packet)?;
        if bytes.len() > MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a packet is too long"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut extra = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !extra.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for a descriptor"));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut extra, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next packet; an error when the other side is gone or says nothing for too long.
    fn receive(&self) -> io::Result<(Packet, Option<OwnedFd>)> {
        let mut bytes = vec![0; MOST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut extra = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut extra, RecvFlags::CMSG_CLOEXEC)?;
        let descriptor = extra.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let text = bytes.get(..received.bytes).filter(|text| !text.is_empty());
        let packet = serde_json::from_slice(text.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        Ok((packet, descriptor))
    }
}

/// What a process listens on, kept beside the sockets in use so that it can be handed over.
#[derive(Default)]
pub(super) struct Held {
    pub(super) listeners: Vec<Inherited>,
    pub(super) probes: Option<Surface<SocketAddr>>,
    pub(super) control: Option<Surface<PathBuf>>,
}

impl Held {
    /// Everything once more.
    pub(super) fn copy(&self) -> io::Result<Self> {
        let listeners = self.listeners.iter().map(Inherited::copy).collect::<io::Result<_>>()?;
        let probes = self.probes.as_ref().map(Surface::copy).transpose()?;
        let control = self.control.as_ref().map(Surface::copy).transpose()?;
        Ok(Self { listeners, probes, control })
    }

    /// These listeners and no others are held from here on; `opened` are the sockets of those that are new. A copy of a
    /// socket that nobody accepts from any more would keep clients waiting.
    pub(super) fn follow(&mut self, listeners: &[listener::Settings], opened: Vec<Inherited>) {
        let is_one =
            |held: &Inherited| listeners.iter().any(|one| one.name == held.listener && one.address == held.address);
        self.listeners.retain(is_one);
        self.listeners.extend(opened);
    }
}

/// What a process was given by the one before it.
#[derive(Default)]
pub struct Inheritance {
    pub(super) listeners: Vec<Inherited>,
    pub(super) probes: Option<(SocketAddr, TcpListener)>,
    pub(super) control: Option<(PathBuf, UnixListener)>,
    revoked: Vec<Revoked>,
    line: Option<Line>,
}

impl Inheritance {
    /// What the process before this one hands over; nothing when this one was started by anybody else.
    ///
    /// # Errors
    /// When the other process breaks off: it serves on, and this one must not.
    pub fn receive() -> io::Result<Self> {
        if std::env::var_os(MARK).is_none() {
            return Ok(Self::default());
        }
        let line = Line(io::stdin().as_fd().try_clone_to_owned()?);
        line.patience(Some(PATIENCE))?;
        let mut inheritance = Self::default();
        loop {
            let (packet, descriptor) = line.receive()?;
            let descriptor = || descriptor.ok_or_else(|| io::Error::other("a packet came without its descriptor"));
            match packet {
                Packet::Listener { name, address } => {
                    let socket = TcpListener::from(descriptor()?);
                    inheritance.listeners.push(Inherited { listener: Name::new(name), address, socket });
                }
                Packet::Probes { address } => inheritance.probes = Some((address, TcpListener::from(descriptor()?))),
                Packet::Control { path } => inheritance.control = Some((path, UnixListener::from(descriptor()?))),
                Packet::Revoked(revoked) => inheritance.revoked.push(revoked),
                Packet::Whole => break,
                Packet::Serving | Packet::Leaves { .. } => return Err(io::Error::other("the wrong side speaks")),
            }
        }
        inheritance.line = Some(line);
        Ok(inheritance)
    }

    /// Whether another process serves still.
    pub(super) const fn has_predecessor(&self) -> bool {
        self.line.is_some()
    }

    /// Takes over what was revoked before this process began.
    pub(super) fn restore(&self, revocations: &Revocations) -> io::Result<()> {
        self.revoked.iter().try_for_each(|revoked| revocations.restore(revoked).map_err(io::Error::other))
    }

    /// Tells the process before that this one serves; from here on it drains.
    pub(super) fn serving(&mut self, common: &Common) -> io::Result<()> {
        let Some(line) = self.line.take() else { return Ok(()) };
        line.send(&Packet::Serving, None)?;
        share(line, common)
    }
}

/// Starts `program` and hands over to it. When this returns, it serves, and this process is to be gone after `drain`.
pub(super) fn hand_over(
    held: &Held,
    common: &Common,
    drain: Duration,
    program: &Path,
    arguments: &[OsString],
) -> io::Result<u32> {
    let (line, other) = Line::pair()?;
    line.patience(Some(PATIENCE))?;
    let mut command = Command::new(program);
    command.args(arguments).env(MARK, "1").env_remove("LISTEN_FDS").stdin(Stdio::from(other.0));
    let mut child = command.spawn()?;
    // The command holds the other end as well: without this, nobody would notice that the new process is gone.
    drop(command);
    match tell(&line, held, &common.revocations) {
        Ok(()) => {
            let id = child.id();
            let at = common.proofs.leave(in_time(drain.saturating_add(REST)));
            // Untold, the new process takes no proof without a nonce of its own.
            if let Err(error) = line.send(&Packet::Leaves { at }, None) {
                tracing::error!(%error, "the new process cannot be told when this one leaves");
            }
            share(line, common)?;
            Ok(id)
        }
        Err(error) => Err(give_up(&mut child, error)),
    }
}

/// So long from now.
fn in_time(span: Duration) -> Timestamp {
    Timestamp::now().checked_add(span).unwrap_or(Timestamp::MAX)
}

fn tell(line: &Line, held: &Held, revocations: &Revocations) -> io::Result<()> {
    for Inherited { listener, address, socket } in &held.listeners {
        let packet = Packet::Listener { name: listener.to_string(), address: *address };
        line.send(&packet, Some(socket.as_fd()))?;
    }
    if let Some(Surface { place, socket, .. }) = &held.probes {
        line.send(&Packet::Probes { address: *place }, Some(socket.as_fd()))?;
    }
    if let Some(Surface { place, socket, .. }) = &held.control {
        line.send(&Packet::Control { path: place.clone() }, Some(socket.as_fd()))?;
    }
    for revoked in revocations.all() {
        line.send(&Packet::Revoked(revoked), None)?;
    }
    line.send(&Packet::Whole, None)?;
    match line.receive()? {
        (Packet::Serving, _) => Ok(()),
        _ => Err(io::Error::other("the new process does not speak this version's language")),
    }
}

/// The new process is ended, whatever it does: this one serves on.
fn give_up(child: &mut Child, error: io::Error) -> io::Error {
    let _ = child.kill();
    let how = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    io::Error::other(format!("the new process did not come to serve ({how}): {error}"))
}

/// Tells the other process what is revoked here, and revokes here what is revoked there, for as long as both live. What
/// was revoked while they spoke of other things is told again.
fn share(line: Line, common: &Common) -> io::Result<()> {
    line.patience(None)?;
    let news = common.revocations.subscribe();
    let (told, mine) = (Line(line.0.try_clone()?), common.revocations.clone());
    std::thread::Builder::new().name("handover-out".into()).spawn(move || {
        let all = mine.all();
        for revoked in all.into_iter().chain(news) {
            if told.send(&Packet::Revoked(revoked), None).is_err() {
                return;
            }
        }
    })?;
    let mine = common.clone();
    std::thread::Builder::new().name("handover-in".into()).spawn(move || {
        while let Ok((packet, _)) = line.receive() {
            match packet {
                Packet::Revoked(revoked) => {
                    if let Err(error) = mine.revocations.restore(&revoked) {
                        tracing::error!(%error, "a revocation of the other process does not count here");
                    }
                }
                Packet::Leaves { at } => mine.proofs.is_alone(at),
                _ => return,
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::{Common, Held, Inherited, Line, Packet, share};
    use crate::authn::{ProofMemory, Revocation, Revocations};
    use crate::identity::{Issuer, Name, Principal};
    use crate::listener;

    fn somebody(subject: &str) -> Revocation {
        Revocation::Principal(Principal { issuer: Issuer::new("https://login.example"), subject: subject.into() })
    }

    fn revoke(revocations: &Revocations, subject: &str) {
        let now = Timestamp::now();
        revocations.revoke(somebody(subject), now, now + SignedDuration::from_hours(1)).unwrap();
    }

    fn until(revocations: &Revocations, count: usize) {
        for _ in 0..1_000 {
            if revocations.len() == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} instead of {count}", revocations.len());
    }

    #[test]
    fn a_socket_arrives_and_is_the_same() {
        let (one, other) = Line::pair().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        one.send(&Packet::Listener { name: "edge".into(), address }, Some(socket.as_fd())).unwrap();
        drop(socket);
        let (packet, descriptor) = other.receive().unwrap();
        assert!(matches!(packet, Packet::Listener { name, address: stated } if name == "edge" && stated == address));
        let socket = TcpListener::from(descriptor.unwrap());
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(socket.accept().unwrap().1, client.local_addr().unwrap());
    }

    #[test]
    fn of_a_listener_that_is_gone_no_socket_is_kept() {
        let held = |name: &str| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            Inherited { listener: Name::new(name), address: socket.local_addr().unwrap(), socket }
        };
        let settings = |held: &Inherited| listener::Settings {
            name: held.listener.clone(),
            address: held.address,
            door: listener::Door::Plain,
            proxy_protocol: Vec::new(),
            trusted_proxies: Vec::new(),
        };
        let (stays, goes, comes) = (held("stays"), held("goes"), held("comes"));
        let (listeners, gone) = ([settings(&stays), settings(&comes)], goes.address);
        let mut held = Held { listeners: vec![stays, goes], ..Held::default() };
        held.follow(&listeners, vec![comes]);
        let copy = held.copy().unwrap();
        drop(held);
        let names: Vec<_> = copy.listeners.iter().map(|held| held.listener.as_str()).collect();
        assert_eq!(names, ["stays", "comes"]);
        std::net::TcpStream::connect(gone).unwrap_err();
        std::net::TcpStream::connect(copy.listeners[1].address).unwrap();
    }

    #[test]
    fn whoever_is_gone_is_noticed() {
        let (one, other) = Line::pair().unwrap();
        drop(other);
        assert!(one.receive().is_err());
        assert!(one.send(&Packet::Whole, None).is_err());
        let (one, _other) = Line::pair().unwrap();
        one.patience(Some(Duration::from_millis(20))).unwrap();
        assert!(one.receive().is_err(), "silence ends, too");
    }

    fn common(revocations: &Arc<Revocations>) -> Common {
        let proofs = Arc::new(ProofMemory::since(Timestamp::MAX));
        Common { revocations: revocations.clone(), proofs }
    }

    #[test]
    fn the_new_process_hears_when_the_old_one_leaves() {
        let (here, there) = Line::pair().unwrap();
        let new = common(&Arc::default());
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000);
        share(there, &new).unwrap();
        here.send(&Packet::Leaves { at }, None).unwrap();
        // A later packet over the same line says that the one before was read.
        let revoked = Revocations::default();
        revoke(&revoked, "after");
        here.send(&Packet::Revoked(revoked.all().remove(0)), None).unwrap();
        until(&new.revocations, 1);
        assert_eq!(new.proofs.leave(Timestamp::UNIX_EPOCH), at, "alone from then on");
    }

    /// Old, new and newest at once: whatever is revoked in one is revoked in all, and each once.
    #[test]
    fn what_is_revoked_in_one_process_is_revoked_in_all() {
        let [old, new, newest]: [Arc<Revocations>; 3] = Default::default();
        revoke(&old, "before");
        for (one, other) in [(&old, &new), (&new, &newest)] {
            let (here, there) = Line::pair().unwrap();
            share(here, &common(one)).unwrap();
            share(there, &common(other)).unwrap();
        }
        until(&newest, 1);
        revoke(&newest, "late");
        until(&old, 2);
        revoke(&old, "later");
        until(&newest, 3);
        until(&new, 3);
    }
}
