//! Row-level security, where the engine has it: on PostgreSQL.

use runtime::database::{Connection, DatabaseConfig, DatabaseError, Engine, Outcome, Owned, Role};
use sea_orm::{ConnectionTrait as _, DbErr, FromQueryResult, Statement};

use super::super::{migration, row_security};
use super::*;
use crate::config::ROLE;

/// The tables with owners, in no order of foreign keys.
const TABLES: [&str; 13] = [
    "owner_state",
    "notes",
    "note_bodies",
    "create_requests",
    "tombstones",
    "note_revisions",
    "tags",
    "note_tags",
    "tag_tombstones",
    "search_recent",
    "search_segments",
    "search_blocks",
    "search_backlog",
];

const NOBODY: [Uuid; 0] = [];

#[derive(Debug, FromQueryResult)]
struct OwnerOfRows {
    owner_id: Uuid,
}

async fn owners(connection: &Connection, table: &str) -> Result<Vec<Uuid>, DbErr> {
    let sql = format!("SELECT DISTINCT owner_id FROM {table} ORDER BY owner_id");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = OwnerOfRows::find_by_statement(statement).all(connection).await?;
    Ok(rows.into_iter().map(|row| row.owner_id).collect())
}

/// Whose rows of a table a query sees that does not ask for an owner.
async fn seen(owned: Owned<'_>, table: &'static str) -> Vec<Uuid> {
    owned.read(|connection| Box::pin(owners(connection, table))).await.expect("the query is allowed")
}

/// How many rows a statement changes.
async fn changed(owned: Owned<'_>, sql: String) -> Result<u64, DatabaseError> {
    let work = owned.write(move |transaction| {
        let sql = sql.clone();
        Box::pin(async move { Ok(Outcome::Commit(transaction.execute_unprepared(&sql).await?.rows_affected())) })
    });
    work.await
}

/// Two people with a note in a trash, its revisions and a tag each; none where there is no row-level security.
async fn two_people() -> Option<(Fixture, Subject, Subject)> {
    let fixture = Fixture::fresh().await;
    if fixture.repository.database.engine() == Engine::Sqlite {
        return None;
    }
    let (alice, bob) = (somebody(), somebody());
    for owner in [alice, bob] {
        let tag = fixture.tag(owner, "theirs").await.id;
        let note = fixture.create(owner, NoteFields { tags: vec![tag], ..written("theirs") }).await;
        fixture.write_versions(owner, note.id, 2).await;
        fixture.trash(owner, note.id).await;
    }
    Some((fixture, alice, bob))
}

#[tokio::test]
async fn a_query_without_an_owner_sees_the_rows_of_the_one_whom_it_is_for() {
    let Some((fixture, alice, bob)) = two_people().await else { return };
    let database = &fixture.repository.database;
    let (alice, bob) = (alice.as_uuid(), bob.as_uuid());
    let mut both = [alice, bob];
    both.sort();
    for table in ["owner_state", "notes", "note_bodies", "note_revisions", "tags", "note_tags", "search_recent"] {
        for owner in [alice, bob] {
            assert_eq!(seen(database.for_owner(owner), table).await, [owner], "{table}");
            assert_eq!(seen(database.for_owners(move || vec![owner]), table).await, [owner], "{table}");
        }
        assert_eq!(seen(database.for_owners(move || vec![alice, bob, Uuid::nil()]), table).await, both, "{table}");
        assert_eq!(seen(database.for_owner(Uuid::nil()), table).await, NOBODY, "{table}");
        assert_eq!(seen(database.for_owners(Vec::new), table).await, NOBODY, "{table}");
        let nobodys = database.read(|connection| Box::pin(owners(connection, table)));
        assert_eq!(nobodys.await.expect("the query is allowed"), NOBODY, "{table}");
        let walk = database.for_walk().read(|connection| Box::pin(owners(connection, table)));
        match table {
            "owner_state" => assert_eq!(walk.await.expect("that is the walk"), both),
            _ => drop(walk.await.expect_err("it leads nowhere else")),
        }
    }
    let counts = database.for_walk().read(|connection| {
        Box::pin(async move { connection.execute_unprepared("SELECT note_count FROM owner_state").await.map(|_| ()) })
    });
    counts.await.expect_err("what is counted of an owner is not for the walk");
}

