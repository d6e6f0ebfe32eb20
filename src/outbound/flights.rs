//! One flight for everybody who waits for the same thing. It flies on the control runtime: a client that hangs up
//! neither ends it nor repeats it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// The most flights at a time, counting those whose turn has not come.
const MOST: usize = 1024;

/// What a flight is about: a SHA-256, for where secrets are waited for they are not kept.
pub type Subject = [u8; 32];

/// The flights of one server. Cloned, it is the same flights.
#[derive(Clone, Debug)]
pub struct Flights<T> {
    under_way: Arc<Mutex<UnderWay<T>>>,
    control: Handle,
}

type UnderWay<T> = HashMap<Subject, watch::Receiver<Option<T>>>;

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// None yet. They will fly on `control`.
    pub fn new(control: &Handle) -> Self {
        Self { under_way: Arc::default(), control: control.clone() }
    }

    /// What the flight about `subject` brings, which `begin` begins unless it is under way. Nothing when there are too
    /// many, or it broke off.
    pub async fn join<F>(&self, subject: Subject, begin: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut landing = self.board(subject, begin)?;
        let landed = landing.wait_for(Option::is_some).await;
        landed.ok().and_then(|outcome| outcome.clone())
    }

    fn board<F>(&self, subject: Subject, begin: impl FnOnce() -> F) -> Option<watch::Receiver<Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.get(&subject) {
            return Some(flight.clone());
        }
        if under_way.len() >= MOST {
            return None;
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(subject, receiver.clone());
        drop(under_way);
        let flight = Flight { under_way: self.under_way.clone(), subject };
        let journey = begin();
        self.control.spawn(async move {
            let outcome = journey.await;
            // First the next one may begin: what this one brought is where it looks before.
            drop(flight);
            sender.send_replace(Some(outcome));
        });
        Some(receiver)
    }
}

/// A flight under way. Its end, by whatever cause, makes room for the next.
struct Flight<T> {
    under_way: Arc<Mutex<UnderWay<T>>>,
    subject: Subject,
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.subject);
    }
}

/// A panic while the lock was held leaves nothing half-done behind it: each write is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
