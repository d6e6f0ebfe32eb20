//! How the provider behaves, endpoint by endpoint: well, or badly in one of the ways that a gateway must survive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One of the provider's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Both well-known documents.
    Discovery,
    /// The key set.
    Jwks,
    /// The token endpoint.
    Token,
    /// The introspection endpoint.
    Introspection,
    /// The revocation endpoint.
    Revocation,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Discovery, Self::Jwks, Self::Token, Self::Introspection, Self::Revocation];
}

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It closes the connection without an answer.
    Down,
    /// It answers 503.
    Failing,
    /// It answers after this long.
    Slow(Duration),
    /// It takes the request and never answers.
    Silent,
    /// It answers 200 with something that is no JSON.
    Garbage,
    /// It answers 200 with JSON of two megabytes.
    Huge,
    /// It sends the client elsewhere: 302 to this port of the loopback address.
    Redirect(u16),
}

/// The moods of all endpoints, and how often each was asked.
#[derive(Debug, Default)]
pub(super) struct Moods([Desk; Endpoint::ALL.len()]);

#[derive(Debug, Default)]
struct Desk {
    mood: Mutex<Mood>,
    asked: AtomicU64,
}

impl Moods {
    pub(super) fn set(&self, endpoint: Endpoint, mood: Mood) {
        *self.desk(endpoint).mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Counts a request and says how to meet it.
    pub(super) fn ask(&self, endpoint: Endpoint) -> Mood {
        let desk = self.desk(endpoint);
        desk.asked.fetch_add(1, Ordering::Relaxed);
        *desk.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self, endpoint: Endpoint) -> u64 {
        self.desk(endpoint).asked.load(Ordering::Relaxed)
    }

    const fn desk(&self, endpoint: Endpoint) -> &Desk {
        let [discovery, jwks, token, introspection, revocation] = &self.0;
        match endpoint {
            Endpoint::Discovery => discovery,
            Endpoint::Jwks => jwks,
            Endpoint::Token => token,
            Endpoint::Introspection => introspection,
            Endpoint::Revocation => revocation,
        }
    }
}
