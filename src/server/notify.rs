//! Tells the service manager how the start and the stop go (`sd_notify(3)`): a datagram to the socket that
//! `NOTIFY_SOCKET` names. Without it, or when nobody listens, nothing happens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A turn in the service's life.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// It serves.
    Ready,
    /// It drains.
    Stopping,
    /// Another process of this service serves from here on.
    Succeeded(u32),
}

/// Tells whoever started this process.
pub fn notify(turn: Turn) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = tell(&socket, turn)
    {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn tell(socket: &OsStr, turn: Turn) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let text = match turn {
        Turn::Ready => "READY=1\nSTATUS=Serving".into(),
        Turn::Stopping => "STOPPING=1\nSTATUS=Draining".into(),
        Turn::Succeeded(process) => format!("READY=1\nMAINPID={process}\nSTATUS=Serving"),
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::{Turn, tell};

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer.get(..length).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_socket_in_the_file_system_is_told() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        tell(path.as_os_str(), Turn::Ready).unwrap();
        assert!(received(&socket).starts_with("READY=1\n"));
        tell(path.as_os_str(), Turn::Stopping).unwrap();
        assert!(received(&socket).starts_with("STOPPING=1\n"));
        tell(path.as_os_str(), Turn::Succeeded(4711)).unwrap();
        assert!(received(&socket).contains("\nMAINPID=4711\n"));
    }

    #[test]
    fn a_socket_without_a_file_is_told() {
        let name = format!("portcullis-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tell(format!("@{name}").as_ref(), Turn::Ready).unwrap();
        assert!(received(&socket).starts_with("READY=1\n"));
    }

    #[test]
    fn nobody_there_is_an_error_and_no_more() {
        assert!(tell("/nowhere/at/all".as_ref(), Turn::Ready).is_err());
    }
}
