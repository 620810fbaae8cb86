//! Units of work: whole or not at all, and none at the cost of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use runtime::database::{Connection, Database, DatabaseError, Engine, Outcome};
use runtime::testing::Store;
use sea_orm::{ConnectionTrait as _, DbErr};
use tokio::sync::{Barrier, oneshot};

use crate::migrations::{Migrator, ids, insert, number, open, write};

/// A piece of work for the middle of a crowd, each in its own way.
fn one_of_many(connection: &Connection, id: i64) -> BoxFuture<'_, Result<Outcome<()>, DbErr>> {
    Box::pin(async move {
        insert(connection, id, "thing").await?;
        match id {
            7 => Err(DbErr::Custom("on purpose".to_owned())),
            13 => Ok(Outcome::Rollback(())),
            21 => panic!("on purpose"),
            _ => Ok(Outcome::Commit(())),
        }
    })
}

#[tokio::test]
async fn a_decision_to_roll_back_keeps_nothing_and_is_no_error() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    let decided = database.write(|c| Box::pin(async move { insert(c, 1, "").await.map(|()| Outcome::Rollback("no")) }));
    assert_eq!(decided.await.expect("a decision"), "no");
    assert_eq!(ids(&database).await, [0; 0]);
}

#[tokio::test]
async fn of_many_at_once_one_that_fails_or_refuses_or_panics_undoes_itself_alone() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    let results = join_all((1..=30).map(|id| database.write(move |c| one_of_many(c, id)))).await;
    for (id, result) in (1..).zip(&results) {
        assert_eq!(result.is_err(), [7, 21].contains(&id), "{id}: {result:?}");
    }
    let kept: Vec<i64> = (1..=30).filter(|id| ![7, 13, 21].contains(id)).collect();
    assert_eq!(ids(&database).await, kept);
}

#[tokio::test]
async fn work_that_waits_together_is_committed_together_on_sqlite() {
    let store = Store::in_folder();
    let database = open(&store).await;
    let before = database.commits();
    for result in join_all((1..=200).map(|id| write(&database, id))).await {
        result.expect("writes");
    }
    // The first may have gone alone; the others fill groups of 64.
    assert!((3..=6).contains(&(database.commits() - before)), "{} commits", database.commits() - before);
    assert_eq!(ids(&database).await.len(), 200);
}

