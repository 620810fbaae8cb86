use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authn::{KeySet, PublicKey, Revoked, TrustFeed};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::{App, Error};
use crate::domain::{
    KeyState, LoggedRevocation, MOST_IN_A_CHANGE, Revocation, TrustChange, TrustCursor, TrustKey, TrustLog,
    TrustLogBounds,
};
use crate::repository::Repository;

/// How much is held for verifiers that lag behind.
const BOUNDS: TrustLogBounds = TrustLogBounds { changes: 4_096, revocations: 65_536, live: 1_000_000 };
/// Revocations in one part of a snapshot, and read from the store at once.
const PAGE: usize = MOST_IN_A_CHANGE;
/// The least time between two looks, so that a crowd of commits shares one.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// How often a verifier is told something.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// When the store is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrustPace {
    /// How often, if nothing is committed here.
    pub(crate) interval: Duration,
    /// For how long a number that is missing below the highest one may still turn up: longer than any transaction lasts.
    pub(crate) overlap: Duration,
}

/// What verifiers must know, as this replica has read it, and everybody who follows.
#[derive(Debug)]
pub(crate) struct TrustHub {
    log: Mutex<TrustLog>,
    /// The position of the last change, and when the store was read that the log tells of; nothing before the first time.
    told: watch::Sender<(u64, Option<Instant>)>,
    /// The verifiers in this process.
    feed: TrustFeed,
    pace: TrustPace,
}

/// One verifier that follows.
#[derive(Debug)]
pub(crate) struct TrustWatch {
    hub: Arc<TrustHub>,
    told: watch::Receiver<(u64, Option<Instant>)>,
    /// After the last change that it was told.
    position: u64,
    state: WatchState,
}

#[derive(Clone, Copy, Debug)]
enum WatchState {
    /// It is being told everything that is in force; after this number.
    Snapshot(Option<i64>),
    /// It has come back and is told at once that it is heard, if there is nothing else.
    Resumed,
    Following,
}

/// One message to a verifier.
#[derive(Debug)]
pub(crate) struct TrustMessage {
    /// Where the verifier is after it.
    pub(crate) cursor: TrustCursor,
    /// How long ago the store was read that it tells of.
    pub(crate) age: Duration,
    /// What it tells.
    pub(crate) news: TrustNews,
}

/// What a verifier is told.
#[derive(Debug)]
pub(crate) enum TrustNews {
    /// A part of everything that is in force.
    Snapshot {
        /// Every key, in the first part.
        keys: Option<Arc<[TrustKey]>>,
        /// Revocations.
        revocations: Vec<LoggedRevocation>,
        /// Whether it is the last part.
        is_complete: bool,
    },
    /// What has changed.
    Change(Arc<TrustChange>),
    /// Nothing.
    Heartbeat,
}

/// What of the store has been read by when: below which number nothing can turn up any more.
///
/// Numbers are drawn in order and become visible in any. One that is missing below a number that was seen belongs to a
/// transaction that was open then, or to none. So once the overlap has passed, and the store was read again after that,
/// nothing is missing up to that number.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The highest number that was seen by a moment, the earliest first.
    seen: VecDeque<(Instant, i64)>,
    /// Nothing turns up at this number or below it.
    settled: i64,
}

impl TrustHub {
    /// A hub that has read nothing yet; `feed` is of the verifiers in this process.
    pub(crate) fn new(replica: Uuid, feed: TrustFeed, pace: TrustPace) -> Self {
        Self::with_bounds(replica, feed, pace, BOUNDS)
    }

    /// A hub that holds so much.
    pub(super) fn with_bounds(replica: Uuid, feed: TrustFeed, pace: TrustPace, bounds: TrustLogBounds) -> Self {
        let log = Mutex::new(TrustLog::new(replica, bounds));
        Self { log, told: watch::Sender::new((0, None)), feed, pace }
    }

    /// Has a verifier follow, after a cursor if it brings one that is known here.
    ///
    /// # Errors
    /// If nothing has been read from the store yet.
    pub(crate) fn watch(self: &Arc<Self>, cursor: &str) -> Result<TrustWatch, Error> {
        let told = self.told.subscribe();
        if told.borrow().1.is_none() {
            return Err(Error::TrustNotReady);
        }
        let log = self.log();
        let resumed = TrustCursor::parse(cursor).and_then(|cursor| log.resume(cursor));
        let position = resumed.unwrap_or(log.position());
        let state = if resumed.is_some() { WatchState::Resumed } else { WatchState::Snapshot(None) };
        drop(log);
        Ok(TrustWatch { hub: Arc::clone(self), told, position, state })
    }

