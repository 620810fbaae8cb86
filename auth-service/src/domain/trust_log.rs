use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::Revocation;

/// How far the clocks of replicas may differ when revocations are merged.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// Revocations in one change at most, so that a verifier can take each as one message.
pub const MOST_IN_A_CHANGE: usize = 1_000;

/// A revocation with its number in the store, which only grows but may become visible after a higher one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRevocation {
    /// Its number.
    pub number: i64,
    /// What is revoked.
    pub revocation: Revocation,
    /// Since when.
    pub revoked_at: SystemTime,
    /// When the last token that it covers has expired.
    pub expires_at: SystemTime,
}

/// A signing key as verifiers must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustKey {
    /// Its id.
    pub kid: String,
    /// RSA modulus, in base64url as RFC 7518 §6.3.1 has it.
    pub n: String,
    /// RSA public exponent, in the same form.
    pub e: String,
    /// What has become of it.
    pub state: KeyState,
}

/// What becomes of a signing key, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// Published and not signing yet.
    Standby,
    /// Signs.
    Current,
    /// Signs no more; its tokens are good.
    Retired,
    /// Its tokens are refused.
    Revoked,
}

/// Something that verifiers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustChange {
    /// Every key there is now.
    Keys(Arc<[TrustKey]>),
    /// New revocations.
    Revocations(Vec<LoggedRevocation>),
}

/// What a verifier is to be told next is not held any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the verifier is too far behind")]
pub struct TooFarBehind;

/// Where a verifier is in the log of a replica: as text, what it is to go on after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustCursor {
    replica: Uuid,
    position: u64,
}

/// How much a log holds.
#[derive(Clone, Copy, Debug)]
pub struct TrustLogBounds {
    /// Changes that are held for verifiers that lag behind or come back.
    pub changes: usize,
    /// Revocations in those changes.
    pub revocations: usize,
    /// Revocations in force of sessions and accounts.
    pub live: usize,
}

/// What one replica has read of the keys and revocations in its store, in the order in which it came to know of it.
///
/// The latest changes are held one by one, for verifiers that follow; one that is further behind is given everything
/// that is in force instead.
#[derive(Debug)]
pub struct TrustLog {
    replica: Uuid,
    bounds: TrustLogBounds,
    /// The position of the last change.
    position: u64,
    changes: VecDeque<Arc<TrustChange>>,
    revocations_in_changes: usize,
    keys: Arc<[TrustKey]>,
    live: BTreeMap<i64, LoggedRevocation>,
    ends: BTreeSet<(SystemTime, i64)>,
    /// The number of what stands for revocations that were merged; the store has none so low.
    merged: i64,
}

impl TrustLog {
    /// An empty log of a replica that has this id for as long as it runs.
    #[must_use]
    pub fn new(replica: Uuid, bounds: TrustLogBounds) -> Self {
        Self {
            replica,
            bounds,
            position: 0,
            changes: VecDeque::new(),
            revocations_in_changes: 0,
            keys: Arc::new([]),
            live: BTreeMap::new(),
            ends: BTreeSet::new(),
            merged: 0,
        }
    }

    /// The position of the last change.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The cursor after the change at a position.
    #[must_use]
    pub const fn cursor(&self, position: u64) -> TrustCursor {
        TrustCursor { replica: self.replica, position }
    }

    /// Where a verifier with this cursor goes on; nothing if it must begin with everything that is in force, because the
    /// cursor is too old, from the future, or of another replica.
    #[must_use]
    pub fn resume(&self, cursor: TrustCursor) -> Option<u64> {
        (cursor.replica == self.replica && self.holds(cursor.position)).then_some(cursor.position)
    }

    /// The change after a position, if there is one.
    ///
    /// # Errors
    /// If it is not held any more.
    pub fn next_after(&self, position: u64) -> Result<Option<Arc<TrustChange>>, TooFarBehind> {
        if !self.holds(position) {
            return Err(TooFarBehind);
        }
        let behind = usize::try_from(self.position - position).map_err(|_| TooFarBehind)?;
        Ok(self.changes.get(self.changes.len() - behind).cloned())
    }

    /// Every key there is.
    #[must_use]
    pub fn keys(&self) -> &Arc<[TrustKey]> {
        &self.keys
    }

    /// At most `most` revocations in force, in the order of their numbers, after a number.
    #[must_use]
    pub fn live_after(&self, number: Option<i64>, most: usize) -> Vec<LoggedRevocation> {
        let after = number.map_or(i64::MIN, |number| number.saturating_add(1));
        self.live.range(after..).take(most).map(|(_, revocation)| revocation.clone()).collect()
    }

