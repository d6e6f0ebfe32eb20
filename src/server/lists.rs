//! Fetches revocation lists from the addresses that the configuration names, and from no others: a distribution point
//! that a presented certificate names is never asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::identity::Name;
use crate::listener::TrustBundle;
use crate::outbound::{Outbound, OutboundSettings};

/// The largest list, in bytes: about a million entries.
const MOST: usize = 32 << 20;
/// For one fetch.
const TIMEOUT: Duration = Duration::from_secs(60);
/// After a fetch that failed.
const AGAIN: Duration = Duration::from_secs(30);

/// A list that was fetched, as it came.
pub(super) struct Found {
    pub(super) trust: Name,
    pub(super) url: Box<str>,
    pub(super) bytes: Bytes,
}

/// One task for each address of each bundle. They end when it is dropped.
pub(super) struct Lists {
    tasks: HashMap<(Name, Box<str>, Duration), Task>,
    found: mpsc::Sender<Found>,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lists {
    pub(super) fn new() -> (Self, mpsc::Receiver<Found>) {
        let (found, lists) = mpsc::channel(4);
        (Self { tasks: HashMap::new(), found }, lists)
    }

    /// Fetches what these bundles name, and nothing else from here on.
    pub(super) fn follow<'b>(&mut self, bundles: impl IntoIterator<Item = &'b Arc<TrustBundle>>) {
        let mut followed = HashMap::new();
        for bundle in bundles {
            for url in bundle.revocation_urls() {
                let key = (bundle.name().clone(), url.clone(), bundle.refresh());
                let known = self.tasks.remove(&key);
                let task = known.unwrap_or_else(|| {
                    let (name, url, refresh) = key.clone();
                    Task(tokio::spawn(fetch(name, url, refresh, self.found.clone())).abort_handle())
                });
                followed.insert(key, task);
            }
        }
        self.tasks = followed;
    }
}

async fn fetch(trust: Name, url: Box<str>, refresh: Duration, found: mpsc::Sender<Found>) {
    let settings = OutboundSettings { timeout: TIMEOUT, most_body: MOST, ..OutboundSettings::default() };
    let client = match Outbound::new(&settings) {
        Ok(client) => client,
        Err(error) => return tracing::error!(%trust, %url, %error, "revocation lists cannot be fetched"),
    };
    loop {
        let wait = match ask(&client, &url).await {
            Ok(bytes) => {
                if found.send(Found { trust: trust.clone(), url: url.clone(), bytes }).await.is_err() {
                    return;
                }
                refresh
            }
            Err(error) => {
                tracing::warn!(%trust, %url, error, "the revocation list cannot be fetched; the one in force stays");
                AGAIN.min(refresh)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn ask(client: &Outbound, url: &str) -> Result<Bytes, String> {
    let request = Request::get(url).body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
    let answer = client.send(request).await.map_err(|error| error.to_string())?;
    if answer.status == StatusCode::OK { Ok(answer.body) } else { Err(format!("status {}", answer.status.as_u16())) }
}
