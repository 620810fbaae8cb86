use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::warn;

use super::{App, security_log};
use crate::domain::{SecurityEvent, Tally};

/// Between two writes of what was refused: a crash loses that much of it.
const BETWEEN_WRITES: Duration = Duration::from_secs(5);
/// For how long an allowance is.
const MINUTE: Duration = Duration::from_secs(60);

/// How much the audit keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditSettings {
    /// How long a record is kept.
    pub(crate) retention: Duration,
    /// How many different refusals of a minute are kept one by one.
    pub(crate) refusals_per_minute: usize,
}

/// The facts that nothing was changed by, until they are written.
///
/// Whoever refuses somebody does not wait for the store, and a flood of refusals is neither more work for it nor more
/// room on its disk: equal ones are counted in one row, and beyond an allowance they are only counted.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(super) settings: AuditSettings,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    tallies: HashMap<SecurityEvent, Tally>,
    allowance: usize,
    since: Option<SystemTime>,
}

impl Audit {
    pub(crate) fn new(settings: AuditSettings) -> Self {
        let held = Held { tallies: HashMap::new(), allowance: 0, since: None };
        Self { settings, held: Mutex::new(held) }
    }

    pub(super) fn add(&self, event: SecurityEvent, at: SystemTime) {
        let mut held = self.lock();
        held.renew(self.settings.refusals_per_minute, at);
        let is_known = held.tallies.contains_key(&event);
        let event = if is_known || held.take_allowance(self.settings.refusals_per_minute) {
            event
        } else {
            SecurityEvent::AuditOverflow
        };
        held.add(Tally { event, at, times: 1 });
    }

    pub(super) fn take(&self) -> Vec<Tally> {
        let mut tallies: Vec<_> = self.lock().tallies.drain().map(|(_, tally)| tally).collect();
        tallies.sort_by_key(|tally| tally.at);
        tallies
    }

    pub(super) fn put_back(&self, tallies: Vec<Tally>) {
        let mut held = self.lock();
        for tally in tallies {
            held.add(tally);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // What is in there is whole after each statement.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Begins another minute if the last one is over, or the clock was set back.
    fn renew(&mut self, most: usize, now: SystemTime) {
        let is_over = |since: SystemTime| now.duration_since(since).map_or(true, |elapsed| elapsed >= MINUTE);
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.allowance = most;
        }
    }

    /// Whether there is room for one more. While the store fails nothing goes out, and no more than an allowance is held.
    fn take_allowance(&mut self, most: usize) -> bool {
        if self.allowance == 0 || self.tallies.len() >= most {
            return false;
        }
        self.allowance -= 1;
        true
    }

    fn add(&mut self, tally: Tally) {
        let sum = self.tallies.entry(tally.event).or_insert(Tally { times: 0, ..tally });
        sum.at = sum.at.min(tally.at);
        sum.times = sum.times.saturating_add(tally.times);
    }
}

impl App {
    /// Notes a fact that nothing was changed by: in the log at once, in the audit within seconds.
    pub(super) fn note(&self, event: SecurityEvent) {
        security_log::record(&event);
        self.audit.add(event, self.clock.now());
    }

    /// Writes what was noted, every few seconds, for ever.
    pub(crate) async fn keep_writing_audit(&self) {
        loop {
            self.clock.sleep(BETWEEN_WRITES).await;
            self.write_audit().await;
        }
    }

    /// Writes what was noted so far. What cannot be written is kept for the next time.
    pub(crate) async fn write_audit(&self) {
        let tallies = self.audit.take();
        if let Err(error) = self.repository.record_tallies(tallies.clone()).await {
            warn!(error = %error, "refusals could not be written into the audit");
            self.audit.put_back(tallies);
        }
    }
}