    /// Takes the keys as they are now. Returns whether any of them has changed.
    pub fn take_keys(&mut self, keys: Vec<TrustKey>) -> bool {
        if *self.keys == *keys {
            return false;
        }
        self.keys = keys.into();
        self.push(TrustChange::Keys(Arc::clone(&self.keys)));
        true
    }

    /// Takes revocations that were read, some of them not for the first time. Returns those that are new.
    pub fn take_revocations(&mut self, read: Vec<LoggedRevocation>, now: SystemTime) -> Vec<LoggedRevocation> {
        let mut new = Vec::new();
        for revocation in read {
            if revocation.expires_at > now && !self.live.contains_key(&revocation.number) {
                self.insert(revocation.clone());
                new.push(revocation);
            }
        }
        if self.live.len() > self.bounds.live {
            new.extend(self.merge());
        }
        for part in new.chunks(MOST_IN_A_CHANGE) {
            self.push(TrustChange::Revocations(part.to_vec()));
        }
        new
    }

    /// Forgets revocations that cover nothing any more.
    pub fn forget(&mut self, now: SystemTime) {
        while let Some((end, number)) = self.ends.first().copied()
            && end <= now
        {
            self.ends.pop_first();
            self.live.remove(&number);
        }
    }

    /// Puts one revocation in place of all those of sessions and accounts: of everything that was issued before the
    /// latest of them. Who is signed in still refreshes; nothing is forgotten.
    fn merge(&mut self) -> Option<LoggedRevocation> {
        let is_one_of_many =
            |revocation: &Revocation| matches!(revocation, Revocation::Session { .. } | Revocation::Subject { .. });
        let (many, few): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.live).into_values().partition(|logged| is_one_of_many(&logged.revocation));
        self.ends.clear();
        few.into_iter().for_each(|logged| self.insert(logged));
        let revoked_at = many.iter().map(|logged| logged.revoked_at).max()? + CLOCKS_DIFFER;
        let expires_at = many.iter().map(|logged| logged.expires_at).max()?;
        self.merged -= 1;
        let all = LoggedRevocation { number: self.merged, revocation: Revocation::All, revoked_at, expires_at };
        self.insert(all.clone());
        Some(all)
    }

    fn insert(&mut self, revocation: LoggedRevocation) {
        self.ends.insert((revocation.expires_at, revocation.number));
        self.live.insert(revocation.number, revocation);
    }

    fn holds(&self, position: u64) -> bool {
        let oldest = self.position - self.changes.len() as u64;
        (oldest..=self.position).contains(&position)
    }

    fn push(&mut self, change: TrustChange) {
        self.position += 1;
        self.revocations_in_changes += change.len();
        self.changes.push_back(Arc::new(change));
        while self.changes.len() > self.bounds.changes || self.revocations_in_changes > self.bounds.revocations {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.revocations_in_changes -= oldest.len();
        }
    }
}

impl TrustChange {
    fn len(&self) -> usize {
        match self {
            Self::Keys(_) => 0,
            Self::Revocations(revocations) => revocations.len(),
        }
    }
}

impl TrustCursor {
    /// Reads a cursor. Nothing if the text is none: then it is as good as one of another replica.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (replica, position) = text.split_once('.')?;
        Some(Self { replica: Uuid::try_parse(replica).ok()?, position: position.parse().ok()? })
    }
}