#[tokio::test]
async fn no_row_of_another_owner_can_be_written() {
    let Some((fixture, alice, bob)) = two_people().await else { return };
    let database = &fixture.repository.database;
    let (alice, bob) = (alice.as_uuid(), bob.as_uuid());
    let request = |owner| {
        let id = Uuid::new_v4();
        format!("INSERT INTO create_requests VALUES ('{owner}', '{id}', sha256('x'), '{id}', 1)")
    };
    assert_eq!(changed(database.for_owner(alice), request(alice)).await.expect("her own"), 1);
    for owned in [database.for_owner(alice), database.for_owners(move || vec![alice, Uuid::nil()])] {
        changed(owned, request(bob)).await.expect_err("another's");
    }
    changed(database.for_walk(), request(bob)).await.expect_err("a walk only reads");
    let to_bob = format!("UPDATE tags SET owner_id = '{bob}'");
    changed(database.for_owner(alice), to_bob).await.expect_err("a gift to another");
    for (owned, rows) in [
        (database.for_owner(alice), 1),
        (database.for_owners(move || vec![alice, bob]), 2),
        (database.for_owner(Uuid::nil()), 0),
    ] {
        assert_eq!(changed(owned, "UPDATE owner_state SET epoch = 7".to_owned()).await.expect("allowed"), rows);
    }
    let by_walking = changed(database.for_walk(), "UPDATE owner_state SET epoch = 7".to_owned());
    by_walking.await.expect_err("a walk only reads");
    assert_eq!(changed(database.for_owner(bob), "DELETE FROM notes".to_owned()).await.expect("allowed"), 1);
    assert_eq!(seen(database.for_owner(alice), "note_bodies").await, [alice]);
    assert_eq!(seen(database.for_owner(bob), "note_bodies").await, NOBODY, "bodies go with their notes");
}

#[tokio::test]
async fn a_partition_cannot_be_reached_past_its_table() {
    let Some((fixture, alice, _)) = two_people().await else { return };
    let read = fixture.repository.database.for_owner(alice.as_uuid()).read(|connection| {
        Box::pin(async move { connection.execute_unprepared("SELECT FROM notes_00").await.map(|_| ()) })
    });
    read.await.expect_err("the role has no rights on it");
}

#[tokio::test]
async fn a_connection_that_is_given_back_remembers_no_owner() {
    let store = Store::fresh().await;
    if store.engine() == Engine::Sqlite {
        return;
    }
    let config = DatabaseConfig { connections: 1, ..config(&store) };
    let database = Database::open::<migration::Migrator>(&config).await.expect("the store opens");
    let remembered = async || {
        let read = database.read(|connection| {
            Box::pin(async move {
                let settings = ["app.owner", "app.owners", "app.upkeep", "transaction_isolation"];
                let settings = settings.map(|name| format!("coalesce(current_setting('{name}', true), '')"));
                let sql = format!("SELECT concat(current_user, ' ', {})", settings.join(", "));
                let row = connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql));
                row.await?.expect("a row").try_get_by_index::<String>(0)
            })
        });
        read.await.expect("the store works")
    };
    let nothing = format!("{ROLE} read committed");
    assert_eq!(remembered().await, nothing);
    let (alice, several) = (somebody().as_uuid(), || vec![somebody().as_uuid(), somebody().as_uuid()]);
    seen(database.for_owner(alice), "notes").await;
    assert_eq!(remembered().await, nothing);
    seen(database.for_owners(several), "notes").await;
    assert_eq!(remembered().await, nothing);
    seen(database.for_walk(), "owner_state").await;
    assert_eq!(remembered().await, nothing);
    let snapshot = database.for_owner(alice).snapshot(|connection| Box::pin(owners(connection, "notes")));
    snapshot.await.expect("the query is allowed");
    assert_eq!(remembered().await, nothing);
    let failed = database.for_owner(alice).read(|connection| Box::pin(owners(connection, "no_table")));
    failed.await.expect_err("there is no such table");
    assert_eq!(remembered().await, nothing);
    changed(database.for_owner(alice), "DELETE FROM tags".to_owned()).await.expect("allowed");
    assert_eq!(remembered().await, nothing);
    changed(database.for_owners(several), "no statement".to_owned()).await.expect_err("it is none");
    assert_eq!(remembered().await, nothing);
}