    /// Reads what has changed in a store, and what may have turned up late, and tells it. Keys are read after revocations:
    /// before verifiers hear that one is revoked, this replica signs with another. If they cannot be read, as when this
    /// replica cannot decrypt the one that signs, revocations are told none the less.
    ///
    /// # Errors
    /// If the store fails, or the keys cannot be read.
    pub(super) async fn look(
        &self,
        repository: &Repository,
        keys: impl Future<Output = Result<Vec<TrustKey>, Error>>,
        now: SystemTime,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let mut read = Vec::new();
        let mut after = progress.settled;
        loop {
            let page = repository.revocations_after(after, PAGE as u64, now).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map_or(after, |revocation| revocation.number);
            read.extend(page);
            if is_last {
                break;
            }
        }
        let ended = Instant::now();
        let (keys, failure) = match keys.await {
            Ok(keys) => (Some(keys), None),
            // Without keys there is nothing to begin with.
            Err(error) if self.told.borrow().1.is_none() => return Err(error),
            Err(error) => (None, Some(error)),
        };
        self.take(keys, read, began, now);
        // Not before it is told: what was noted is not read for ever.
        progress.note(began, ended, after, self.pace.overlap);
        failure.map_or(Ok(()), Err)
    }

    fn log(&self) -> std::sync::MutexGuard<'_, TrustLog> {
        self.log.lock().expect("nobody panics while holding it")
    }

    /// Takes what was read, at this moment, and tells everybody. What it tells is as old as the keys.
    fn take(&self, keys: Option<Vec<TrustKey>>, read: Vec<LoggedRevocation>, began: Instant, now: SystemTime) {
        let mut log = self.log();
        let are_keys_known = keys.is_some();
        let read_at = if are_keys_known { Some(began) } else { self.told.borrow().1 };
        let have_keys_changed = keys.is_some_and(|keys| log.take_keys(keys));
        let new = log.take_revocations(read, now);
        log.forget(now);
        let (position, keys) = (log.position(), Arc::clone(log.keys()));
        drop(log);
        let is_first = self.told.borrow().1.is_none();
        let revoked: Vec<_> = new.iter().map(revoked).collect();
        match (is_first, have_keys_changed) {
            (true, _) => self.feed.replace(&key_set(&keys), &revoked, now),
            (false, true) => self.feed.extend(Some(&key_set(&keys)), &revoked, now),
            (false, false) if !revoked.is_empty() => self.feed.extend(None, &revoked, now),
            (false, false) if are_keys_known => self.feed.heard(now),
            (false, false) => {}
        }
        // What waits is woken by changes alone; the age is looked at when something is said.
        self.told.send_if_modified(|told| std::mem::replace(told, (position, read_at)).0 != position);
    }
}

impl TrustWatch {
    /// The next message, when there is one.
    ///
    /// # Errors
    /// If what comes next is not held any more, because this verifier reads too slowly.
    pub(crate) async fn next(&mut self) -> Result<TrustMessage, Error> {
        let news = match self.state {
            WatchState::Snapshot(after) => self.snapshot(after),
            WatchState::Resumed => {
                self.state = WatchState::Following;
                self.change()?.unwrap_or(TrustNews::Heartbeat)
            }
            WatchState::Following => self.follow().await?,
        };
        let read_at = self.told.borrow().1;
        let age = read_at.map_or(Duration::MAX, |read_at| read_at.elapsed());
        let cursor = self.hub.log().cursor(self.position);
        Ok(TrustMessage { cursor, age, news })
    }

    fn snapshot(&mut self, after: Option<i64>) -> TrustNews {
        let log = self.hub.log();
        let revocations = log.live_after(after, PAGE);
        let keys = after.is_none().then(|| Arc::clone(log.keys()));
        drop(log);
        let is_complete = revocations.len() < PAGE;
        let last = revocations.last().map(|revocation| revocation.number);
        self.state = if is_complete { WatchState::Following } else { WatchState::Snapshot(last) };
        TrustNews::Snapshot { keys, revocations, is_complete }
    }

