//! What was acknowledged is there.

use runtime::testing::Store;

use crate::child::Process;
use crate::migrations::{ids, open, write};

#[tokio::test]
async fn every_acknowledged_write_survives_kill_9() {
    for round in 1..=3 {
        let store = Store::fresh().await;
        // Makes the schema, so that no round spends its time on it.
        open(&store).await.close().await;
        let mut writer = Process::start("writes_until_it_is_killed", &store.url());
        let mut acknowledged: Vec<i64> = Vec::new();
        while acknowledged.len() < round * 40 {
            let id = writer.next("acknowledged ").expect("it writes until it is killed");
            acknowledged.push(id.trim().parse().expect("a number"));
        }
        writer.kill();
        // What it still said before it died counts too.
        while let Some(id) = writer.next("acknowledged ") {
            acknowledged.extend(id.trim().parse::<i64>());
        }

        let database = open(&store).await;
        let stored = ids(&database).await;
        for id in &acknowledged {
            assert!(stored.contains(id), "{id} was acknowledged and is lost in round {round}");
        }
        assert!(stored.len() <= acknowledged.len() + 8, "at most the eight in flight were not acknowledged");
        write(&database, -1).await.expect("and it goes on");
        database.close().await;
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_the_store_was_closed_and_opened() {
    let store = Store::fresh().await;
    let database = open(&store).await;
    write(&database, 1).await.expect("writes");
    database.close().await;
    assert!(write(&database, 2).await.is_err(), "a closed store takes no work");
    assert_eq!(ids(&open(&store).await).await, [1]);
}
