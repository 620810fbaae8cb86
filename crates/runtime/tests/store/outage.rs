//! A server that is not there yet, goes away, or falls silent.

use std::time::Duration;

use runtime::database::{Database, DatabaseConfig, DatabaseError};
use runtime::testing::Store;
use tokio::sync::oneshot;

use crate::migrations::{Migrator, ids, number, open, write};
use crate::server::{Server, Wire};

const SOON: Duration = Duration::from_secs(10);

fn port(url: &str) -> u16 {
    let host = url.rsplit_once('/').expect("a database").0;
    host.rsplit_once(':').expect("a port").1.parse().expect("a number")
}

#[tokio::test]
async fn a_server_that_comes_after_the_service_is_found_by_itself() {
    let Some(server) = Server::start() else { return };
    let store = Store::on_server(server.url.clone()).await;
    server.down();

    let database = Database::open::<Migrator>(&store.config()).await.expect("opens without a server");
    assert!(!database.is_ready(SOON).await);
    let refused = write(&database, 1).await;
    assert!(matches!(refused, Err(DatabaseError::Unavailable(_))), "{refused:?}");

    server.up();
    database.ready().await;
    assert!(database.is_ready(SOON).await);
    write(&database, 2).await.expect("writes");
    assert_eq!(ids(&database).await, [2]);
}

#[tokio::test]
async fn a_server_that_goes_away_makes_work_unavailable_until_it_is_back() {
    let Some(server) = Server::start() else { return };
    let store = Store::on_server(server.url.clone()).await;
    let database = open(&store).await;
    for round in 0..3 {
        write(&database, round).await.expect("writes");
        // One is under way when the server dies.
        let (began, begun) = oneshot::channel();
        let under_way = database.read(move |c| {
            Box::pin(async move {
                began.send(()).ok();
                number(c, "SELECT 1::bigint FROM pg_sleep(60)").await
            })
        });
        let dies = async {
            begun.await.expect("it begins");
            server.down();
        };
        let (under_way, ()) = tokio::join!(under_way, dies);
        assert!(matches!(under_way, Err(DatabaseError::Unavailable(_))), "{under_way:?}");
        for _ in 0..20 {
            let refused = write(&database, 100).await;
            assert!(matches!(refused, Err(DatabaseError::Unavailable(_))), "{refused:?}");
        }
        assert!(!database.is_ready(SOON).await);

        server.up();
        database.ready().await;
    }
    write(&database, 3).await.expect("writes");
    assert_eq!(ids(&database).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_server_that_falls_silent_makes_work_unavailable_in_bounded_time() {
    let Some(server) = Server::start() else { return };
    let store = Store::on_server(server.url.clone()).await;
    let wire = Wire::to(port(&server.url)).await;
    let through = store.url().replace(&format!(":{}/", port(&server.url)), &format!(":{}/", wire.port));
    let mut config = DatabaseConfig::with_url(&through);
    (config.work_timeout, config.connect_timeout) = (Duration::from_millis(300), Duration::from_millis(300));
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    write(&database, 1).await.expect("writes");

    wire.hold();
    for _ in 0..3 {
        let refused = write(&database, 2).await;
        assert!(matches!(refused, Err(DatabaseError::Unavailable(_))), "{refused:?}");
        let refused = database.read(|c| Box::pin(number(c, "SELECT 1"))).await;
        assert!(matches!(refused, Err(DatabaseError::Unavailable(_))), "{refused:?}");
    }
    assert!(!database.is_ready(Duration::from_millis(300)).await);

    wire.release();
    database.ready().await;
    write(&database, 3).await.expect("writes again");
    assert_eq!(ids(&database).await, [1, 3]);
}

#[tokio::test]
async fn a_wrong_password_or_name_is_waited_for_not_served() {
    let Some(server) = Server::start() else { return };
    let config = DatabaseConfig::with_url(&server.url.replace("/postgres", "/nobody_made_this"));
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    assert!(!database.is_ready(SOON).await);
    assert!(matches!(write(&database, 1).await, Err(DatabaseError::Unavailable(_))));
}
