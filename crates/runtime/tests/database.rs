//! What the store promises, on the engine under test.

use std::time::Duration;

use runtime::database::{Database, DatabaseError, Outcome};
use runtime::testing::Store;
use sea_orm::DbErr;

mod migrations;
use migrations::{Migrator, insert, titles};

#[tokio::test]
async fn what_was_written_is_read() {
    let store = Store::fresh().await;
    let database = Database::open::<Migrator>(&store.config()).await.expect("opens");
    database.write(|c| Box::pin(async move { insert(c, 1, "one").await.map(Outcome::Commit) })).await.expect("writes");
    assert_eq!(titles(&database).await, ["one"]);
    assert!(database.is_ready(Duration::from_secs(5)).await);
    database.close().await;
}

#[tokio::test]
async fn what_was_rolled_back_is_not_there_and_its_value_is_returned() {
    let store = Store::fresh().await;
    let database = Database::open::<Migrator>(&store.config()).await.expect("opens");
    let decided = database
        .write(|c| Box::pin(async move { insert(c, 1, "one").await.map(|()| Outcome::Rollback("refused")) }))
        .await;
    assert_eq!(decided.expect("a decision is no error"), "refused");
    assert_eq!(titles(&database).await, [""; 0]);
}

#[tokio::test]
async fn an_error_of_the_work_undoes_it_and_is_a_fault() {
    let store = Store::fresh().await;
    let database = Database::open::<Migrator>(&store.config()).await.expect("opens");
    let failed = database
        .write(|c| {
            Box::pin(async move {
                insert(c, 1, "one").await?;
                Err::<Outcome<()>, _>(DbErr::Custom("on purpose".to_owned()))
            })
        })
        .await;
    assert!(matches!(failed, Err(DatabaseError::Fault(_))), "{failed:?}");
    assert_eq!(titles(&database).await, [""; 0]);
}
