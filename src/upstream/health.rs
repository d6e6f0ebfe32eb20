//! Looks after endpoints in the background, in the control runtime: asks each whether it is well, and looks its name up
//! again, so that a service which moved is found even when kept connections still reach the old place.

mod probe;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use self::probe::Probe;
use super::endpoint::{Endpoint, FRESH};
use super::settings::{Address, HealthCheck};
use super::upstreams::{Upstream, Upstreams};

/// Questions and look-ups under way at once, however many endpoints there are.
const AT_ONCE: usize = 64;
/// The longest wait before the first question.
const FIRST: Duration = Duration::from_secs(1);

/// The background tasks, by the id of their endpoint. They end when it is dropped.
pub struct Caretaker {
    tasks: HashMap<u64, Vec<Task>>,
    turns: Arc<Semaphore>,
}

/// Ends when it is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Default for Caretaker {
    fn default() -> Self {
        Self { tasks: HashMap::new(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Caretaker {
    /// Looks after the endpoints of `upstreams` and no others from here on. Must be called inside the control runtime.
    pub fn follow(&mut self, upstreams: &Upstreams) {
        let mut followed = HashMap::new();
        for upstream in upstreams.all() {
            for endpoint in &upstream.endpoints {
                let known = self.tasks.remove(&endpoint.id);
                followed.insert(endpoint.id, known.unwrap_or_else(|| self.begin(upstream, endpoint)));
            }
        }
        self.tasks = followed;
    }

    fn begin(&self, upstream: &Arc<Upstream>, endpoint: &Arc<Endpoint>) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut spawn = |task| tasks.push(Task(task));
        if endpoint.has_name() {
            spawn(tokio::spawn(look_up(endpoint.clone(), self.turns.clone())).abort_handle());
        }
        if let Some(check) = &upstream.settings.health {
            let watch = watch(upstream.clone(), endpoint.clone(), check.clone(), self.turns.clone());
            spawn(tokio::spawn(watch).abort_handle());
        }
        tasks
    }
}

impl Endpoint {
    fn has_name(&self) -> bool {
        matches!(&self.settings.address, Address::Tcp { host, .. } if host.parse::<std::net::IpAddr>().is_err())
    }
}

async fn look_up(endpoint: Arc<Endpoint>, turns: Arc<Semaphore>) {
    loop {
        sleep(about(FRESH)).await;
        let Ok(_turn) = turns.acquire().await else { return };
        if let Err(error) = endpoint.resolve().await {
            tracing::warn!(endpoint = %endpoint.settings.url, %error, "the name cannot be looked up; its last addresses stay");
        }
    }
}

async fn watch(upstream: Arc<Upstream>, endpoint: Arc<Endpoint>, check: HealthCheck, turns: Arc<Semaphore>) {
    let mut row = Row::begin(endpoint.is_well());
    sleep(FIRST.min(check.interval).mul_f64(fraction())).await;
    loop {
        let Ok(turn) = turns.acquire().await else { return };
        let found = Probe { upstream: &upstream, endpoint: &endpoint, check: &check }.run().await;
        drop(turn);
        endpoint.checked(found);
        if let Some(well) = row.count(found.is_good(), &check) {
            endpoint.set_well(well);
            let (upstream, endpoint, found) = (&upstream.settings.name, &endpoint.settings.url, found.as_str());
            if well {
                tracing::info!(%upstream, %endpoint, "well again");
            } else {
                tracing::warn!(%upstream, %endpoint, found, "out of service: its health check fails");
            }
        }
        sleep(about(check.interval)).await;
    }
}

/// Answers in a row.
struct Row {
    well: bool,
    against: u32,
}

impl Row {
    const fn begin(well: bool) -> Self {
        Self { well, against: 0 }
    }

    /// Counts an answer. What the endpoint is from here on, when that changes.
    const fn count(&mut self, good: bool, check: &HealthCheck) -> Option<bool> {
        if good == self.well {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.against < if self.well { check.fall } else { check.rise } {
            return None;
        }
        *self = Self::begin(good);
        Some(good)
    }
}

/// A tenth more or less, so that the gateways of a fleet do not ask in step.
fn about(span: Duration) -> Duration {
    span.mul_f64(0.9 + 0.2 * fraction())
}

/// From 0 to 1.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness everybody asks in step, and that is all.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Row, about};
    use crate::upstream::settings::{AllUnwell, HealthCheck};

    #[test]
    fn it_takes_some_answers_in_a_row_to_change_a_mind() {
        let check = HealthCheck {
            path: "/".into(),
            host: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            statuses: (200, 299),
            when_all_unwell: AllUnwell::Refuse,
        };
        let mut row = Row::begin(true);
        let answers = [
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (false, None),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(true)),
            (true, None),
        ];
        for (index, (good, change)) in answers.into_iter().enumerate() {
            assert_eq!(row.count(good, &check), change, "answer {index}");
        }
    }

    #[test]
    fn intervals_are_spread_and_never_far_off() {
        let spans: Vec<_> = (0..100).map(|_| about(Duration::from_secs(10))).collect();
        assert!(spans.iter().all(|span| (9.0..=11.0).contains(&span.as_secs_f64())));
        assert!(spans.iter().any(|span| *span != spans[0]));
    }
}