impl std::fmt::Display for TrustCursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.replica.simple(), self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use authn::SessionId;

    use super::*;
    use crate::domain::AccountId;

    const BOUNDS: TrustLogBounds = TrustLogBounds { changes: 3, revocations: 10, live: 100 };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn log() -> TrustLog {
        TrustLog::new(Uuid::from_u128(1), BOUNDS)
    }

    fn revoked(number: i64) -> LoggedRevocation {
        let account = AccountId::from_uuid(Uuid::from_u128(7));
        let session = SessionId::from_uuid(Uuid::from_u128(number.unsigned_abs().into()));
        let revocation = Revocation::Session { account, session };
        LoggedRevocation { number, revocation, revoked_at: at(100), expires_at: at(400) }
    }

    fn after(log: &TrustLog, mut position: u64) -> Option<Vec<Arc<TrustChange>>> {
        let mut changes = Vec::new();
        while let Some(change) = log.next_after(position).ok()? {
            changes.push(change);
            position += 1;
        }
        assert_eq!(position, log.position());
        Some(changes)
    }

    fn numbers(changes: &[Arc<TrustChange>]) -> Vec<i64> {
        let of = |change: &Arc<TrustChange>| match change.as_ref() {
            TrustChange::Keys(_) => vec![0],
            TrustChange::Revocations(revoked) => revoked.iter().map(|revoked| revoked.number).collect(),
        };
        changes.iter().flat_map(of).collect()
    }

    #[test]
    fn what_is_read_again_is_told_once_and_what_turns_up_late_is_told() {
        let mut log = log();
        assert_eq!(log.take_revocations(vec![revoked(2)], at(200)).len(), 1);
        assert_eq!(log.take_revocations(vec![revoked(2)], at(200)).len(), 0);
        let late = log.take_revocations(vec![revoked(1), revoked(2), revoked(3)], at(200));
        assert_eq!(late, [revoked(1), revoked(3)]);
        assert_eq!(numbers(&after(&log, 0).expect("held")), [2, 1, 3]);
        assert_eq!(numbers(&after(&log, 1).expect("held")), [1, 3]);
        assert!(after(&log, 2).expect("held").is_empty());
    }

    #[test]
    fn a_cursor_is_good_where_the_changes_after_it_are_held() {
        let mut log = log();
        for number in 1..=5 {
            log.take_revocations(vec![revoked(number)], at(200));
        }
        let text = |position| log.cursor(position).to_string();
        for (cursor, expected) in [
            (text(5), Some(5)),
            (text(2), Some(2)),
            (text(1), None),
            (text(6), None),
            (TrustCursor { replica: Uuid::from_u128(2), position: 5 }.to_string(), None),
            (String::new(), None),
            (".5".to_owned(), None),
            (format!("{}.-1", Uuid::from_u128(1)), None),
            (format!("{}.99999999999999999999", Uuid::from_u128(1)), None),
        ] {
            let resumed = TrustCursor::parse(&cursor).and_then(|cursor| log.resume(cursor));
            assert_eq!(resumed, expected, "{cursor:?}");
        }
        assert_eq!(after(&log, 1), None, "whoever is there is too slow");
        assert_eq!(numbers(&after(&log, 2).expect("held")), [3, 4, 5]);
    }

    #[test]
    fn few_large_changes_are_held_as_long_as_many_small_ones() {
        let mut log = log();
        log.take_revocations((1..=6).map(revoked).collect(), at(200));
        log.take_revocations((7..=12).map(revoked).collect(), at(200));
        assert_eq!(after(&log, 0), None);
        assert_eq!(after(&log, 1).expect("held").len(), 1);
        log.take_revocations((13..=40).map(revoked).collect(), at(200));
        assert_eq!(after(&log, 2), None, "more than is held at all");
        assert_eq!(after(&log, 3).expect("held"), []);
    }

    #[test]
    fn what_has_expired_is_neither_in_force_nor_taken_again() {
        let mut log = log();
        log.take_revocations(vec![revoked(1)], at(399));
        assert_eq!(log.live_after(None, 10).len(), 1);
        log.forget(at(399));
        assert_eq!(log.live_after(None, 10).len(), 1);
        log.forget(at(400));
        assert_eq!(log.live_after(None, 10).len(), 0);
        assert_eq!(log.take_revocations(vec![revoked(1)], at(400)).len(), 0);
    }

    #[test]
    fn what_is_in_force_is_read_page_by_page() {
        let mut log = log();
        log.take_revocations((1..=5).map(revoked).collect(), at(200));
        let page = |after| log.live_after(after, 2).iter().map(|revoked| revoked.number).collect::<Vec<_>>();
        assert_eq!(
            [page(None), page(Some(2)), page(Some(4)), page(Some(5))],
            [vec![1, 2], vec![3, 4], vec![5], vec![]]
        );
    }

    #[test]
    fn too_many_become_one_that_covers_them_all() {
        let mut log = log();
        let new = log.take_revocations((1..=101).map(revoked).collect(), at(200));
        let all = new.last().expect("something");
        assert_eq!((&all.revocation, all.revoked_at, all.expires_at), (&Revocation::All, at(105), at(400)));
        assert_eq!(log.live_after(None, 10), std::slice::from_ref(all));
    }

    #[test]
    fn keys_are_told_when_they_change() {
        let key = |state| TrustKey { kid: "k".to_owned(), n: "n".to_owned(), e: "e".to_owned(), state };
        let mut log = log();
        assert!(log.take_keys(vec![key(KeyState::Standby)]));
        assert!(!log.take_keys(vec![key(KeyState::Standby)]));
        assert!(log.take_keys(vec![key(KeyState::Current)]));
        assert_eq!(after(&log, 1).expect("held"), [Arc::new(TrustChange::Keys([key(KeyState::Current)].into()))]);
    }
}
