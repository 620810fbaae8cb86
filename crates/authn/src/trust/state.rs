//! What is trusted now, swapped as a whole, and how its source is doing.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::PublicKey;
use super::open_streams::OpenStreams;
use super::revocations::{Ledger, Refused, Revocations, Revoked};
use crate::Principal;

/// How many sessions and subjects are told apart by default; at about 100 bytes each while so many are revoked.
pub(crate) const MOST_REVOCATIONS: usize = 1_000_000;

/// Never yet.
const NEVER: u64 = 0;

/// The keys of an issuer, and the ids of those that it has revoked.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    /// The keys whose tokens are good.
    pub trusted: Vec<PublicKey>,
    /// The ids of the keys whose tokens are refused as `TOKEN_KEY_REVOKED`.
    pub revoked: Vec<String>,
}

/// How a source of trust is doing, for gauges and readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustStatus {
    /// How many keys are trusted now.
    pub keys: usize,
    /// How many key sets were fetched and taken.
    pub fetched: u64,
    /// How many attempts to fetch one failed; the keys stayed as they were.
    pub failed: u64,
    /// When the last set was taken. `None` before the first, and for keys that were never fetched.
    pub last_fetched_at: Option<SystemTime>,
    /// How many revocations are in force.
    pub revocations: usize,
    /// Whether revocations come now, from a stream or from the service of the same process.
    pub is_live: bool,
    /// How many snapshots of keys and revocations were taken.
    pub snapshots: u64,
    /// How often a stream could not be begun, or ended.
    pub cuts: u64,
    /// Of what moment the revocations are: all that was revoked before is in force here. `None` before the first, and
    /// for sources that bring keys alone.
    pub as_of: Option<SystemTime>,
}

/// What a source and its background task share.
pub(crate) struct Shared {
    snapshot: ArcSwap<Snapshot>,
    /// Locked by whoever changes the snapshot, never by a verification.
    ledger: Mutex<Ledger>,
    pub(super) status: watch::Sender<TrustStatus>,
    pub(super) wanted: Notify,
    streams: Arc<OpenStreams>,
    brings_revocations: bool,
    /// As [`TrustStatus::as_of`], in microseconds since 1970.
    as_of: AtomicU64,
}

/// Everything that decides whether a token is trusted: swapped as a whole, so that a verification sees one state.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    keys: HashMap<String, PublicKey>,
    revoked_keys: HashSet<String>,
    revocations: Revocations,
}

impl Shared {
    /// Of a source of keys alone.
    pub(super) fn of_keys() -> Self {
        Self::new(MOST_REVOCATIONS, false)
    }

    /// Of a source of keys and revocations that tells apart at most `most` sessions and subjects.
    pub(super) fn of_keys_and_revocations(most: usize) -> Self {
        Self::new(most, true)
    }

    fn new(most: usize, brings_revocations: bool) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            ledger: Mutex::new(Ledger::new(most)),
            status: watch::Sender::new(TrustStatus::default()),
            wanted: Notify::new(),
            streams: Arc::default(),
            brings_revocations,
            as_of: AtomicU64::new(NEVER),
        }
    }

    pub(super) fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(super) fn streams(&self) -> &Arc<OpenStreams> {
        &self.streams
    }

    /// How old the knowledge of revocations is; `None` if the source brings none.
    pub(super) fn staleness(&self, now: SystemTime) -> Option<Duration> {
        if !self.brings_revocations {
            return None;
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // What was never heard of is as old as can be.
        Some(now.saturating_sub(Duration::from_micros(self.as_of.load(Ordering::Acquire))))
    }

    /// Takes the keys of a key set. What was revoked stays revoked, though the set may have it.
    pub(super) fn replace_keys(&self, keys: impl IntoIterator<Item = PublicKey>) {
        self.change(|snapshot, _| snapshot.keys = by_id(keys));
    }

    /// Takes everything anew.
    pub(super) fn replace(&self, keys: &KeySet, revoked: &[Revoked], as_of: SystemTime) {
        self.change(|snapshot, ledger| {
            snapshot.take_keys(keys);
            snapshot.revocations = Revocations::default();
            ledger.clear();
            ledger.add(&mut snapshot.revocations, revoked);
            // An old file may say what nobody needs to know any more.
            ledger.forget(&mut snapshot.revocations, as_of);
        });
        self.status.send_modify(|status| status.snapshots += 1);
        self.heard(as_of);
        self.streams.wake_all();
    }

    /// Takes what has changed.
    pub(super) fn extend(&self, keys: Option<&KeySet>, revoked: &[Revoked], as_of: SystemTime) {
        self.change(|snapshot, ledger| {
            if let Some(keys) = keys {
                snapshot.take_keys(keys);
            }
            ledger.add(&mut snapshot.revocations, revoked);
            ledger.forget(&mut snapshot.revocations, as_of);
        });
        self.heard(as_of);
        if keys.is_some() {
            self.streams.wake_all();
        } else {
            self.streams.wake(revoked);
        }
    }

    /// Notes that nothing else was revoked before `as_of`, and forgets what has expired by then.
    pub(super) fn heard(&self, as_of: SystemTime) {
        let since = as_of.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.as_of.store(u64::try_from(since.as_micros()).unwrap_or(u64::MAX), Ordering::Release);
        if self.ledger.lock().expect("nobody panics while holding it").has_expired(as_of) {
            self.change(|snapshot, ledger| {
                ledger.forget(&mut snapshot.revocations, as_of);
            });
        }
        self.status.send_modify(|status| status.as_of = Some(as_of));
    }

    /// Notes whether revocations come now.
    pub(super) fn set_live(&self, is_live: bool) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.is_live, is_live) != is_live);
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot, &mut Ledger)) {
        let mut ledger = self.ledger.lock().expect("nobody panics while holding it");
        let mut next = Snapshot::clone(&self.snapshot.load());
        change(&mut next, &mut ledger);
        let (keys, revocations) = (next.keys.len(), next.revocations.len());
        self.snapshot.store(Arc::new(next));
        drop(ledger);
        self.status.send_modify(|status| (status.keys, status.revocations) = (keys, revocations));
    }
}

impl Snapshot {
    /// Whether anything can be verified.
    pub(crate) fn is_ready(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The key with this id.
    pub(crate) fn key(&self, id: &str) -> Option<&PublicKey> {
        self.keys.get(id)
    }

    /// Whether the key with this id was revoked. Nothing that it signed is good then, whoever says so.
    pub(crate) fn is_revoked_key(&self, id: &str) -> bool {
        self.revoked_keys.contains(id) || self.revocations.revokes_key(id)
    }

    /// Whether this very key is the one with its id, and not revoked.
    pub(crate) fn trusts(&self, key: &PublicKey) -> bool {
        self.key(key.key_id()) == Some(key) && !self.is_revoked_key(key.key_id())
    }

    /// Whether what a good token of this principal allows was revoked.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Refused> {
        self.revocations.check(principal)
    }

    /// Every revocation in force, as if each were revoked at `revoked_at`.
    pub(super) fn revoked(&self, revoked_at: SystemTime) -> Vec<Revoked> {
        self.revocations.entries(revoked_at)
    }

    pub(super) fn key_ids(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    fn take_keys(&mut self, keys: &KeySet) {
        self.keys = by_id(keys.trusted.iter().cloned());
        self.revoked_keys = keys.revoked.iter().cloned().collect();
    }
}

/// Keys with distinct ids.
fn by_id(keys: impl IntoIterator<Item = PublicKey>) -> HashMap<String, PublicKey> {
    keys.into_iter().map(|key| (key.key_id().to_owned(), key)).collect()
}
