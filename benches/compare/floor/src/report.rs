//! What a load tells the comparison: when it is ready, and what came of it, as one line of JSON.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustls::HandshakeKind;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Fault;

/// Says that all is prepared, and waits for the word to go on. Nothing else runs meanwhile.
pub fn ready() -> Result<(), Fault> {
    println!("ready");
    match std::io::stdin().read_line(&mut String::new())? {
        0 => Err("nobody waits for the rest".into()),
        _ => Ok(()),
    }
}

/// Handshakes by kind and group, and how long everything took.
#[derive(Default)]
pub struct Report(RefCell<Counted>);

#[derive(Default)]
struct Counted {
    kinds: BTreeMap<&'static str, u64>,
    groups: BTreeMap<String, u64>,
    latencies: Vec<Duration>,
}

impl Report {
    pub fn handshake(&self, stream: &TlsStream<TcpStream>) {
        let session = stream.get_ref().1;
        let kind = match session.handshake_kind() {
            Some(HandshakeKind::Full) => "full",
            Some(HandshakeKind::Resumed) => "resumed",
            _ => "retried",
        };
        let group =
            session.negotiated_key_exchange_group().map_or("none".into(), |group| format!("{:?}", group.name()));
        let mut counted = self.0.borrow_mut();
        *counted.kinds.entry(kind).or_default() += 1;
        *counted.groups.entry(group).or_default() += 1;
    }

    pub fn answered(&self, since: Instant) {
        self.0.borrow_mut().latencies.push(since.elapsed());
    }

    pub fn print(&self) {
        let mut counted = self.0.borrow_mut();
        counted.latencies.sort_unstable();
        let at = |part: f64| {
            let rank = (counted.latencies.len() as f64 * part) as usize;
            counted.latencies.get(rank).map(|latency| latency.as_secs_f64() * 1e3)
        };
        let answered = counted.latencies.len();
        println!(
            "{}",
            json!({ "answered": answered, "kinds": counted.kinds, "groups": counted.groups, "p50": at(0.5), "p99": at(0.99) })
        );
    }
}
