//! What verifiers are told, in what order, and what becomes of those that do not keep up.

use authn::{Clock, Rejection, Trust, Verifier, VerifierConfig};
use futures_util::FutureExt as _;
use runtime::database::Engine;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::testing::PACE;
use super::super::watch_trust::{Progress, TrustHub, TrustNews, TrustWatch};
use super::*;
use crate::domain::{AccountId, LoggedRevocation, Revocation, TrustChange, TrustKey, TrustLogBounds};
use crate::repository::Repository;

/// Another replica of the same service: its own hub over its own connections.
struct Replica {
    repository: Repository,
    trust: Arc<TrustHub>,
    verifier: Verifier,
    progress: Progress,
    clock: Clock,
    keys: Vec<TrustKey>,
}

const WIDE: TrustLogBounds = TrustLogBounds { changes: 1_000, revocations: 10_000, live: 10_000 };

impl Replica {
    async fn of(fixture: &Fixture, bounds: TrustLogBounds) -> Self {
        let repository = Repository::join(&fixture.store.config()).await.expect("opens");
        repository.database().ready().await;
        let (feed, trust) = Trust::fed();
        let clock = fixture.clock.clock();
        Self {
            repository,
            trust: Arc::new(TrustHub::with_bounds(Uuid::new_v4(), feed, PACE, bounds)),
            verifier: Verifier::new(VerifierConfig::new("http://auth.test", "auth-service"), trust, clock.clone()),
            progress: Progress::default(),
            clock,
            keys: fixture.app.read_keys().await.expect("read"),
        }
    }

    /// One that has read the store once.
    async fn ready(fixture: &Fixture, bounds: TrustLogBounds) -> Self {
        let mut replica = Self::of(fixture, bounds).await;
        replica.look().await;
        replica
    }

    async fn look(&mut self) {
        let (keys, now) = (self.keys.clone(), self.clock.now());
        self.trust.look(&self.repository, async { Ok(keys) }, now, &mut self.progress).await.expect("read");
    }

    fn watch(&self, cursor: &str) -> TrustWatch {
        self.trust.watch(cursor).expect("it has read")
    }
}

/// The sessions that the next message revokes, and whether it is of a snapshot.
async fn told(watch: &mut TrustWatch) -> (bool, Vec<LoggedRevocation>) {
    match watch.next().now_or_never().expect("it is there").expect("held").news {
        TrustNews::Snapshot { revocations, .. } => (true, revocations),
        TrustNews::Change(change) => match change.as_ref() {
            TrustChange::Revocations(revocations) => (false, revocations.clone()),
            TrustChange::Keys(_) => (false, Vec::new()),
        },
        TrustNews::Heartbeat => (false, Vec::new()),
    }
}

fn is_silent(watch: &mut TrustWatch) -> bool {
    watch.next().now_or_never().is_none()
}

#[tokio::test]
async fn what_one_replica_revokes_every_replica_tells() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let mut replica = Replica::ready(&fixture, WIDE).await;
    replica.verifier.verify(&alice.tokens.access).expect("good");
    let mut watch = replica.watch("");
    assert_eq!(told(&mut watch).await, (true, Vec::new()));
    assert!(is_silent(&mut watch));

    fixture.app.logout(alice.tokens.refresh.expose()).await.expect("ended");
    replica.look().await;
    let (is_snapshot, revocations) = told(&mut watch).await;
    assert_eq!((is_snapshot, revocations.len()), (false, 1));
    assert_eq!(replica.verifier.verify(&alice.tokens.access).map(|_| ()), Err(Rejection::TokenRevoked));

    replica.look().await;
    assert!(is_silent(&mut watch), "what is read again is not told again");
    let mut late = replica.watch("");
    assert_eq!(told(&mut late).await, (true, revocations), "whoever comes late learns it by the snapshot");
}

#[tokio::test]
async fn a_revocation_is_told_though_the_keys_cannot_be_read() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let mut replica = Replica::ready(&fixture, WIDE).await;
    let mut watch = replica.watch("");
    told(&mut watch).await;

    fixture.app.logout(alice.tokens.refresh.expose()).await.expect("ended");
    let without_keys = async { Err(Error::TrustNotReady) };
    let (trust, now) = (Arc::clone(&replica.trust), replica.clock.now());
    let looked = trust.look(&replica.repository, without_keys, now, &mut replica.progress).await;
    assert!(matches!(looked, Err(Error::TrustNotReady)), "it is known that something is wrong");
    assert_eq!(told(&mut watch).await.1.len(), 1);
    assert_eq!(replica.verifier.verify(&alice.tokens.access).map(|_| ()), Err(Rejection::TokenRevoked));
}

/// A revocation that is written and not committed.
struct Held {
    may_commit: Arc<Notify>,
    committed: JoinHandle<()>,
}

