//! What is in force, as one worker takes it for each request: without a count that workers share.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

/// The worker's hold on what is swapped under it. What was replaced goes when the worker asks next and nothing of it is open.
pub(super) struct InForce<T> {
    cache: RefCell<Cache<Arc<ArcSwap<T>>, Arc<T>>>,
    held: RefCell<Rc<Held<T>>>,
}

/// What was in force when it was taken.
pub(super) struct Held<T>(Arc<T>);

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> InForce<T> {
    pub(super) fn new(swapped: Arc<ArcSwap<T>>) -> Self {
        let mut cache = Cache::new(swapped);
        let held = RefCell::new(Rc::new(Held(cache.load().clone())));
        Self { cache: RefCell::new(cache), held }
    }

    /// What is in force now: a swap is seen by the next who asks.
    pub(super) fn take(&self) -> Rc<Held<T>> {
        let mut cache = self.cache.borrow_mut();
        let (current, mut held) = (cache.load(), self.held.borrow_mut());
        if !Arc::ptr_eq(current, &held.0) {
            *held = Rc::new(Held(current.clone()));
        }
        held.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arc_swap::ArcSwap;

    use super::InForce;

    #[test]
    fn a_swap_is_seen_at_once_and_what_was_replaced_is_kept_by_who_has_it_alone() {
        let first = Arc::new(1);
        let swapped = Arc::new(ArcSwap::new(first.clone()));
        let in_force = InForce::new(swapped.clone());
        let open = in_force.take();
        for next in 2..5 {
            swapped.store(Arc::new(next));
            assert_eq!(**in_force.take(), next);
            assert_eq!(**open, 1);
        }
        drop(open);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