#[tokio::test]
async fn work_that_breaks_the_shared_transaction_fails_alone() {
    let store = Store::in_folder();
    let database = open(&store).await;
    let results = join_all((1..=10).map(|id| {
        database.write(move |c| {
            Box::pin(async move {
                insert(c, id, "thing").await?;
                if id == 5 {
                    c.execute_unprepared("ROLLBACK").await?;
                }
                Ok(Outcome::Commit(()))
            })
        })
    }));
    for (id, result) in (1..).zip(results.await) {
        assert_eq!(result.is_err(), id == 5, "{id}: {result:?}");
    }
    assert_eq!(ids(&database).await, [1, 2, 3, 4, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn more_work_than_may_wait_for_the_writer_is_refused_at_once() {
    let store = Store::in_folder();
    let mut config = store.config();
    config.write_queue = 1;
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    let results = join_all((1..=10).map(|id| write(&database, id))).await;
    assert!(results[0].is_ok());
    assert!(matches!(results[9], Err(DatabaseError::Unavailable(_))), "{:?}", results[9]);
    write(&database, 11).await.expect("and is taken again when there is room");
}

#[tokio::test]
async fn work_that_takes_too_long_is_undone_and_holds_up_nobody_for_ever() {
    let store = Store::fresh().await;
    let mut config = store.config();
    config.work_timeout = Duration::from_millis(200);
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    let stuck = database.write(|c| {
        Box::pin(async move {
            insert(c, 1, "").await?;
            std::future::pending::<Result<Outcome<()>, DbErr>>().await
        })
    });
    let (stuck, next) = tokio::join!(stuck, write(&database, 2));
    assert!(matches!(stuck, Err(DatabaseError::Unavailable(_))), "{stuck:?}");
    next.expect("the one behind it is served");
    assert_eq!(ids(&database).await, [2]);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    let refused = database.read(|c| Box::pin(async move { insert(c, 1, "").await })).await;
    assert!(matches!(refused, Err(DatabaseError::Fault(_))), "{refused:?}");
    write(&database, 2).await.expect("a writer can");
    assert_eq!(ids(&database).await, [2]);
}

#[tokio::test]
async fn a_snapshot_sees_one_state_and_reads_see_the_newest() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    let (inside, writer) = (database.clone(), database.clone());
    let count = "SELECT count(*) FROM things";
    let twice = database.snapshot(move |c| {
        Box::pin(async move {
            let before = number(c, count).await?;
            write(&inside, 1).await.expect("another connection writes");
            Ok((before, number(c, count).await?))
        })
    });
    assert_eq!(twice.await.expect("reads"), (0, 0));
    let twice = database.read(move |c| {
        Box::pin(async move {
            let before = number(c, count).await?;
            write(&writer, 2).await.expect("another connection writes");
            Ok((before, number(c, count).await?))
        })
    });
    assert_eq!(twice.await.expect("reads"), (1, 2));
}

#[tokio::test]
async fn when_all_connections_are_taken_work_is_refused_in_time_and_the_store_is_still_ready() {
    let store = Store::fresh().await;
    let mut config = store.config();
    (config.connections, config.readers, config.acquire_timeout) = (1, 1, Duration::from_millis(50));
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    let ((began, begun), (end, ended)) = (oneshot::channel(), oneshot::channel::<()>());
    let long = database.read(move |_| {
        Box::pin(async move {
            began.send(()).expect("the test waits for it");
            ended.await.expect("the test ends it");
            Ok(())
        })
    });
    let meanwhile = async {
        begun.await.expect("it begins");
        let refused = database.read(|c| Box::pin(number(c, "SELECT 1"))).await;
        assert!(matches!(refused, Err(DatabaseError::Unavailable(_))), "{refused:?}");
        assert!(database.is_ready(Duration::from_secs(10)).await);
        end.send(()).expect("it waits");
    };
    let (long, ()) = tokio::join!(long, meanwhile);
    long.expect("the one that had the connection is not hurt");
    assert_eq!(database.read(|c| Box::pin(number(c, "SELECT 1"))).await.expect("reads"), 1);
}

#[tokio::test]
async fn a_transaction_that_lost_to_another_is_run_again() {
    let store = Store::fresh().await;
    if store.engine() == Engine::Sqlite {
        return; // one writer: nobody loses
    }
    let database = open(&store).await;
    write(&database, 0).await.expect("the counter is there");
    let both_have_read = Arc::new(Barrier::new(2));
    let runs = Arc::new(AtomicUsize::new(0));
    let count_up = || {
        let (both_have_read, runs) = (Arc::clone(&both_have_read), Arc::clone(&runs));
        database.write(move |c| {
            let (both_have_read, run) = (Arc::clone(&both_have_read), runs.fetch_add(1, Ordering::SeqCst));
            Box::pin(async move {
                c.execute_unprepared("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await?;
                let seen = number(c, "SELECT length(title)::bigint FROM things").await?;
                if run < 2 {
                    both_have_read.wait().await;
                }
                c.execute_unprepared("UPDATE things SET title = title || 'x'").await?;
                Ok(Outcome::Commit(seen))
            })
        })
    };
    let (one, other) = tokio::join!(count_up(), count_up());
    let mut seen = [one.expect("wins in the end"), other.expect("wins in the end")];
    seen.sort_unstable();
    assert_eq!(seen, [5, 6]);
    assert!(runs.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn a_transaction_that_always_loses_is_contended_after_four_runs() {
    let store = Store::fresh().await;
    if store.engine() == Engine::Sqlite {
        return;
    }
    let database = open(&store).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let lost = database.write(move |c| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            c.execute_unprepared("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$").await?;
            Ok(Outcome::Commit(()))
        })
    });
    assert!(matches!(lost.await, Err(DatabaseError::Contention(_))));
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_commit_after_a_swallowed_error_is_not_a_silent_rollback() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    let swallowed = database.write(|c| {
        Box::pin(async move {
            insert(c, 1, "").await?;
            insert(c, 1, "the same id").await.ok();
            Ok(Outcome::Commit(()))
        })
    });
    // SQLite undoes the failed statement alone, PostgreSQL gives the whole transaction up: then it must be said.
    match swallowed.await {
        Ok(()) => assert_eq!(ids(&database).await, [1]),
        Err(error) => {
            assert!(matches!(error, DatabaseError::Fault(_)), "{error:?}");
            assert_eq!(ids(&database).await, [0; 0]);
        }
    }
    write(&database, 2).await.expect("the connection is usable");
}
