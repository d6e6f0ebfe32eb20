//! Room 6: forwards an [`Allowed`], and nothing else, to the service behind.
//!
//! In: an `Allowed`, by value. Out: the answer's head and a body that streams, or a [`ForwardError`].
//!
//! | file | what happens there |
//! |---|---|
//! | `forward` | the exchange: one place, one connection, the request, the answer, and what may be tried again |
//! | `headers` | the journey of the header fields: strip, then set |
//! | `assertion` | who asks, as a JWT of our own |
//! | `token_exchange` | the service's own token, got for the client's |
//! | `target` | the request target, byte for byte what was authorised |
//! | `body` | streaming both ways, with deadlines |
//! | `upgrade`, `tunnel`, `websocket` | upgraded connections |
//! | `upstreams`, `endpoint`, `balance`, `budget`, `health` | what all workers share |
//! | `pool`, `dials`, `connect`, `socket`, `tls` | one worker's connections |

mod assertion;
mod balance;
mod body;
mod budget;
mod connect;
mod dials;
mod endpoint;
mod error;
mod forward;
mod headers;
mod health;
mod pool;
pub mod settings;
mod socket;
mod spare;
mod target;
mod tls;
mod token_exchange;
mod tunnel;
mod upgrade;
mod upstreams;
mod websocket;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::Response;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::assertion::Assertions;
pub use self::assertion::{AssertionError, AssertionSettings, Signer};
pub use self::body::Body;
use self::endpoint::Endpoint;
pub use self::error::{Deadline, ForwardError, StreamError};
use self::forward::Exchange;
pub use self::headers::is_owned;
pub use self::health::Caretaker;
use self::pool::Pool;
use self::settings::Settings;
pub use self::socket::Socket;
pub use self::tls::{Tls, TlsError, TlsParts};
pub use self::token_exchange::{ExchangedToken, NotExchanged, TokenExchangeSettings};
pub use self::upstreams::{EndpointStatus, Upstreams};
use crate::identity::Name;
use crate::lease::{Ended, Leases};
use crate::policy::Allowed;

/// One worker's connections to every endpoint, and what it told services lately. They outlive a reload that does not
/// concern them.
#[derive(Default)]
pub struct Pools {
    pools: RefCell<HashMap<u64, Rc<Pool>, foldhash::fast::RandomState>>,
    assertions: Assertions,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Forwarded {
    /// The answer; its body streams.
    pub response: Response<Body>,
    /// Which upstream.
    pub upstream: Name,
    /// Which endpoint, by its URL.
    pub endpoint: Arc<str>,
    /// For an upgraded connection: tells its end.
    pub tunnel: Option<oneshot::Receiver<Ended>>,
}

impl Pools {
    /// No connections yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forwards a request that was admitted as of `now`, on either clock, and gives the answer's head as soon as it is there.
    ///
    /// # Errors
    /// [`ForwardError`] when there is no answer. Dropping the future takes the request back: its connection is closed.
    pub fn forward<'a>(
        &'a self,
        allowed: Allowed,
        upstreams: &'a Upstreams,
        leases: &Leases,
        now: (Timestamp, Instant),
    ) -> impl Future<Output = Result<Forwarded, ForwardError>> + use<'a> {
        Exchange::of(allowed, leases, now).run(self, upstreams)
    }

    /// The pool of an endpoint. A new endpoint means that the configuration has changed: what it no longer names goes.
    fn pool(&self, endpoint: &Arc<Endpoint>, settings: &Settings, upstreams: &Upstreams) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.get(&endpoint.id) {
            return pool.clone();
        }
        pools.retain(|id, _| upstreams.has_endpoint(*id));
        let pool = Pool::new(endpoint.clone(), settings.pool);
        pools.insert(endpoint.id, pool.clone());
        pool
    }
}

#[cfg(test)]
mod tests;
