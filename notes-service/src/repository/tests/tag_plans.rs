//! What tags cost, asserted on the plans of the engines.

use runtime::database::Engine;

use super::super::{delete_tag, note_tags, tags};
use super::explain::partitions;
use super::*;
use crate::domain::{PageSize, TagName, TagNameKey};

#[tokio::test]
async fn tags_are_found_by_their_key_by_their_name_and_by_their_change() {
    let fixture = Fixture::fresh().await;
    let (alice, tag) = fixture.owner_of_many_with_a_tag().await;
    let (alice, name) = (alice.as_uuid(), TagName::parse("hers").expect("a name"));
    let after = TagNameKey::of(&name);
    let selects = [
        (tags::by_key(alice, tag), "(owner_id=? AND tag_id=?)"),
        (note_tags::by_keys(alice, &[tag]), "(owner_id=? AND tag_id=?)"),
        (tags::by_name(alice, &name), "tags_by_name (owner_id=? AND name_key=?)"),
        (tags::select_page(alice, PageSize::parse(0).unwrap(), None), "tags_by_name (owner_id=?)"),
        (
            tags::select_page(alice, PageSize::parse(0).unwrap(), Some(&after)),
            "tags_by_name (owner_id=? AND name_key>?)",
        ),
        (tags::select_changed_after(alice, 500, 50), "tags_by_change (owner_id=? AND change_seq>?)"),
    ];
    for (select, place) in selects {
        let plan = fixture.plan(select).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(plan.contains(place), "{plan}");
                assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
            // So few tags that a partition of them is read whole.
            Engine::Postgres => assert_eq!(partitions(&plan, "tags_").len(), 1, "{plan}"),
        }
    }
}

#[tokio::test]
async fn the_notes_that_lose_a_tag_are_found_by_keys_in_one_partition() {
    let fixture = Fixture::fresh().await;
    let (alice, tag) = fixture.owner_of_many_with_a_tag().await;
    let note = fixture.create(alice, NoteFields::default()).await;
    let alice = alice.as_uuid();
    let untagged: Vec<_> = (0..3).map(|_| (note.clone(), 1)).collect();
    let tagged = fixture.plan(delete_tag::tagged(alice, tag)).await;
    let replaced = fixture.plan(delete_tag::replace(alice, &untagged)).await;
    let moved = fixture.plan(delete_tag::move_others(alice, &untagged)).await;
    match fixture.repository.database.engine() {
        Engine::Sqlite => {
            assert!(tagged.contains("note_tags_by_create_time (owner_id=? AND tag_id=?)"), "{tagged}");
            assert!(tagged.contains("USING PRIMARY KEY (owner_id=? AND note_id=?)"), "{tagged}");
            for plan in [tagged, replaced, moved] {
                assert!(!plan.contains("SCAN note") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
        }
        Engine::Postgres => {
            let read = |plan: &str| ["notes_", "note_tags_"].map(|table| partitions(plan, table).len());
            // Half of the notes of the partition: reading it whole is no worse.
            assert_eq!(read(&tagged), [1, 1], "{tagged}");
            assert_eq!([read(&replaced), read(&moved)], [[1, 0], [0, 1]], "{replaced}\n{moved}");
            assert!(!replaced.contains("Seq Scan on notes"), "{replaced}");
        }
    }
}
