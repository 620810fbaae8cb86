//! Callers that go away: a deadline or a reset drops the future of the call at any await.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use runtime::database::{Database, Engine, Outcome};
use runtime::testing::Store;
use tokio::sync::oneshot;

use crate::migrations::{Migrator, ids, insert, number, open, write};

/// Drops `work` at its `polls`-th wait.
async fn vanish_after<F: Future>(polls: usize, work: F) {
    let mut work = Box::pin(work);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 || work.poll_unpin(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}

async fn write_pair(database: &Database, id: i64) {
    let pair = database.write(move |c| {
        Box::pin(async move {
            insert(c, id, "one").await?;
            insert(c, id + 1_000, "its other half").await.map(Outcome::Commit)
        })
    });
    pair.await.expect("writes");
}

#[tokio::test]
async fn a_write_whose_caller_vanished_is_finished_and_closing_waits_for_it() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    let (began, begun) = oneshot::channel();
    let began = std::sync::Mutex::new(Some(began));
    let (resume, resumed) = tokio::sync::watch::channel(false);
    let mut call = Box::pin(database.write(move |c| {
        let (began, mut resumed) = (began.lock().expect("no panic").take(), resumed.clone());
        Box::pin(async move {
            insert(c, 1, "one").await?;
            began.expect("runs once").send(()).expect("the test waits");
            resumed.wait_for(|resumed| *resumed).await.expect("the test resumes");
            insert(c, 2, "two").await.map(Outcome::Commit)
        })
    }));
    tokio::select! {
        _ = &mut call => unreachable!("it waits"),
        begun = begun => begun.expect("it begins"),
    }
    drop(call);
    resume.send(true).expect("the work still waits");
    database.close().await;
    assert_eq!(ids(&open(&store).await).await, [1, 2]);
}

#[tokio::test]
async fn writes_dropped_at_any_moment_are_whole_or_absent_and_leave_no_transaction_open() {
    let store = Store::fresh().await;
    let mut config = store.config();
    (config.connections, config.readers) = (2, 1);
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    for id in 0..60 {
        vanish_after(id % 20, write_pair(&database, i64::try_from(id).expect("small"))).await;
    }
    for id in 0..4 {
        write(&database, 5_000 + id).await.expect("plain writes are served");
    }
    if store.engine() == Engine::Postgres {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND state LIKE 'idle in transaction%' AND xact_start < now() - interval '1 second'";
        assert_eq!(database.read(|c| Box::pin(number(c, open))).await.expect("reads"), 0);
    }
    database.close().await;

    let stored = ids(&open(&store).await).await;
    for id in 0..60 {
        assert_eq!(stored.contains(&id), stored.contains(&(id + 1_000)), "{id} is whole or absent");
    }
    assert!(stored.ends_with(&[5_000, 5_001, 5_002, 5_003]), "{stored:?}");
}

#[tokio::test]
async fn reads_dropped_at_any_moment_leave_their_connections_usable() {
    let store = Store::fresh().await;
    let mut config = store.config();
    (config.connections, config.readers) = (1, 1);
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    for polls in 0..20 {
        vanish_after(polls, database.snapshot(|c| Box::pin(number(c, "SELECT 1")))).await;
        vanish_after(polls, database.read(|c| Box::pin(number(c, "SELECT 1")))).await;
    }
    assert_eq!(database.read(|c| Box::pin(number(c, "SELECT 7"))).await.expect("reads"), 7);
    write(&database, 1).await.expect("writes");
    assert!(database.is_ready(Duration::from_secs(10)).await);
}