    async fn follow(&mut self) -> Result<TrustNews, Error> {
        let silence = sleep(HEARTBEAT);
        tokio::pin!(silence);
        loop {
            if let Some(change) = self.change()? {
                return Ok(change);
            }
            let position = self.position;
            tokio::select! {
                // The hub lives as long as this does.
                _ = self.told.wait_for(|(told, _)| *told != position) => {}
                () = &mut silence => return Ok(TrustNews::Heartbeat),
            }
        }
    }

    fn change(&mut self) -> Result<Option<TrustNews>, Error> {
        let next = self.hub.log().next_after(self.position)?;
        Ok(next.map(|change| {
            self.position += 1;
            TrustNews::Change(change)
        }))
    }
}

impl App {
    /// Reads what verifiers must know again and again, for ever: whenever something is committed here, and often enough
    /// to see what other replicas commit.
    pub(crate) async fn keep_watching_trust(&self) {
        let mut doorbell = self.repository.trust_changed();
        let mut progress = Progress::default();
        let mut is_failing = false;
        loop {
            doorbell.mark_unchanged();
            match self.look_at_trust(&mut progress).await {
                Ok(()) if is_failing => {
                    info!("what verifiers must know can be read again");
                    is_failing = false;
                }
                Ok(()) => {}
                Err(error) if is_failing => debug!(error = %error, "still cannot read what verifiers must know"),
                Err(error) => {
                    warn!(error = %error, "cannot read what verifiers must know; they are told how old it is");
                    is_failing = true;
                }
            }
            sleep(BETWEEN_LOOKS).await;
            tokio::select! {
                () = sleep(self.trust.pace.interval) => {}
                _ = doorbell.changed() => {}
            }
        }
    }

    /// Reads what has changed, and tells it.
    pub(super) async fn look_at_trust(&self, progress: &mut Progress) -> Result<(), Error> {
        self.trust.look(&self.repository, self.read_keys(), self.clock.now(), progress).await
    }
}

impl Progress {
    /// Notes that the store was read from the settled number on, between these moments, up to this number.
    fn note(&mut self, began: Instant, ended: Instant, highest: i64, overlap: Duration) {
        while let Some((at, highest)) = self.seen.front().copied()
            && began.duration_since(at) >= overlap
        {
            self.settled = highest;
            self.seen.pop_front();
        }
        let known = self.seen.back().map_or(self.settled, |(_, known)| *known);
        if highest > known {
            self.seen.push_back((ended, highest));
        }
    }
}

fn key_set(keys: &[TrustKey]) -> KeySet {
    let mut set = KeySet::default();
    for key in keys {
        match key.state {
            KeyState::Revoked => set.revoked.push(key.kid.clone()),
            KeyState::Standby | KeyState::Current | KeyState::Retired => {
                let number = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
                let read = PublicKey::from_components(&number(&key.n), &number(&key.e));
                match read.and_then(|read| read.with_key_id(&key.kid)) {
                    Ok(read) => set.trusted.push(read),
                    Err(error) => error!(key.id = key.kid, error = %error, "a published key cannot be used"),
                }
            }
        }
    }
    set
}

fn revoked(logged: &LoggedRevocation) -> Revoked {
    let revocation = match &logged.revocation {
        Revocation::Session { session, .. } => authn::Revocation::Session(*session),
        Revocation::Subject { account, minimum_version } => {
            authn::Revocation::Subject { subject: account.as_uuid(), minimum_version: *minimum_version }
        }
        Revocation::Key { kid } => authn::Revocation::Key(kid.clone()),
        Revocation::All => authn::Revocation::All,
    };
    Revoked { revocation, revoked_at: logged.revoked_at, expires_at: logged.expires_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_secs(10);

    #[test]
    fn a_number_is_settled_by_a_look_that_begins_after_the_overlap_and_not_by_time_alone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::default();
        let mut look = |began, ended, highest| {
            progress.note(at(began), at(ended), highest, OVERLAP);
            progress.settled
        };
        assert_eq!(look(0, 1, 5), 0);
        assert_eq!(look(2, 3, 5), 0);
        assert_eq!(look(10, 11, 7), 0, "what was open when the first look ended may end at 11");
        assert_eq!(look(11, 12, 7), 5);
        // The store was away for a long time: what turned up meanwhile is read once from the old number on.
        assert_eq!(look(100, 101, 9), 7);
        assert_eq!(look(111, 112, 9), 9);
    }
}
