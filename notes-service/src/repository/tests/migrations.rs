use runtime::database::{Database, Engine, Outcome};
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use super::super::{Changes, migration};
use super::*;
use crate::domain::{Change, ChangesQuery, PAGE_BYTES, SyncPoint, View};

/// The schema as it was after so many steps.
struct Steps<const COUNT: usize>;

impl<const COUNT: usize> MigratorTrait for Steps<COUNT> {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        migration::Migrator::migrations().into_iter().take(COUNT).collect()
    }
}

/// Two notes of four bytes, one of them in the trash, as the first step of the schema keeps them.
async fn fill(database: &Database, owner: Uuid, ids: [Uuid; 2]) {
    let work = database.write(move |transaction| {
        Box::pin(async move {
            let state = Query::insert()
                .into_table("owner_state")
                .columns([
                    "owner_id",
                    "change_seq",
                    "epoch",
                    "note_count",
                    "deleted_note_count",
                    "bytes",
                    "last_update_us",
                ])
                .values_panic([
                    owner.into(),
                    3_i64.into(),
                    1_i64.into(),
                    2_i64.into(),
                    1_i64.into(),
                    8_i64.into(),
                    3_i64.into(),
                ])
                .to_owned();
            transaction.execute(&state).await?;
            for (id, deleted) in ids.into_iter().zip([None, Some(3_i64)]) {
                let note = Query::insert()
                    .into_table("notes")
                    .columns([
                        "owner_id",
                        "note_id",
                        "title",
                        "title_key",
                        "snippet",
                        "content_bytes",
                        "pinned",
                        "archived",
                        "color",
                        "state",
                        "create_us",
                        "update_us",
                        "delete_us",
                        "purge_us",
                        "revision",
                        "digest",
                        "change_seq",
                    ])
                    .values_panic([
                        owner.into(),
                        id.into(),
                        "é".into(),
                        b"e".to_vec().into(),
                        "ab".into(),
                        2_i64.into(),
                        false.into(),
                        false.into(),
                        0_i16.into(),
                        i16::from(deleted.is_some()).into(),
                        1_i64.into(),
                        3_i64.into(),
                        deleted.into(),
                        deleted.map(|time| time + 10).into(),
                        1_i64.into(),
                        0_i64.into(),
                        3_i64.into(),
                    ])
                    .to_owned();
                transaction.execute(&note).await?;
                let body = Query::insert()
                    .into_table("note_bodies")
                    .columns(["owner_id", "note_id", "content"])
                    .values_panic([owner.into(), id.into(), "ab".into()])
                    .to_owned();
                transaction.execute(&body).await?;
            }
            Ok(Outcome::Commit(()))
        })
    });
    work.await.expect("the store works");
}

#[tokio::test]
async fn notes_from_before_the_trashes_were_numbered_are_where_they_were() {
    let store = Store::fresh().await;
    let (alice, ids) = (somebody(), [Uuid::now_v7(), Uuid::now_v7()]);
    let old = Database::open::<Steps<1>>(&store.config()).await.expect("the store opens");
    old.ready().await;
    fill(&old, alice.as_uuid(), ids).await;
    old.close().await;

    let fixture = Fixture::on(store).await;
    let [live, trashed] = ids.map(NoteId::from_uuid);
    let found = async |id| fixture.repository.for_owner(alice).find(id, View::Full).await.expect("the store works");
    assert_eq!(found(live).await.expect("it is there").trashed, None);
    assert!(found(trashed).await.expect("it is there").trashed.is_some());
    assert_eq!(fixture.state(alice).await.expect("alice wrote").deleted_bytes, 4);
    let (live_note, trashed_note) = (found(live).await.expect("live"), found(trashed).await.expect("in the trash"));
    fixture.check_counters(alice, &[&live_note, &trashed_note]).await;
    assert_eq!(fixture.purge(Duration::ZERO, 10).await, 1, "its time had come");
    assert_eq!((found(live).await.is_some(), found(trashed).await), (true, None));
    let live = found(live).await.expect("it is there");
    fixture.check_counters(alice, &[&live]).await;
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!((state.note_count, state.bytes, state.deleted_note_count, state.deleted_bytes), (1, 4, 0, 0));
}

