//! The SQLite file: one process, private, refused when it is damaged, usable again after a full disk.

use std::path::{Path, PathBuf};

use runtime::database::{Database, DatabaseConfig, DatabaseError, Outcome};
use runtime::testing::Store;
use sea_orm::ConnectionTrait as _;

use crate::child::Process;
use crate::migrations::{Migrator, Newer, ids, insert, open, write};

fn path(store: &Store) -> PathBuf {
    PathBuf::from(store.url().strip_prefix("sqlite://").expect("a file"))
}

#[tokio::test]
async fn a_second_process_is_refused_at_once_until_the_first_has_ended() {
    let store = Store::in_folder();
    let mut first = Process::start("holds_the_store_until_it_is_killed", &store.url());
    first.next("holds it").expect("it opens the store");
    let refused = Database::open::<Migrator>(&store.config()).await.expect_err("there is one already");
    assert!(format!("{refused:?}").contains("another process has this store open"), "{refused:?}");

    first.kill();
    write(&open(&store).await, 1).await.expect("a lock does not outlive its process");
}

#[tokio::test]
async fn another_name_of_the_same_file_is_the_same_store() {
    let store = Store::in_folder();
    let first = open(&store).await;
    let link = path(&store).with_file_name("other.db");
    std::os::unix::fs::symlink(path(&store), &link).expect("a link");
    let config = DatabaseConfig::with_url(&format!("sqlite://{}", link.display()));
    Database::open::<Migrator>(&config).await.expect_err("it is open already");
    first.close().await;
    Database::open::<Migrator>(&config).await.expect("and can be opened when it is closed");
}

#[cfg(unix)]
#[tokio::test]
async fn its_folder_and_its_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| path.metadata().expect("is there").permissions().mode() & 0o777;
    let store = Store::in_folder();
    let folder = path(&store).with_file_name("new").join("data");
    let config = DatabaseConfig::with_url(&format!("sqlite://{}", folder.join("notes.db").display()));
    let database = Database::open::<Migrator>(&config).await.expect("opens");
    write(&database, 1).await.expect("writes");
    assert_eq!(mode(&folder), 0o700);
    for entry in folder.read_dir().expect("a folder") {
        let file = entry.expect("an entry").path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

/// Opening `content` is refused with a word about damage, and the file is left as it is.
async fn refuses(content: &[u8]) {
    let store = Store::in_folder();
    std::fs::write(path(&store), content).expect("writes");
    let refused = Database::open::<Migrator>(&store.config()).await.expect_err("it is damaged");
    assert!(format!("{refused:?}").contains("is damaged"), "{refused:?}");
    assert_eq!(std::fs::read(path(&store)).expect("reads"), content, "the file is left as it is");
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    refuses(&b"this is a letter to my aunt, and no database at all. ".repeat(100)).await;
}

#[tokio::test]
async fn a_file_that_lost_its_content_is_refused() {
    refuses(b"").await;
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let store = Store::in_folder();
    let database = open(&store).await;
    for id in 0..500 {
        write(&database, id).await.expect("writes");
    }
    database.close().await;
    let sound = std::fs::read(path(&store)).expect("reads");
    drop(database);
    for (what, position) in [("the header", 20), ("the schema", 100), ("a page of data", 4_096 * 3)] {
        let mut damaged = sound.clone();
        damaged[position..position + 16].fill(0xa5);
        println!("{what}");
        refuses(&damaged).await;
    }
    assert_eq!(ids(&open(&store).await).await.len(), 500, "the sound one opens");
}

#[tokio::test]
async fn a_log_without_its_file_is_refused_rather_than_begun_anew() {
    let store = Store::in_folder();
    std::fs::write(path(&store).with_file_name("store.db-wal"), "left over").expect("writes");
    let refused = Database::open::<Migrator>(&store.config()).await.expect_err("the file is missing");
    assert!(format!("{refused:?}").contains("is missing"), "{refused:?}");
}

#[tokio::test]
async fn when_the_disk_is_full_writes_are_unavailable_reads_go_on_and_writes_come_back_with_room() {
    let store = Store::in_folder();
    let database = open(&store).await;
    write(&database, 1).await.expect("writes");
    let limit = |pages: u32| {
        database.write(move |c| {
            Box::pin(async move {
                // The engine's own limit fails with the code of a full disk.
                c.execute_unprepared(&format!("PRAGMA max_page_count = {pages}")).await?;
                Ok(Outcome::Commit(()))
            })
        })
    };
    limit(1).await.expect("sets the limit");
    let large = "x".repeat(100_000);
    let too_large = |id: i64| {
        let large = large.clone();
        database.write(move |c| {
            let large = large.clone();
            Box::pin(async move { insert(c, id, &large).await.map(Outcome::Commit) })
        })
    };
    let full = too_large(2).await;
    assert!(matches!(full, Err(DatabaseError::Unavailable(_))), "{full:?}");
    assert_eq!(ids(&database).await, [1]);

    limit(1_000_000).await.expect("makes room");
    too_large(3).await.expect("writes again");
    assert_eq!(ids(&database).await, [1, 3]);
}

#[tokio::test]
async fn closing_leaves_one_file_with_everything_in_it() {
    let store = Store::in_folder();
    let database = open(&store).await;
    write(&database, 1).await.expect("writes");
    database.close().await;
    assert!(!path(&store).with_file_name("store.db-wal").exists(), "the log went into the file");
}

#[tokio::test]
async fn a_url_that_names_no_file_is_refused() {
    for url in
        ["sqlite://", "sqlite::memory:", "sqlite://:memory:", "sqlite://a?mode=rwc", "mysql://x", "data/x.db", ""]
    {
        let config = DatabaseConfig::with_url(url);
        let refused = Database::open::<Migrator>(&config).await;
        assert!(matches!(refused, Err(DatabaseError::Fault(_))), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn an_operators_program_works_beside_the_service_that_has_the_store() {
    let store = Store::fresh().await;
    let refused = Database::join::<Migrator>(&store.config()).await.expect_err("nobody has made its schema");
    assert!(matches!(refused, DatabaseError::Fault(_) | DatabaseError::Unavailable(_)), "{refused:?}");

    let service = open(&store).await;
    write(&service, 1).await.expect("writes");
    let operator = Database::join::<Migrator>(&store.config()).await.expect("joins");
    assert_eq!(ids(&operator).await, [1]);
    for id in 2..=40 {
        let (ours, theirs) = tokio::join!(write(&service, id), write(&operator, id + 100));
        ours.expect("the service goes on writing");
        theirs.expect("and so does the operator");
    }
    assert_eq!(ids(&service).await.len(), 79);
    operator.close().await;
    write(&service, 1000).await.expect("the service goes on when the operator has gone");
    assert!(Database::join::<Newer>(&store.config()).await.is_err(), "nothing is migrated under the service's feet");
}
