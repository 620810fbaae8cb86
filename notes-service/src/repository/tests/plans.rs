//! The cost of a page, asserted on the plans of the engines, which are exact, and not on times.

use runtime::database::Engine;

use super::super::purge::{Forgetful, Purge};
use super::super::{
    changes, find_all, history, notes, owner_state as states, owners, page, purge, revisions, search, tombstones,
};
use super::explain::partitions;
use super::*;
use crate::domain::search::Lookup;
use crate::domain::{
    ChangesQuery, NoteFilter, Order, PAGE_BYTES, PageQuery, PageSize, Position, RevisionId, RevisionQuery, SortField,
    SortValue, SyncPoint, TitleKey, View,
};
use crate::testing::list_in;

/// A chunk of removals in the middle of the store.
const PURGE: Purge = Purge { now: SystemTime::UNIX_EPOCH, tombstone_retention: Duration::ZERO, batch: 100 };

pub(super) fn from_the_middle(order: Order, show_deleted: bool, view: View) -> PageQuery {
    let value = match order.field {
        SortField::CreateTime | SortField::UpdateTime => SortValue::Time(from_micros(1_764_000_000_500_000)),
        SortField::Title => SortValue::Title(TitleKey::of(&Title::parse("500").unwrap())),
    };
    let after = Some(Position { value, id: NoteId::from_uuid(Uuid::max()) });
    PageQuery { show_deleted, view, after, ..list_in(order) }
}

/// Whether rows that were read are looked at again. That the owner is the one who was told to PostgreSQL is looked at once.
fn filters_rows(plan: &str) -> bool {
    plan.replace("One-Time Filter:", "").contains("Filter:")
}

