//! Migrations: once, whole, by whoever comes first, and never backwards.

use std::time::Duration;

use futures_util::future::join_all;
use runtime::database::{Database, Engine};
use runtime::testing::Store;

use crate::migrations::{Migrator, Newer, ids, number, open, write};

#[tokio::test]
async fn a_schema_that_is_newer_than_the_program_is_refused_and_left_alone() {
    let store = Store::fresh().await;
    let newer = Database::open::<Newer>(&store.config()).await.expect("the newer program opens it");
    write(&newer, 1).await.expect("and writes");
    newer.close().await;

    let refused = Database::open::<Migrator>(&store.config()).await.expect_err("the older program does not");
    assert!(format!("{refused:?}").contains("newer than this program"), "{refused:?}");
    assert_eq!(ids(&Database::open::<Newer>(&store.config()).await.expect("opens")).await, [1]);
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_and_keeps_its_data() {
    let store = Store::fresh().await;
    let older = open(&store).await;
    write(&older, 1).await.expect("writes");
    older.close().await;
    let newer = Database::open::<Newer>(&store.config()).await.expect("opens");
    assert_eq!(newer.read(|c| Box::pin(number(c, "SELECT count(*) FROM more"))).await.expect("reads"), 0);
    assert_eq!(ids(&newer).await, [1]);
}

#[tokio::test]
async fn five_replicas_that_start_at_once_migrate_once() {
    let store = Store::fresh().await;
    let config = store.config();
    let replicas = join_all((0..5).map(|_| Database::open::<Newer>(&config))).await;
    let mut replicas: Vec<Database> = replicas.into_iter().filter_map(Result::ok).collect();
    // SQLite is for one process.
    assert_eq!(replicas.len(), if store.engine() == Engine::Sqlite { 1 } else { 5 });
    let replica = replicas.pop().expect("one at least");
    let migrated = replica.read(|c| Box::pin(number(c, "SELECT count(*) FROM seaql_migrations"))).await;
    assert_eq!(migrated.expect("reads"), 2);
}

#[tokio::test]
async fn without_migrate_on_start_the_store_is_usable_after_migrate() {
    let store = Store::fresh().await;
    let mut config = store.config();
    config.migrate_on_start = false;
    match Database::open::<Migrator>(&config).await {
        Err(refused) => {
            assert_eq!(store.engine(), Engine::Sqlite);
            assert!(format!("{refused:?}").contains("run `migrate`"), "{refused:?}");
            Database::migrate::<Migrator>(&config).await.expect("migrates");
            let database = Database::open::<Migrator>(&config).await.expect("opens now");
            write(&database, 1).await.expect("writes");
        }
        Ok(waiting) => {
            assert_eq!(store.engine(), Engine::Postgres);
            assert!(!waiting.is_ready(Duration::from_secs(10)).await);
            assert!(write(&waiting, 1).await.is_err());
            Database::migrate::<Migrator>(&config).await.expect("migrates");
            waiting.ready().await;
            write(&waiting, 1).await.expect("without a restart");
        }
    }
}

#[tokio::test]
async fn migrate_changes_nothing_the_second_time() {
    let store = Store::fresh().await;
    for _ in 0..2 {
        Database::migrate::<Migrator>(&store.config()).await.expect("migrates");
    }
    write(&open(&store).await, 1).await.expect("writes");
}