/// A query of the catalog, past the wall.
async fn asked(fixture: &Fixture, sql: &str) -> Vec<String> {
    let sql = sql.to_owned();
    let database = fixture.past_the_wall().await;
    let read = database.read(move |connection| {
        Box::pin(async move {
            let statement = Statement::from_string(connection.get_database_backend(), sql);
            let rows = connection.query_all_raw(statement).await?;
            rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<String>, _>>()
        })
    });
    read.await.expect("the catalog can be read")
}

#[tokio::test]
async fn every_table_has_an_owner_and_forced_policies() {
    let Some((fixture, _, _)) = two_people().await else { return };
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
                  AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'seaql_migrations' ORDER BY 1";
    let mut expected = TABLES;
    expected.sort_unstable();
    assert_eq!(asked(&fixture, tables).await, expected);
    let forced = "SELECT relname::text FROM pg_class
                  WHERE relkind = 'p' AND relrowsecurity AND relforcerowsecurity ORDER BY 1";
    assert_eq!(asked(&fixture, forced).await, expected);
    for policy in ["one_owner", "several_owners", "upkeep"] {
        let having_it =
            format!("SELECT tablename::text FROM pg_policies WHERE policyname = '{policy}' AND cmd = 'ALL' ORDER BY 1");
        assert_eq!(asked(&fixture, &having_it).await, expected, "{policy}");
    }
    let others = "SELECT concat(tablename, ' ', policyname, ' ', cmd) FROM pg_policies
                  WHERE policyname NOT IN ('one_owner', 'several_owners', 'upkeep')";
    assert_eq!(asked(&fixture, others).await, ["owner_state walk SELECT"]);
    let owned = format!("SELECT relname::text FROM pg_class WHERE pg_get_userbyid(relowner) LIKE '{ROLE}%'");
    assert!(asked(&fixture, &owned).await.is_empty(), "the roles own nothing");
}

/// Why the service does not start.
async fn refusal(config: &DatabaseConfig) -> String {
    let batching = Batching { queue: 1, size: 1 };
    let error = NoteRepository::open(config, batching).await.expect_err("it must not start");
    std::error::Error::source(&error).expect("it says why").to_string()
}

#[tokio::test]
async fn the_service_does_not_start_where_the_wall_does_not_stand() {
    let Some((fixture, _, _)) = two_people().await else { return };
    let role = format!("rows_{}", Uuid::new_v4().simple());
    let with_role =
        |name: &str| DatabaseConfig { row_security: Role::parse(name).map(row_security), ..fixture.store.config() };
    let batching = Batching { queue: 1, size: 1 };
    let untouched = DatabaseConfig { migrate_on_start: false, ..with_role(&role) };
    let told = refusal(&untouched).await;
    assert!(told.contains(&format!("there is no role {role}")), "{told}");
    NoteRepository::open(&with_role(&role), batching).await.expect("it is put up for the new role");
    NoteRepository::open(&untouched, batching).await.expect("and stands");

    let told = refusal(&with_role("postgres")).await;
    assert!(told.contains("the role postgres is a superuser"), "{told}");

    NoteRepository::open(&with_role(&role), batching).await.expect("it is put up again");
    for (breach, words) in [
        ("ALTER TABLE tags NO FORCE ROW LEVEL SECURITY", "it is not enabled and forced on tags"),
        ("ALTER TABLE tags DISABLE ROW LEVEL SECURITY", "it is not enabled and forced on tags"),
        ("DROP POLICY one_owner ON tags", "tags has no policy one_owner"),
        ("CREATE TABLE drafts (owner_id uuid PRIMARY KEY)", "it is not enabled and forced on drafts"),
    ] {
        changed(fixture.past_the_wall().await.for_walk(), breach.to_owned()).await.expect("the owner may");
        let told = refusal(&untouched).await;
        assert!(told.contains(words), "{told}");
        NoteRepository::open(&with_role(&role), batching).await.expect("what is missing is put up");
        NoteRepository::open(&untouched, batching).await.expect("and stands");
    }
    for (breach, words, repair) in [
        (
            "CREATE POLICY all_of_them ON notes USING (true)".to_owned(),
            "notes has a policy that is not ours, all_of_them",
            "DROP POLICY all_of_them ON notes".to_owned(),
        ),
        (
            format!("ALTER ROLE {role} BYPASSRLS"),
            "bypasses row-level security",
            format!("ALTER ROLE {role} NOBYPASSRLS"),
        ),
        (
            format!("GRANT SELECT ON notes_00 TO {role}"),
            "may use the partition notes_00 itself",
            format!("REVOKE SELECT ON notes_00 FROM {role}"),
        ),
    ] {
        changed(fixture.past_the_wall().await.for_walk(), breach).await.expect("the owner may");
        for config in [&untouched, &with_role(&role)] {
            let told = refusal(config).await;
            assert!(told.contains(words), "{told}");
        }
        changed(fixture.past_the_wall().await.for_walk(), repair).await.expect("the owner may");
        NoteRepository::open(&untouched, batching).await.expect("it stands again");
    }
}