#[tokio::test]
async fn notes_from_before_there_was_an_index_are_added_to_it_in_the_background() {
    let store = Store::fresh().await;
    let (alice, ids) = (somebody(), [Uuid::now_v7(), Uuid::now_v7()]);
    let old = Database::open::<Steps<1>>(&store.config()).await.expect("the store opens");
    old.ready().await;
    fill(&old, alice.as_uuid(), ids).await;
    old.close().await;

    let fixture = Fixture::on(store).await;
    let new = fixture.create(alice, written("ab")).await;
    assert_eq!(fixture.finds(alice, "ab").await, [new.id], "only what was written since");
    fixture.purge(Duration::ZERO, 10).await;
    assert_eq!(fixture.finds(alice, "ab").await, [new.id, NoteId::from_uuid(ids[0])]);
    assert_eq!(fixture.finds(alice, "title:\u{e9}").await, [NoteId::from_uuid(ids[0])]);
    assert_eq!(fixture.index_rows(alice).await[3], 0, "nothing is left to be done");
    let changed = done(fixture.update(alice, NoteId::from_uuid(ids[0]), content("another"), None).await);
    assert_eq!(fixture.finds(alice, "another").await, [changed.id]);
    assert_eq!(fixture.finds(alice, "ab").await, [new.id]);
}

/// Two tags of an owner, as the schema before their changes were ordered keeps them.
async fn fill_tags(database: &Database, owner: Uuid, ids: [Uuid; 2]) {
    let secured = database.engine() == Engine::Postgres;
    let work = database.write(move |transaction| {
        Box::pin(async move {
            let state = Query::insert()
                .into_table("owner_state")
                .columns([
                    "owner_id",
                    "change_seq",
                    "epoch",
                    "note_count",
                    "deleted_note_count",
                    "bytes",
                    "last_update_us",
                ])
                .values_panic([
                    owner.into(),
                    2_i64.into(),
                    1_i64.into(),
                    0_i64.into(),
                    0_i64.into(),
                    0_i64.into(),
                    3_i64.into(),
                ])
                .to_owned();
            transaction.execute(&state).await?;
            let count = Query::update().table("owner_state").value("tag_count", 2_i64).to_owned();
            transaction.execute(&count).await?;
            for (number, id) in (1_i64..).zip(ids) {
                let name = number.to_string();
                let columns = ["owner_id", "tag_id", "display_name", "name_key", "color", "note_count", "create_us"];
                let tag = Query::insert()
                    .into_table("tags")
                    .columns(columns.into_iter().chain(["update_us", "revision", "digest", "change_seq"]))
                    .values_panic([
                        owner.into(),
                        id.into(),
                        name.as_str().into(),
                        name.as_bytes().to_vec().into(),
                        0_i16.into(),
                        0_i64.into(),
                        1_i64.into(),
                        number.into(),
                        number.into(),
                        7_i64.into(),
                        number.into(),
                    ])
                    .to_owned();
                transaction.execute(&tag).await?;
            }
            if secured {
                transaction.execute_unprepared("ALTER TABLE tags FORCE ROW LEVEL SECURITY").await?;
            }
            Ok(Outcome::Commit(()))
        })
    });
    work.await.expect("the store works");
}

#[tokio::test]
async fn tags_from_before_their_changes_were_ordered_come_to_a_copy() {
    let store = Store::fresh().await;
    let (alice, ids) = (somebody(), [Uuid::now_v7(), Uuid::now_v7()]);
    let old = Database::open::<Steps<6>>(&store.config()).await.expect("the store opens");
    old.ready().await;
    fill_tags(&old, alice.as_uuid(), ids).await;
    old.close().await;

    let fixture = Fixture::on(store).await;
    fixture.check_tags(alice, &[]).await;
    let query = ChangesQuery { after: SyncPoint::BEGINNING, view: View::Basic, size: 10, bytes: PAGE_BYTES };
    let changes = fixture.repository.for_owner(alice).changes(query).await.expect("the store works");
    let Changes::Page(page) = changes else { panic!("{changes:?}") };
    let tags = page.changes.iter().map(|change| match change {
        Change::Tag(tag) => tag.id.as_uuid(),
        other => panic!("{other:?}"),
    });
    assert_eq!(tags.collect::<Vec<_>>(), ids);
    if fixture.repository.database.engine() == Engine::Postgres {
        let forced = fixture.repository.database.read(|connection| {
            let query = Query::select()
                .expr(Expr::col("relname").cast_as("text"))
                .from("pg_class")
                .and_where(Expr::col("relforcerowsecurity").and(Expr::col("relname").is_in(["tags", "owner_state"])))
                .to_owned();
            Box::pin(async move {
                let rows = connection.query_all(&query).await?;
                rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, _>>()
            })
        });
        assert!(forced.await.expect("the store works").contains(&"tags".to_owned()), "what was hidden is hidden again");
    }
}
