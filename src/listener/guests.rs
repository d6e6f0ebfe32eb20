//! The connections of a worker that speak HTTP. When no silent one is left to make room, an idle one does, the one that
//! has been idle for longest first: a stranger could keep all others out with one request on each of many connections.
//! One with an open request never goes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::pace::Pace;
use crate::request::ConnectionId;

/// After a look that found nobody to go, the time until the next: a look at ten thousand connections costs a millisecond.
const AGAIN: Duration = Duration::from_millis(50);
/// One look finds this share of all, for the next who come.
const SHARE: usize = 32;

/// The connections of one worker that speak HTTP.
#[derive(Default)]
pub(super) struct Guests(RefCell<Book>);

#[derive(Default)]
struct Book {
    all: HashMap<ConnectionId, Rc<Guest>>,
    /// Who was idle at the last look, the longest last.
    next: Vec<ConnectionId>,
    /// When a look found nobody.
    in_vain: Option<Instant>,
}

struct Guest {
    pace: Arc<Pace>,
    /// Wakes the task that holds the connection.
    task: RefCell<Option<Waker>>,
}

/// A connection's entry, until this is dropped.
pub(super) struct Stay {
    guests: Rc<Guests>,
    id: ConnectionId,
    guest: Rc<Guest>,
}

impl Guests {
    /// Takes a connection in.
    pub(super) fn enter(self: &Rc<Self>, id: ConnectionId, pace: Arc<Pace>) -> Stay {
        let guest = Rc::new(Guest { pace, task: RefCell::default() });
        self.0.borrow_mut().all.insert(id, guest.clone());
        Stay { guests: self.clone(), id, guest }
    }

    /// Has every connection look at its deadlines.
    pub(super) fn wake(&self) {
        self.0.borrow().all.values().for_each(|guest| guest.wake());
    }

    /// Asks the connection that has been idle for longest to go. `None` when every one has a request open.
    pub(super) fn dismiss(&self) -> Option<ConnectionId> {
        let mut book = self.0.borrow_mut();
        if let Some(id) = book.take_next() {
            return Some(id);
        }
        let now = Instant::now();
        if book.in_vain.is_some_and(|last| now.duration_since(last) < AGAIN) {
            return None;
        }
        book.look();
        let found = book.take_next();
        book.in_vain = found.is_none().then_some(now);
        found
    }
}

impl Book {
    fn take_next(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.next.pop() {
            // It may have asked something since.
            if let Some(guest) = self.all.get(&id).filter(|guest| guest.pace.spare().is_some()) {
                guest.dismiss();
                return Some(id);
            }
        }
        None
    }

    fn look(&mut self) {
        let spare = |(id, guest): (&ConnectionId, &Rc<Guest>)| Some((guest.pace.spare()?, *id));
        let mut found: Vec<_> = self.all.iter().filter_map(spare).collect();
        let share = found.len().div_ceil(SHARE);
        if share < found.len() {
            found.select_nth_unstable(share);
            found.truncate(share);
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        self.next = found.into_iter().map(|(_, id)| id).collect();
    }
}

impl Guest {
    fn dismiss(&self) {
        self.pace.is_dismissed();
        self.wake();
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

impl Stay {
    /// The connection is held by this task.
    pub(super) fn is_held_by(&self, context: &Context<'_>) {
        let mut task = self.guest.task.borrow_mut();
        if !task.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.guests.0.borrow_mut().all.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::advance;

    use super::{AGAIN, Guests, Pace};
    use crate::request::{ConnectionId, HttpVersion};

    fn pace() -> Arc<Pace> {
        Arc::new(Pace::new(HttpVersion::Http1, Duration::from_secs(3_600)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_for_longest_goes_first_and_who_is_busy_never() {
        let guests = Rc::new(Guests::default());
        let paces: Vec<_> = (0..4).map(|_| pace()).collect();
        let _stays: Vec<_> =
            paces.iter().zip(1..).map(|(pace, id)| guests.enter(ConnectionId(id), pace.clone())).collect();
        let busy = paces[0].begin();
        for index in [2, 1, 3] {
            drop(paces[index].begin());
            advance(Duration::from_millis(10)).await;
        }
        let mut gone = Vec::new();
        while let Some(id) = guests.dismiss() {
            gone.push(id.0);
        }
        assert_eq!(gone, [3, 2, 4]);
        drop(busy);
        assert_eq!(guests.dismiss(), None, "not looked again at once");
        advance(AGAIN).await;
        assert_eq!(guests.dismiss(), Some(ConnectionId(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_something_since_the_last_look_stays() {
        let guests = Rc::new(Guests::default());
        let paces: Vec<_> = (0..64).map(|_| pace()).collect();
        let _stays: Vec<_> =
            paces.iter().zip(0..).map(|(pace, id)| guests.enter(ConnectionId(id), pace.clone())).collect();
        for pace in &paces {
            drop(pace.begin());
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(guests.dismiss(), Some(ConnectionId(0)));
        let _busy = paces[1].begin();
        assert_eq!(guests.dismiss(), Some(ConnectionId(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_goes_after_all_who_are_idle() {
        let guests = Rc::new(Guests::default());
        let (half, idle) = (pace(), pace());
        let _stays = [guests.enter(ConnectionId(1), half.clone()), guests.enter(ConnectionId(2), idle.clone())];
        drop(half.begin());
        half.heard();
        advance(Duration::from_secs(1)).await;
        drop(idle.begin());
        assert_eq!(guests.dismiss(), Some(ConnectionId(2)));
        assert_eq!(guests.dismiss(), Some(ConnectionId(1)));
    }
}