#[tokio::test]
async fn a_user_without_rights_on_the_server_needs_two_roles_and_can_do_without_the_wall() {
    let store = Store::fresh().await;
    if store.engine() == Engine::Sqlite {
        return;
    }
    let user = format!("user_{}", Uuid::new_v4().simple());
    let role = format!("rows_{}", Uuid::new_v4().simple());
    let administrator = sea_orm::Database::connect(store.url()).await.expect("the server is there");
    let administrate = async |sql: String| administrator.execute_unprepared(&sql).await.expect("an administrator may");
    administrate(format!("CREATE ROLE {user} LOGIN")).await;
    let name = store.url().rsplit_once('/').expect("a name").1.to_owned();
    administrate(format!("ALTER DATABASE {name} OWNER TO {user}")).await;

    let without = DatabaseConfig::with_url(&store.url().replacen("://postgres@", &format!("://{user}@"), 1));
    let config = DatabaseConfig { row_security: Role::parse(&role).map(row_security), ..without.clone() };
    let told = refusal(&config).await;
    let roles = format!(
        "CREATE ROLE {role} NOLOGIN; CREATE ROLE {role}_several NOLOGIN; CREATE ROLE {role}_walk NOLOGIN; \
         GRANT {role}, {role}_several, {role}_walk"
    );
    assert!(told.contains(&roles), "{told}");
    administrate(format!("{roles} TO {user}")).await;

    let alice = somebody();
    let batching = Batching { queue: 1, size: 1 };
    let walled = NoteRepository::open(&config, batching).await.expect("the roles are there");
    let note = CreateNote {
        id: NewId::Drawn(NoteId::from_uuid(Uuid::now_v7())),
        fields: written("hers"),
        repetition: None,
        now: SystemTime::UNIX_EPOCH,
        quota: QUOTA,
    };
    walled.for_owner(alice).create(note).await.expect("the store works");
    assert!(walled.for_owner(alice).state().await.expect("the store works").is_some());
    let unwalled = NoteRepository::open(&without, batching).await.expect("the user owns the tables");
    assert!(unwalled.for_owner(alice).state().await.expect("the store works").is_some());

    let plain = sea_orm::Database::connect(without.url.expose()).await.expect("the server is there");
    let count = Statement::from_string(sea_orm::DbBackend::Postgres, "SELECT count(*) FROM notes");
    let row = plain.query_one_raw(count).await.expect("the user may").expect("a row");
    assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 0, "the owner of the tables sees no row by himself");
}

#[tokio::test]
async fn on_sqlite_a_debug_build_refuses_a_statement_without_its_owner() {
    let fixture = Fixture::on(Store::in_folder()).await;
    let alice = somebody();
    fixture.create(alice, written("hers")).await;
    let database = &fixture.repository.database;
    let select = |filter: &'static str| {
        move |connection: &Connection| {
            Statement::from_sql_and_values(
                connection.get_database_backend(),
                format!("SELECT note_id FROM notes {filter}"),
                filter.contains('?').then(|| alice.as_uuid().into()),
            )
        }
    };
    let found = async |owned: Owned<'_>, filter: &'static str| {
        let statement = select(filter);
        owned
            .read(move |connection| {
                Box::pin(async move { Ok(connection.query_all_raw(statement(connection)).await?.len()) })
            })
            .await
    };
    let alices = || database.for_owner(alice.as_uuid());
    assert_eq!(found(alices(), "WHERE owner_id = ?").await.expect("it is bound"), 1);
    found(alices(), "").await.expect_err("it asks for nobody's");
    found(database.for_owner(somebody().as_uuid()), "WHERE owner_id = ?").await.expect_err("it asks for another's");
    found(database.for_walk(), "WHERE owner_id = ?").await.expect_err("a walk leads elsewhere");
}
