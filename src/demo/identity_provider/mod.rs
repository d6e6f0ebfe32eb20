//! A small OAuth 2 and OpenID provider for this machine alone: discovery, keys, tokens, introspection, revocation.
//!
//! It speaks plain HTTP, gives people tokens without a password, and binds the loopback address and no other: made for
//! the demo and for tests, and out of reach of `portcullis run`. RFC 6749 section 4.4, RFC 7009, RFC 7517, RFC 7662,
//! RFC 8414, RFC 9068, OpenID Connect Discovery 1.0.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::loopback::Loopback;
use crate::telemetry::Clock;

mod endpoints;
mod form;
mod keys;
mod mood;
mod order;
mod register;

use keys::Keys;
use mood::Moods;
use register::{Client, Issued, PEOPLE};

pub use keys::Signing;
pub use mood::{Endpoint, Mood};
pub use order::Order;
pub use register::PEOPLE_CLIENT;

/// How the provider's opaque tokens begin.
pub const OPAQUE_PREFIX: &str = "ptk_";

/// The grant type by which the client `demo-cli` gets a token for a person, named by the parameter `user`.
pub const PERSON_GRANT: &str = "urn:portcullis:demo:person";

/// A running provider. It stops when this is dropped.
pub struct IdentityProvider {
    shared: Arc<Shared>,
    server: Loopback,
}

/// What becomes of the former keys when new ones are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormerKeys {
    /// They stay in the published set until the next change.
    Published,
    /// They leave it at once.
    Withdrawn,
}

struct Shared {
    issuer: String,
    clock: Clock,
    keys: Mutex<KeySet>,
    clients: Vec<Client>,
    issued: Mutex<Issued>,
    moods: Moods,
}

struct KeySet {
    current: Arc<Keys>,
    former: Option<Arc<Keys>>,
}

impl IdentityProvider {
    /// Starts on a free port, by the system's clock.
    ///
    /// # Errors
    /// When no port can be bound, or the system gives no random numbers.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(0, Clock::system()).await
    }

    /// Starts on `port` of 127.0.0.1 (0 for a free one), by `clock`.
    ///
    /// # Errors
    /// When the port cannot be bound, or the system gives no random numbers.
    pub async fn start_at(port: u16, clock: Clock) -> io::Result<Self> {
        let no_random = || io::Error::other("the system gives no random numbers");
        let keys = KeySet { current: Arc::new(Keys::generate().ok_or_else(no_random)?), former: None };
        let clients = register::clients().ok_or_else(no_random)?;
        let listener = Loopback::bind(port).await?;
        let shared = Arc::new(Shared {
            issuer: format!("http://{}", listener.address()),
            clock,
            keys: Mutex::new(keys),
            clients,
            issued: Mutex::default(),
            moods: Moods::default(),
        });
        let service = shared.clone();
        let server = listener.serve(move |request| endpoints::answer(service.clone(), request));
        Ok(Self { shared, server })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its issuer identifier: the `iss` of its tokens, and where discovery starts.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// The address of an endpoint.
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.shared.issuer, endpoints::path(endpoint))
    }

    /// The secret of a confidential client: `settlement` and `acme` get tokens, `portcullis` introspects, `operator`
    /// changes the keys.
    pub fn client_secret(&self, client: &str) -> Option<&str> {
        let client = self.shared.clients.iter().find(|known| known.id == client)?;
        client.secret.as_ref().map(|secret| secret.expose().as_str())
    }

    /// Orders a token for `alice`, `bob`, `carol` or `frank`, with their groups and the rest; for anybody else a token
    /// that says nothing but their name.
    pub fn token(&self, person: &str) -> Order<'_> {
        match PEOPLE.iter().find(|known| known.name == person) {
            Some(person) => Order::for_person(&self.shared, person),
            None => Order::new(&self.shared, person, PEOPLE_CLIENT, &[]),
        }
    }

    /// Orders a token for a client's own use.
    pub fn client_token(&self, client: &str) -> Order<'_> {
        match self.shared.clients.iter().find(|known| known.id == client) {
            Some(client) => Order::for_client(&self.shared, client),
            None => Order::new(&self.shared, client, client, &[]),
        }
    }

    /// Revokes a token at once, as its client could (RFC 7009).
    pub fn revoke(&self, token: &str) {
        lock(&self.shared.issued).revoke(token);
    }

    /// Makes new keys; from now on they sign.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn rotate(&self, former: FormerKeys) -> io::Result<()> {
        self.shared.rotate(former).ok_or_else(|| io::Error::other("the system gives no random numbers"))
    }

    /// From now on the endpoint behaves like this.
    pub fn behave(&self, endpoint: Endpoint, mood: Mood) {
        self.shared.moods.set(endpoint, mood);
    }

    /// From now on every endpoint behaves like this.
    pub fn behave_everywhere(&self, mood: Mood) {
        for endpoint in Endpoint::ALL {
            self.behave(endpoint, mood);
        }
    }

    /// How often the endpoint was asked, however it answered.
    pub fn asked(&self, endpoint: Endpoint) -> u64 {
        self.shared.moods.asked(endpoint)
    }
}

impl Shared {
    fn rotate(&self, former: FormerKeys) -> Option<()> {
        let fresh = Arc::new(Keys::generate()?);
        let mut keys = lock(&self.keys);
        let replaced = std::mem::replace(&mut keys.current, fresh);
        keys.former = (former == FormerKeys::Published).then_some(replaced);
        Some(())
    }

    fn key_set(&self) -> Value {
        let keys = lock(&self.keys);
        let mut published = keys.current.published();
        published.extend(keys.former.iter().flat_map(|former| former.published()));
        json!({ "keys": published })
    }
}

/// A demo that panicked elsewhere still answers.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
