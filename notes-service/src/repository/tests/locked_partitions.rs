//! Work on one owner's notes touches no partition but theirs: while somebody holds all others, it goes on. An engine that
//! spreads tables over machines by their owner (Citus and its like) then asks one machine.

use runtime::database::Engine;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, Statement, TransactionTrait as _};

use super::super::Purge;
use super::workload::{tag_at_random, write_at_random};
use super::*;
use crate::domain::{ChangesQuery, Order, PAGE_BYTES, RevisionId, SyncPoint, View};
use crate::testing::list_in;

/// Somebody who holds every partition but those of one owner, until dropped.
struct Holder(DatabaseTransaction);

impl Holder {
    async fn of_all_but(fixture: &Fixture, owner: Subject) -> Self {
        let server = sea_orm::Database::connect(fixture.store.url()).await.expect("the server is there");
        let transaction = server.begin().await.expect("a transaction begins");
        let others = format!(
            "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' AND right(relname::text, 3) NOT IN
                 (SELECT right(tableoid::regclass::text, 3) FROM owner_state WHERE owner_id = '{}')",
            owner.as_uuid()
        );
        let rows = transaction.query_all_raw(Statement::from_string(DbBackend::Postgres, others)).await;
        let others: Result<Vec<String>, _> =
            rows.expect("a catalog").iter().map(|row| row.try_get_by_index(0)).collect();
        let others = others.expect("names");
        assert_eq!(others.len() % 15, 0, "of each table all of sixteen but one");
        let lock = format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", others.join(", ONLY "));
        transaction.execute_unprepared(&lock).await.expect("nobody holds them");
        Self(transaction)
    }
}

/// Calls everything that an owner's handle has, and what is done for an owner in the background.
async fn everything(fixture: &Fixture, owner: Subject, seed: u64) {
    let notes = fixture.repository.for_owner(owner);
    for note in write_at_random(fixture, owner, seed).await {
        notes.find(note.id, View::Full).await.expect("the store works");
    }
    tag_at_random(fixture, owner, seed).await;
    let batch = fixture.create_together(owner, vec![written("together"), written("with another")]).await;
    let note = batch[0].id;
    fixture.write_versions(owner, note, 3).await;
    done(fixture.roll_back(owner, note, 1, None).await);
    assert!(!fixture.history(owner, note).await.is_empty());
    notes.revision(note, RevisionId::from_number(1).expect("a revision")).await.expect("the store works");
    for view in [View::Basic, View::Full] {
        notes.find_all(batch.iter().map(|note| note.id).collect(), view).await.expect("the store works");
        let query = ChangesQuery { after: SyncPoint::BEGINNING, view, size: 50, bytes: PAGE_BYTES };
        notes.changes(query).await.expect("the store works");
        for (_, order) in Order::ALL {
            for show_deleted in [false, true] {
                notes.page(crate::domain::PageQuery { show_deleted, view, ..list_in(order) }).await.expect("a page");
            }
        }
    }
    fixture.finds(owner, "together -nothing").await;
    fixture.tags(owner).await;
    assert!(notes.state().await.expect("the store works").is_some());
    notes.validate_create(fixture.command(written("tried"))).await.expect("the store works");
    fixture.trash_together(owner, vec![batch[1].id]).await.expect("it is there");
    fixture.trash(owner, note).await;
    fixture.expunge(owner, note).await;
    fixture.empty_trash(owner).await;
}

#[tokio::test]
async fn an_owner_is_served_while_somebody_holds_every_other_partition() {
    let fixture = Fixture::fresh().await;
    if fixture.repository.database.engine() == Engine::Sqlite {
        return;
    }
    let (alice, bob) = (somebody(), somebody());
    let note = fixture.create(alice, written("first")).await;
    fixture.trash(alice, note.id).await;
    fixture.create(bob, written("first")).await;
    let later = fixture.now() + RETENTION + Duration::from_secs(1);
    let due = fixture.repository.due_owners(None, later).await.expect("the store works").owners;
    let [due] = due[..] else { panic!("alice alone has something to be removed: {due:?}") };
    let holder = Holder::of_all_but(&fixture, alice).await;

    // Often enough that the server would plan a statement without its values, for all partitions.
    for seed in 1..=3 {
        everything(&fixture, alice, seed).await;
    }
    let purge = Purge { now: later, tombstone_retention: Duration::ZERO, batch: 1_000 };
    fixture.repository.purge(due, purge).await.expect("the store works");

    let held = fixture.repository.database.for_owner(alice.as_uuid()).write(|transaction| {
        Box::pin(async move {
            transaction.execute_unprepared("SET LOCAL lock_timeout = '50ms'; SELECT FROM notes").await?;
            Ok(runtime::database::Outcome::Commit(()))
        })
    });
    held.await.expect_err("a statement that asks for no owner comes to what is held");
    holder.0.rollback().await.expect("it ends");
}