impl Held {
    async fn write(replica: &Replica, account: u128) -> Self {
        let account = AccountId::from_uuid(Uuid::from_u128(account));
        let revocation = Revocation::Subject { account, minimum_version: 2 };
        let (written, may_commit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (repository, at) = (replica.repository.clone(), replica.clock.now());
        let (write, commit) = (Arc::clone(&written), Arc::clone(&may_commit));
        let committed = tokio::spawn(async move { repository.record_held(revocation, at, write, commit).await });
        written.notified().await;
        Self { may_commit, committed }
    }

    async fn commit(self) {
        self.may_commit.notify_one();
        self.committed.await.expect("committed");
    }
}

/// On PostgreSQL alone transactions write side by side.
fn writes_side_by_side(fixture: &Fixture) -> bool {
    fixture.store.engine() == Engine::Postgres
}

#[tokio::test]
async fn a_revocation_that_draws_its_number_first_and_commits_last_is_not_lost() {
    let fixture = Fixture::start().await;
    if !writes_side_by_side(&fixture) {
        return;
    }
    let mut replica = Replica::ready(&fixture, WIDE).await;
    let mut watch = replica.watch("");
    told(&mut watch).await;

    let slow = Held::write(&replica, 1).await;
    Held::write(&replica, 2).await.commit().await;
    replica.look().await;
    let (_, seen) = told(&mut watch).await;
    assert_eq!(seen.len(), 1, "the higher number is visible, the lower is not");
    replica.look().await;
    assert!(is_silent(&mut watch));

    slow.commit().await;
    replica.look().await;
    let (_, late) = told(&mut watch).await;
    assert_eq!(late.len(), 1, "the lower number turns up");
    assert!(late[0].number < seen[0].number);
}

#[tokio::test]
async fn nothing_is_lost_in_whatever_order_transactions_that_overlap_commit() {
    const TOGETHER: usize = 6;
    const ROUNDS: usize = 20;
    let fixture = Fixture::start().await;
    if !writes_side_by_side(&fixture) {
        return;
    }
    let mut replica = Replica::ready(&fixture, WIDE).await;
    let mut watch = replica.watch("");
    told(&mut watch).await;
    let mut numbers = Vec::new();
    for round in 0..ROUNDS {
        let mut held = Vec::new();
        for writer in 0..TOGETHER {
            held.push(Held::write(&replica, (round * TOGETHER + writer) as u128).await);
        }
        // Another order each time.
        while !held.is_empty() {
            let next = (round * 7 + held.len() * 5) % held.len();
            held.swap_remove(next).commit().await;
            replica.look().await;
            numbers.extend(told(&mut watch).await.1.into_iter().map(|revocation| revocation.number));
            assert!(is_silent(&mut watch), "one at a time");
        }
    }
    assert_eq!(numbers.len(), ROUNDS * TOGETHER, "each was told, once");
    assert!(!numbers.is_sorted(), "some turned up late, or this shows nothing");
}

#[tokio::test]
async fn a_verifier_that_falls_behind_is_cut_and_begins_with_a_snapshot_and_one_that_keeps_up_goes_on() {
    let fixture = Fixture::start().await;
    let mut replica = Replica::ready(&fixture, TrustLogBounds { changes: 2, ..WIDE }).await;
    let (mut slow, mut quick) = (replica.watch(""), replica.watch(""));
    let cursor = slow.next().await.expect("a snapshot").cursor.to_string();
    told(&mut quick).await;
    fixture.register("alice@example.com").await.expect("registered");
    for _ in 0..3 {
        let login = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
        fixture.app.logout(login.tokens.refresh.expose()).await.expect("ended");
        replica.look().await;
        assert_eq!(told(&mut quick).await.1.len(), 1);
    }

    let refused = slow.next().await.expect_err("what is next is not held");
    assert!(matches!(refused, Error::TrustWatchTooSlow(_)), "{refused}");
    let mut again = replica.watch(&cursor);
    let (is_snapshot, revocations) = told(&mut again).await;
    assert_eq!((is_snapshot, revocations.len()), (true, 3));
}

#[tokio::test]
async fn a_verifier_that_comes_back_is_told_the_gap_or_heard_at_once() {
    let fixture = Fixture::start().await;
    let mut replica = Replica::ready(&fixture, WIDE).await;
    let cursor = replica.watch("").next().await.expect("a snapshot").cursor.to_string();

    let unchanged = replica.watch(&cursor).next().await.expect("held");
    assert!(matches!(unchanged.news, TrustNews::Heartbeat));
    let alice = fixture.alice().await;
    fixture.app.logout(alice.tokens.refresh.expose()).await.expect("ended");
    replica.look().await;
    let (is_snapshot, revocations) = told(&mut replica.watch(&cursor)).await;
    assert_eq!((is_snapshot, revocations.len()), (false, 1));

    let elsewhere = Replica::ready(&fixture, WIDE).await;
    assert!(told(&mut elsewhere.watch(&cursor)).await.0, "another replica counts otherwise");
}

#[tokio::test]
async fn nobody_is_told_anything_before_the_store_was_read() {
    let fixture = Fixture::start().await;
    let mut replica = Replica::of(&fixture, WIDE).await;
    let refused = replica.trust.watch("").expect_err("nothing was read");
    assert!(matches!(refused, Error::TrustNotReady));
    assert!(!replica.verifier.is_ready());
    replica.look().await;
    replica.watch("");
    assert!(replica.verifier.is_ready());
}

#[tokio::test]
async fn a_large_snapshot_comes_in_parts_and_the_last_says_so() {
    let fixture = Fixture::start().await;
    fixture
        .execute(
            "INSERT INTO revocations (kind, kid, created_at, expires_at) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
             SELECT 'key', 'key-' || i, 1800000000000000, 1800000600000000 FROM n",
        )
        .await;
    let replica = Replica::ready(&fixture, WIDE).await;
    let mut watch = replica.watch("");
    let mut parts = Vec::new();
    while parts.last().is_none_or(|(_, _, is_complete)| !is_complete) {
        let TrustNews::Snapshot { keys, revocations, is_complete } = watch.next().await.expect("a part").news else {
            panic!("a snapshot comes first");
        };
        parts.push((keys.is_some(), revocations.len(), is_complete));
    }
    assert_eq!(parts, [(true, 1_000, false), (false, 1_000, false), (false, 500, true)]);
    assert!(is_silent(&mut watch));
}
