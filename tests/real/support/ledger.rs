//! A service that writes down what reaches it, byte for byte as far as it goes: heads, bodies, and bodies that broke off.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Listens until the test ends, and answers 200 to whatever is whole.
pub(crate) struct Ledger {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// One request, or what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The first line and the fields, as they came.
    pub(crate) head: String,
    /// The body without its framing; `None` while it is not whole.
    pub(crate) body: Option<String>,
}

impl Entry {
    /// The value of a field that occurs once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let first = values.next();
        assert_eq!(values.next(), None, "{name} occurs twice in {:?}", self.head);
        first
    }

    /// The first line, and the body after it.
    pub(crate) fn told(&self) -> String {
        let line = self.head.lines().next().unwrap_or_default();
        let line = line.trim_end_matches(" HTTP/1.1");
        self.body.as_ref().map_or_else(|| format!("{line} (broken off)"), |body| format!("{line} {body}"))
    }
}

impl Ledger {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let ledger = Self { address: listener.local_addr().unwrap(), entries: Arc::default() };
        let entries = ledger.entries.clone();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let entries = entries.clone();
                thread::spawn(move || converse(&socket, &entries));
            }
        });
        ledger
    }

    /// All that came so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }
}

fn converse(mut socket: &TcpStream, entries: &Mutex<Vec<Entry>>) {
    let mut reader = BufReader::new(socket);
    while let Some(head) = head(&mut reader) {
        let entry = Entry { head, body: None };
        let place = {
            let mut entries = entries.lock().unwrap();
            entries.push(entry.clone());
            entries.len() - 1
        };
        let Some(body) = body(&entry, &mut reader) else { return };
        entries.lock().unwrap()[place].body = Some(body);
        if socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn body(entry: &Entry, reader: &mut impl BufRead) -> Option<String> {
    let mut body = Vec::new();
    if entry.field("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim_end(), 16).ok()?;
            let begun = body.len();
            body.resize(begun + size + 2, 0);
            reader.read_exact(&mut body[begun..]).ok()?;
            assert!(body.ends_with(b"\r\n"), "a piece is longer than it says");
            body.truncate(begun + size);
            if size == 0 {
                return String::from_utf8(body).ok();
            }
        }
    }
    body.resize(entry.field("content-length").map_or(0, |length| length.parse().unwrap()), 0);
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}