#[tokio::test]
async fn a_page_is_found_in_its_index_by_a_comparison_of_rows() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    for (spelling, order) in Order::ALL {
        let column = match order.field {
            SortField::CreateTime => "create_us",
            SortField::UpdateTime => "update_us",
            SortField::Title => "title_key",
        };
        let comparison = if order.descending { "<" } else { ">" };
        for (show_deleted, view) in [(false, View::Basic), (true, View::Basic), (false, View::Full), (true, View::Full)]
        {
            let query = from_the_middle(order, show_deleted, view);
            let plan = fixture.plan(page::select(fixture.backend(), alice, &query, None)).await;
            let ranges = if show_deleted { 2 } else { 1 };
            match fixture.repository.database.engine() {
                Engine::Sqlite => {
                    let place = format!("(owner_id=? AND trash_epoch=? AND ({column},note_id){comparison}(?,?))");
                    assert_eq!(plan.matches(&place).count(), ranges, "{spelling} {query:?}\n{plan}");
                    assert!(!plan.contains("SCAN notes"), "{plan}");
                    assert!(!plan.contains("SCAN note_bodies"), "{plan}");
                    if !show_deleted && view == View::Basic {
                        assert!(!plan.contains("TEMP B-TREE"), "nothing is sorted\n{plan}");
                        assert!(!plan.contains("note_bodies"), "{plan}");
                    }
                }
                Engine::Postgres => {
                    let place = format!("ROW({column}, note_id) {comparison} ROW(");
                    assert_eq!(plan.matches(&place).count(), ranges, "{spelling} {query:?}\n{plan}");
                    assert_eq!(partitions(&plan, "notes_").len(), 1, "{plan}");
                    assert!(!plan.contains("Seq Scan"), "{plan}");
                    if view == View::Basic {
                        assert!(!filters_rows(&plan) && !plan.contains("->  Sort"), "{plan}");
                        assert!(!plan.contains("note_bodies"), "{plan}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_note_is_found_by_its_key_in_one_partition() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    let plan = fixture.plan(notes::by_key(alice, NoteId::from_uuid(Uuid::nil()), View::Full)).await;
    match fixture.repository.database.engine() {
        Engine::Sqlite => assert_eq!(plan.matches("(owner_id=? AND note_id=?)").count(), 2, "{plan}"),
        Engine::Postgres => {
            assert_eq!(partitions(&plan, "notes_").len(), 1, "{plan}");
            assert!(!plan.contains("Seq Scan"), "{plan}");
        }
    }
}

#[tokio::test]
async fn several_notes_are_found_by_their_keys_in_one_partition() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    // So few that reading the whole partition, which is small here, would be the worse plan.
    let ids: Vec<_> = (0..3).map(|_| NoteId::from_uuid(Uuid::new_v4())).collect();
    let selects = [find_all::by_keys(alice, &ids), find_all::contents_by_keys(alice, &ids)];
    for (select, table) in selects.into_iter().zip(["notes_", "note_bodies_"]) {
        let plan = fixture.plan(select).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => assert!(plan.contains("(owner_id=? AND note_id=?)"), "{plan}"),
            Engine::Postgres => {
                assert_eq!(partitions(&plan, table).len(), 1, "{plan}");
                assert!(!plan.contains("Seq Scan"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn a_search_reads_ranges_of_the_index_of_one_owner_in_one_partition() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    let lookup = |term: &str, prefix| Lookup { term: term.to_owned(), prefix };
    let lookups = [lookup("milk", false), lookup("eg", true)];
    // So few that reading the whole partition, which is small here, would be the worse plan.
    let seqs = [100, 500, 900];
    let sieve = search::Sieve::new(alice, true, &NoteFilter::default(), &[], &[]);
    let statements = [
        (search::newest_entries(alice, 500, 32), vec!["search_recent USING PRIMARY KEY (owner_id=? AND change_seq<?)"]),
        (search::oldest_entries(alice), vec!["search_recent USING PRIMARY KEY (owner_id=?)"]),
        (
            search::newest_segments(alice, 500, 2, &lookups),
            vec![
                "search_segments USING PRIMARY KEY (owner_id=?)",
                "search_blocks_1 (owner_id=? AND last_seq=? AND first_term<?)",
                "search_blocks_1 (owner_id=? AND last_seq=? AND first_term>? AND first_term<?)",
            ],
        ),
        (
            search::notes_by_changes(alice, &sieve, &seqs),
            vec!["notes_by_change (owner_id=? AND change_seq=?)", "(owner_id=? AND note_id=?)"],
        ),
        (
            search::notes_by_changes(alice, &sieve, &seqs[..1]),
            vec!["notes_by_change (owner_id=? AND change_seq=?)", "(owner_id=? AND note_id=?)"],
        ),
    ];
    for (statement, places) in statements {
        let plan = fixture.plan(statement).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(places.iter().all(|place| plan.contains(place)), "{plan}");
                let scanned = ["SCAN notes", "SCAN note_bodies", "SCAN search_"];
                assert!(!scanned.iter().any(|table| plan.contains(table)), "{plan}");
            }
            Engine::Postgres => {
                for table in ["notes_", "note_bodies_", "search_recent_", "search_segments_", "search_blocks_"] {
                    assert!(partitions(&plan, table).len() <= 1, "{plan}");
                }
                assert!(!plan.contains("Seq Scan on notes"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_due_is_found_in_an_index_in_one_partition() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    let selects = [
        (purge::emptied(alice, 2, 100), "(owner_id=? AND trash_epoch>? AND trash_epoch<?)"),
        (purge::expired(alice, 1, PURGE), "notes_by_purge_time (owner_id=? AND purge_us<?)"),
        (purge::first(alice, "notes", "purge_us"), "notes_by_purge_time (owner_id=?"),
        (purge::first(alice, "tombstones", "expire_us"), "tombstones_by_expire_time (owner_id=?"),
        (purge::first(alice, "tag_tombstones", "expire_us"), "tag_tombstones_by_expire_time (owner_id=?"),
        (purge::first(alice, "create_requests", "expire_us"), "create_requests_by_expire_time (owner_id=?"),
        (purge::first(alice, "note_revisions", "expire_us"), "note_revisions_by_expire_time (owner_id=?"),
    ];
    for (select, place) in selects {
        let plan = fixture.plan(select).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(plan.contains(place), "{plan}");
                assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
            Engine::Postgres => {
                let tables = ["notes_", "tombstones_", "tag_tombstones_", "create_requests_", "note_revisions_"];
                assert_eq!(tables.map(|table| partitions(&plan, table).len()).iter().sum::<usize>(), 1, "{plan}");
                assert!(!plan.contains("Seq Scan on notes"), "{plan}");
            }
        }
    }
    for table in [Forgetful::Tombstones, Forgetful::TagTombstones, Forgetful::CreateRequests] {
        let plan = fixture.plan(purge::forget(alice, table, PURGE)).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => assert!(!plan.contains("SCAN tombstones") && !plan.contains("SCAN create"), "{plan}"),
            Engine::Postgres => {
                let tables = ["tombstones_", "tag_tombstones_", "create_requests_"];
                assert_eq!(tables.map(|table| partitions(&plan, table).len()).iter().sum::<usize>(), 1, "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn changes_are_found_in_the_indexes_of_their_numbers_in_one_partition() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    for view in [View::Basic, View::Full] {
        let after = SyncPoint { change_seq: 500, ..SyncPoint::BEGINNING };
        let plan =
            fixture.plan(changes::select(alice, ChangesQuery { after, view, size: 50, bytes: PAGE_BYTES })).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(plan.contains("notes_by_change (owner_id=? AND change_seq>?)"), "{plan}");
                assert!(!plan.contains("SCAN notes") && !plan.contains("SCAN note_bodies"), "{plan}");
                assert!(view == View::Full || !plan.contains("TEMP B-TREE"), "nothing is sorted\n{plan}");
            }
            Engine::Postgres => {
                assert!(plan.contains("(change_seq > "), "{plan}");
                assert_eq!(partitions(&plan, "notes_").len(), 1, "{plan}");
                assert!(!plan.contains("Seq Scan"), "{plan}");
                assert!(view == View::Full || !filters_rows(&plan) && !plan.contains("Sort"), "{plan}");
            }
        }
    }
    let plan = fixture.plan(tombstones::select_after(alice, 500, 50)).await;
    for table in ["tombstones", "tag_tombstones"] {
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                let place = format!(" {table}_by_change (owner_id=? AND change_seq>?)");
                assert!(plan.contains(&place) && !plan.contains("TEMP B-TREE"), "{plan}");
            }
            Engine::Postgres => assert_eq!(partitions(&plan, &format!("{table}_")).len(), 1, "{plan}"),
        }
    }
}

#[tokio::test]
async fn the_state_of_an_owner_is_one_row_found_by_its_key() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await.as_uuid();
    let plan = fixture.plan(states::by_owners([alice])).await;
    match fixture.repository.database.engine() {
        Engine::Sqlite => assert!(plan.contains("USING PRIMARY KEY (owner_id=?)"), "{plan}"),
        Engine::Postgres => {
            assert_eq!(partitions(&plan, "owner_state_").len(), 1, "{plan}");
            assert!(!plan.contains("Seq Scan"), "{plan}");
        }
    }
}

#[tokio::test]
async fn the_walk_over_the_owners_goes_by_their_key() {
    let fixture = Fixture::fresh().await;
    fixture.owner_of_many().await;
    let plan = fixture.plan_within(fixture.repository.database.for_walk(), owners::select(None)).await;
    match fixture.repository.database.engine() {
        Engine::Sqlite => assert!(!plan.contains("TEMP B-TREE"), "{plan}"),
        Engine::Postgres => assert!(plan.contains("Merge Append") && !plan.contains("Seq Scan"), "{plan}"),
    }
}

#[tokio::test]
async fn revisions_are_found_by_their_key_at_any_depth() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await;
    let note = fixture.note_with_history(alice).await;
    let alice = alice.as_uuid();
    let size = PageSize::parse(20).expect("a size");
    let page = |before| {
        let before = RevisionId::from_number(before);
        revisions::newest(alice, &RevisionQuery { note, view: View::Basic, size, before })
    };
    let one = RevisionId::from_number(7).expect("a revision");
    let selects = [
        (page(0), "(owner_id=? AND note_id=?)"),
        (page(50), "(owner_id=? AND note_id=? AND revision<?)"),
        (page(5), "(owner_id=? AND note_id=? AND revision<?)"),
        (revisions::contents(alice, note, 10..=20), "(owner_id=? AND note_id=? AND revision>? AND revision<?)"),
        (revisions::by_key(alice, note, one), "(owner_id=? AND note_id=? AND revision=?)"),
    ];
    for (select, place) in selects {
        let plan = fixture.plan(select).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(plan.contains(place), "{plan}");
                assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
            Engine::Postgres => {
                assert_eq!(partitions(&plan, "note_revisions_").len(), 1, "{plan}");
                // The few of one note may be sorted; none of another note is read.
                let of_the_note = format!("(note_id = '{note}'::uuid)");
                assert!(plan.contains(&of_the_note) && plan.contains("_pkey"), "{plan}");
                assert!(!plan.contains("Seq Scan"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn what_goes_of_a_history_is_found_by_its_place_in_an_index() {
    let fixture = Fixture::fresh().await;
    let alice = fixture.owner_of_many().await;
    let note = fixture.note_with_history(alice).await;
    let alice = alice.as_uuid();
    let plans = [
        fixture.plan(history::let_expire(alice, note, 10, Duration::ZERO)).await,
        fixture.plan(history::remove_oldest(alice, note, 1)).await,
        fixture.plan(history::remove_expired(alice, PURGE)).await,
    ];
    for plan in plans {
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(!plan.contains("SCAN note_revisions") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
            Engine::Postgres => {
                assert_eq!(partitions(&plan, "note_revisions_").len(), 1, "{plan}");
                assert!(!plan.contains("Seq Scan"), "{plan}");
            }
        }
    }
}
